//! Subscriptions that come before what is retained for them was read from the disk.
//!
//! SUBSCRIBE waits, and what its client sends behind it: so what is retained can follow SUBACK as always
//! [MQTT-3.3.1-9]. A crash can make the broker forget of it only what is more than one step of a replay, which it can at
//! any time.

use noctule_protocol::ProtocolVersion;
use noctule_protocol::frame::{Frame, PacketType};
use noctule_protocol::packet::{RetainHandling, Subscribe};

use super::connection::{Pauses, Stage};
use super::{Shard, Turn};
use crate::input::ConnectionKey;
use crate::parcel::ShardIndex;

impl Shard {
    /// Whether this packet subscribes to something that was not read yet: then its connection is not read either.
    // Only for a moment after a start.
    #[cold]
    #[inline(never)]
    pub(super) fn waits_for_retained(
        &mut self,
        key: ConnectionKey,
        stage: Stage,
        version: ProtocolVersion,
        frame: Frame<'_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        if !matches!(stage, Stage::Established { .. }) || frame.packet_type() != Ok(PacketType::Subscribe) {
            return false;
        }
        let (Some(connection), Ok(subscribe)) = (self.connection(key), Subscribe::decode(frame, version))
        else {
            return false;
        };
        let listener = self.settings.listeners.get(usize::from(connection.listener.0));
        let mount_point = listener.and_then(|listener| listener.mount_point.as_ref());
        let is_loaded = subscribe.filters.iter().all(|(filter, options)| {
            // Nothing is retained for a shared subscription [MQTT-4.8.2-2].
            let wants_none = filter.share.is_some() || options.retain_handling == RetainHandling::DoNotSend;
            let is_loaded = |filter: &str| turn.shared.retained.is_loaded(filter);
            let is_mounted_one_loaded = || match mount_point {
                Some(mount_point) => mount_point.filter(filter).is_none_or(|mounted| is_loaded(&mounted)),
                None => is_loaded(filter.filter.as_str()),
            };
            wants_none || is_mounted_one_loaded()
        });
        let is_paused = connection.pauses.contains(Pauses::RETAINED);
        if !is_loaded && !is_paused {
            self.awaiting_retained.push(key);
            self.pause(key, Pauses::RETAINED, turn);
        }
        !is_loaded
    }

    /// More of what is retained was read from the disk.
    pub(super) fn retained_loaded(&mut self, some_expire: bool, turn: &mut Turn<'_>) {
        // One shard's search sees all messages.
        if some_expire && self.index == ShardIndex(0) {
            self.look_for_expired(turn);
        }
        // Who must wait on comes again.
        for key in std::mem::take(&mut self.awaiting_retained) {
            self.resume_reading(key, Pauses::RETAINED, turn);
        }
    }
}
