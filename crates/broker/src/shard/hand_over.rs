//! Connections whose client's session lives on another shard.

use std::net::SocketAddr;

use super::connection::Stage;
use super::{Shard, Turn};
use crate::effect::Effect;
use crate::input::{ConnectionKey, ListenerIndex, Verdict};
use crate::parcel::ShardIndex;
use crate::timer::Timer;

impl Shard {
    /// Notes that a connection belongs elsewhere: it goes when the bytes at hand have been looked at.
    pub(super) fn send_away(&mut self, key: ConnectionKey, to: ShardIndex) {
        if let Some(connection) = self.connection_mut(key) {
            let authenticated = connection.stage == Stage::Checked { verdict: Verdict::Accepted };
            connection.stage = Stage::Leaving { to, authenticated };
        }
    }

    /// Lets a connection go that belongs elsewhere, with what was received from its CONNECT on.
    pub(super) fn let_go(
        &mut self,
        key: ConnectionKey,
        to: ShardIndex,
        bytes: Vec<u8>,
        authenticated: bool,
        turn: &mut Turn<'_>,
    ) {
        if self.connection(key).is_none() {
            return;
        }
        let Some(connection) = self.connections[key.index as usize].take() else { return };
        self.timers.disarm(connection.deadline, Timer::Connection(key));
        let (listener, peer) = (connection.listener, connection.peer.address());
        let authenticated = authenticated.then_some(self.generation);
        turn.effects.push(Effect::HandOver { connection: key, to, listener, peer, bytes, authenticated });
    }

    /// Takes a connection from another shard; its CONNECT is looked at anew, since its session may have moved on.
    pub(super) fn take_over(
        &mut self,
        (key, listener, peer): (ConnectionKey, ListenerIndex, Option<SocketAddr>),
        bytes: &[u8],
        authenticated: Option<u32>,
        turn: &mut Turn<'_>,
    ) {
        self.enter(key, listener, peer, turn);
        // By other settings its Password may be another one, or its User Name be gone.
        if authenticated == Some(self.generation)
            && let Some(connection) = self.connection_mut(key)
        {
            connection.stage = Stage::Checked { verdict: Verdict::Accepted };
        }
        self.take_bytes(key, bytes, turn);
    }
}
