//! Log-ins under way: asked about elsewhere, answered by mail.

use std::sync::Arc;

use noctule_broker::{ConnectionKey, Input, ListenerIndex, Now, Password, Verdict};

use super::EventLoop;
use crate::auth::{Login, Origin, Pending};
use crate::shard::Mail;

impl EventLoop {
    /// Has a User Name and a Password checked.
    pub(super) fn ask_who_it_is(
        &mut self,
        connection: ConnectionKey,
        listener: ListenerIndex,
        user_name: Arc<str>,
        password: Option<Password>,
    ) {
        let Some(asking) = self.connections.get_mut(connection) else { return };
        let origin = Origin::new(asking.stream.peer_address());
        let pending = Arc::new(Pending);
        let login = Login {
            shard: self.index,
            connection,
            listener,
            origin,
            user_name,
            password,
            pending: Arc::downgrade(&pending),
        };
        if self.verifier.ask(login) {
            self.logins.insert(connection, pending);
        } else {
            // As any other answer, in a turn of its own.
            self.mailbox().send(Mail::Authenticated { connection, verdict: Verdict::Busy });
        }
    }

    /// The answer.
    pub(super) fn tell_who_it_is(&mut self, connection: ConnectionKey, verdict: Verdict, now: Now) {
        self.logins.remove(&connection);
        self.handle(Input::Authenticated { connection, verdict }, now);
    }
}
