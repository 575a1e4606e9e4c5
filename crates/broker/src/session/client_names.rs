//! Who a session's client is.

use std::sync::Arc;

use crate::rights::Names;

/// The names of its last CONNECT.
#[derive(Clone, Debug)]
pub(crate) struct ClientNames {
    pub(crate) client_id: Arc<str>,
    /// `None` also if it was empty.
    pub(crate) user_name: Option<Arc<str>>,
}

impl ClientNames {
    pub(crate) fn names(&self) -> Names<'_> {
        Names { client_id: &self.client_id, user_name: self.user_name.as_deref() }
    }
}
