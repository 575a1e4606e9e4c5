//! What a case leaves with a server, so that it can be taken away again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bytes::Reader;

/// Shared by the connections of a case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leftovers(Arc<Mutex<Noted>>);

/// Sessions that outlive their connection, and topics with a retained message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    pub(crate) client_ids: BTreeSet<String>,
    pub(crate) retained: BTreeSet<Vec<u8>>,
}

impl Leftovers {
    pub(crate) fn session(&self, client_id: &str) {
        self.change(|noted| noted.client_ids.insert(client_id.to_owned()));
    }

    pub(crate) fn retained(&self, topic: impl AsRef<[u8]>) {
        self.change(|noted| noted.retained.insert(topic.as_ref().to_vec()));
    }

    /// Looks at what is sent.
    pub(crate) fn sent(&self, bytes: &[u8]) {
        if bytes.first().is_none_or(|first| first & 0xf1 != 0x31) {
            return;
        }
        let mut reader = Reader::new(&bytes[1..]);
        let topic = reader.variable_byte_integer().and_then(|_| reader.binary());
        // A topic that is written as an alias was written whole before.
        if let Ok(topic) = topic
            && !topic.is_empty()
        {
            self.retained(topic);
        }
    }

    pub(crate) fn take(&self) -> Noted {
        let mut noted = Noted::default();
        self.change(|all| {
            noted = std::mem::take(all);
            true
        });
        noted
    }

    fn change(&self, change: impl FnOnce(&mut Noted) -> bool) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;
    use crate::written::Publication;

    #[test]
    fn retained_messages_are_noted() {
        let leftovers = Leftovers::default();
        let message = Publication::new(Version::V311, "a", "x");
        leftovers.sent(&Vec::from(message.clone()));
        assert!(leftovers.take().retained.is_empty());
        leftovers.sent(&Vec::from(message.qos(1, 1).retain()));
        leftovers.sent(&[]);
        assert_eq!(leftovers.take().retained.into_iter().collect::<Vec<_>>(), [b"a".to_vec()]);
    }
}
