//! User Name and Password, checked outside: until the answer comes a CONNECT is kept, and nothing else is done with it.

use std::sync::Arc;

use noctule_protocol::packet::Connect;

use super::connection::{Pauses, Stage};
use super::{Shard, Turn};
use crate::effect::{Effect, Password};
use crate::input::{ConnectionKey, Verdict};
use crate::metric::Metric;

impl Shard {
    /// Has the User Name of a CONNECT checked, if that is to be done and was not yet. True if the answer must be waited
    /// for: who knows a Client Identifier only must not disturb its session [MQTT-3.1.4-2].
    pub(super) fn must_authenticate(
        &mut self,
        key: ConnectionKey,
        connect: &Connect<'_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let authenticates = self.listener(key).is_some_and(|listener| listener.authenticates);
        let (true, Some(user_name)) = (authenticates, user_name(connect)) else { return false };
        let Some(connection) = self.connection_mut(key) else { return false };
        if matches!(connection.stage, Stage::Checked { .. }) {
            return false;
        }
        connection.stage = Stage::Authenticating;
        let listener = connection.listener;
        // Paused first: the answer may come at once.
        self.pause(key, Pauses::AUTHENTICATION, turn);
        turn.effects.push(Effect::Authenticate {
            connection: key,
            listener,
            user_name: Arc::from(user_name),
            password: connect.password.map(|bytes| Password(bytes.into())),
        });
        true
    }

    /// The answer. Its connection may have ended meanwhile.
    pub(super) fn authenticated(&mut self, key: ConnectionKey, verdict: Verdict, turn: &mut Turn<'_>) {
        let Some(connection) = self.connection_mut(key) else { return };
        if connection.stage != Stage::Authenticating {
            return;
        }
        connection.stage = Stage::Checked { verdict };
        if verdict == Verdict::Busy {
            self.count(Metric::ConnectsRefusedBusy);
        }
        self.resume_reading(key, Pauses::AUTHENTICATION, turn);
    }
}

/// Whose name it is; an empty one is nobody's, as in Mosquitto.
pub(super) fn user_name<'a>(connect: &Connect<'a>) -> Option<&'a str> {
    connect.user_name.filter(|name| !name.is_empty())
}
