//! Log-ins under way: asked about elsewhere, answered by mail.

use std::sync::Arc;

use noctule_broker::{ConnectionKey, Input, ListenerIndex, Now, Verdict};

use super::EventLoop;
use crate::auth::{Login, Password, Pending};

impl EventLoop {
    /// Has a User Name and a Password checked.
    pub(super) fn ask_who_it_is(
        &mut self,
        connection: ConnectionKey,
        listener: ListenerIndex,
        user_name: Arc<str>,
        password: Option<Box<[u8]>>,
        now: Now,
    ) {
        let pending = Arc::new(Pending);
        let login = Login {
            shard: self.index,
            connection,
            listener,
            user_name,
            password: password.map(Password),
            pending: Arc::downgrade(&pending),
        };
        if self.verifier.ask(login) {
            self.logins.insert(connection, pending);
        } else {
            self.handle(Input::Authenticated { connection, verdict: Verdict::Busy }, now);
        }
    }

    /// The answer.
    pub(super) fn tell_who_it_is(&mut self, connection: ConnectionKey, verdict: Verdict, now: Now) {
        self.logins.remove(&connection);
        self.handle(Input::Authenticated { connection, verdict }, now);
    }
}
