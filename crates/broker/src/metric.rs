//! THE metric table: what the broker counts.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! metrics {
    ($($variant:ident, $name:literal, $help:literal;)*) => {
        /// One counter. Counters only grow.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[repr(usize)]
        pub enum Metric {
            $(#[doc = $help] $variant,)*
        }

        impl Metric {
            /// All of them, in table order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in snake case, with its unit.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it counts, as a sentence.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

metrics! {
    BytesReceived, "bytes_received", "Bytes read from clients.";
    BytesSent, "bytes_sent", "Bytes written to clients.";
    PacketsReceived, "packets_received", "Packets received from clients.";
    PublishReceived, "publish_received", "PUBLISH packets received from clients.";
    PublishSent, "publish_sent", "PUBLISH packets put into clients' outboxes.";
    PublishBytesReceived, "publish_bytes_received", "Payload bytes of PUBLISH packets received from clients.";
    PublishBytesSent, "publish_bytes_sent", "Payload bytes of PUBLISH packets put into clients' outboxes.";
    AnswersSent, "answers_sent", "Packets other than PUBLISH put into clients' outboxes.";
    ConnectionsOpened, "connections_opened", "Transports accepted.";
    ConnectionsClosed, "connections_closed", "Transports that ended.";
    ConnectsReceived, "connects_received", "CONNECT packets that were accepted or refused.";
    SessionsCreated, "sessions_created", "Sessions created.";
    SessionsEnded, "sessions_ended", "Sessions that ended or expired.";
    SessionsExpired, "sessions_expired", "Sessions that expired.";
    DroppedOutboxFull, "dropped_outbox_full", "QoS 0 messages dropped because the receiver's outbox was full.";
    DroppedQueueFull, "dropped_queue_full", "Messages dropped because the session's queue was full.";
    DroppedExpired, "dropped_expired", "Messages dropped because their expiry interval had passed.";
    DroppedTooLarge, "dropped_too_large", "Messages dropped because the receiver accepts no packet of that size.";
    DroppedPayloadTooLarge, "dropped_payload_too_large", "Messages dropped because their payload was above message_size_limit.";
    DroppedOutsideMountPoint, "dropped_outside_mount_point", "Messages dropped because their topic is outside of what their receiver sees.";
    DroppedSessionEnded, "dropped_session_ended", "Queued or unacknowledged messages that ended with their session.";
    DroppedOffline, "dropped_offline", "QoS 0 messages not queued because the session had no connection.";
    DroppedDenied, "dropped_denied", "Messages their publisher had no right to publish.";
    DroppedNotReadable, "dropped_not_readable", "Messages their receiver had no right to receive.";
    DroppedRefused, "dropped_refused", "Messages their receiver refused with an error reason code.";
    DroppedMemory, "dropped_memory", "QoS 0 messages dropped for want of memory, since their receiver did not keep up or they would have had to be kept.";
    RefusedMemory, "refused_memory", "QoS 1 and 2 messages refused for want of memory.";
    ConnectsRefusedMemory, "connects_refused_memory", "Clients refused for want of memory.";
    ConnectsRefusedBusy, "connects_refused_busy", "Clients refused because too many passwords were waiting to be checked.";
    DroppedStoreFull, "dropped_store_full", "Messages with QoS 0 not retained, because the disk of the store is nearly full.";
    RefusedStoreFull, "refused_store_full", "QoS 1 and 2 messages refused because the disk of the store is nearly full.";
    SubscriptionsRefusedStoreFull, "subscriptions_refused_store_full", "Subscriptions refused because the disk of the store is nearly full.";
    ConnectsRefusedStoreFull, "connects_refused_store_full", "Clients whose session would have been kept, refused because the disk of the store is nearly full.";
    PublishersPaused, "publishers_paused", "Times that a publisher was not read for want of memory.";
    StoreParked, "store_parked", "Times that a connection was not read because what it sent needs the store, and the store was behind.";
    StoreBatches, "store_batches", "Batches of changes that came to the store.";
    StoreCommits, "store_commits", "Times that the store was given something.";
    StoreSyncs, "store_syncs", "Those of them that went on until the disk had it.";
    StoreChanges, "store_changes", "Changes that were written.";
    StoreElided, "store_elided", "Changes that were not written, because they were taken back or made again before that.";
    StoreBytesWritten, "store_bytes_written", "Bytes of the changes that were written.";
    StoreSyncMicroseconds, "store_sync_microseconds", "How long the disk took for all syncs together.";
    DroppedNoMember, "dropped_no_member", "Messages for a shared subscription without a member that could take them.";
}

/// What goes up and down, and is nowhere else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum Gauge {
    /// Clients with a connection whose CONNECT was accepted.
    ConnectedClients,
    /// Messages that wait in sessions, in their queues, in flight, or for PUBREL; one for each session.
    WaitingMessages,
    /// Their payload bytes.
    WaitingBytes,
    /// Bytes in outboxes that the transport did not take.
    OutboxBytes,
    /// Batches that wait for the store; [set](Metrics::set), as all below.
    StoreQueueBatches,
    /// Bytes of batches that wait or are being written.
    StoreQueueBytes,
    /// For how many milliseconds the oldest change is there that is not durable.
    StoreLagMilliseconds,
    /// How long a sync took lately.
    StoreSyncMicroseconds,
    /// How long the longest took.
    StoreSyncMicrosecondsMax,
    /// How many changes were written at a time lately.
    StoreCommitChanges,
}

const GAUGES: usize = Gauge::StoreCommitChanges as usize + 1;

/// The values of all metrics, shared by all shards.
#[derive(Debug)]
pub struct Metrics {
    counters: [AtomicU64; Metric::ALL.len()],
    /// Each shard adds how much its part has changed, so a decrease wraps around.
    gauges: [AtomicU64; GAUGES],
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            counters: [const { AtomicU64::new(0) }; Metric::ALL.len()],
            gauges: [const { AtomicU64::new(0) }; GAUGES],
        }
    }
}

impl Metrics {
    /// Counts `n` more.
    pub fn add(&self, metric: Metric, n: u64) {
        self.counters[metric as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// Counts one more.
    pub fn count(&self, metric: Metric) {
        self.add(metric, 1);
    }

    /// The value now.
    pub fn get(&self, metric: Metric) -> u64 {
        self.counters[metric as usize].load(Ordering::Relaxed)
    }

    /// Sets what one place alone tells, and no shard has a part of.
    pub fn set(&self, gauge: Gauge, value: u64) {
        self.gauges[gauge as usize].store(value, Ordering::Relaxed);
    }

    /// The value now.
    pub fn gauge(&self, gauge: Gauge) -> u64 {
        self.gauges[gauge as usize].load(Ordering::Relaxed)
    }
}

/// What one shard counted and has not handed over: without atomics, since it counts several times per packet.
#[derive(Debug)]
pub(crate) struct Counts {
    counts: [u64; Metric::ALL.len()],
    /// A bit for each that is not 0: most are.
    touched: u64,
    /// By how much the shard's part of each has changed.
    gauges: [u64; GAUGES],
}

const _: () = assert!(Metric::ALL.len() <= u64::BITS as usize);

impl Default for Counts {
    fn default() -> Self {
        Self { counts: [0; Metric::ALL.len()], touched: 0, gauges: [0; GAUGES] }
    }
}

impl Counts {
    #[inline]
    pub(crate) fn add(&mut self, metric: Metric, n: u64) {
        self.counts[metric as usize] += n;
        self.touched |= 1 << metric as usize;
    }

    #[inline]
    pub(crate) fn count(&mut self, metric: Metric) {
        self.add(metric, 1);
    }

    /// A PUBLISH with so much payload was put into an outbox.
    #[inline]
    pub(crate) fn publish_sent(&mut self, payload_bytes: usize) {
        self.count(Metric::PublishSent);
        self.add(Metric::PublishBytesSent, payload_bytes as u64);
    }

    /// What was `before` of a gauge is `now`.
    #[inline]
    pub(crate) fn change(&mut self, gauge: Gauge, before: usize, now: usize) {
        let change = (now as u64).wrapping_sub(before as u64);
        self.gauges[gauge as usize] = self.gauges[gauge as usize].wrapping_add(change);
    }

    pub(crate) fn hand_over(&mut self, metrics: &Metrics) {
        for (change, gauge) in self.gauges.iter_mut().zip(&metrics.gauges) {
            if *change != 0 {
                gauge.fetch_add(std::mem::take(change), Ordering::Relaxed);
            }
        }
        let mut touched = std::mem::take(&mut self.touched);
        while touched != 0 {
            let metric = Metric::ALL[touched.trailing_zeros() as usize];
            metrics.add(metric, std::mem::take(&mut self.counts[metric as usize]));
            touched &= touched - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_handed_over_once() {
        let (metrics, mut counts) = (Metrics::default(), Counts::default());
        let last = Metric::ALL[Metric::ALL.len() - 1];
        counts.count(last);
        counts.add(Metric::BytesReceived, 7);
        for _ in 0..2 {
            counts.hand_over(&metrics);
            assert_eq!((metrics.get(last), metrics.get(Metric::BytesReceived)), (1, 7));
        }
        counts.count(last);
        counts.hand_over(&metrics);
        let sum: u64 = Metric::ALL.iter().map(|metric| metrics.get(*metric)).sum();
        assert_eq!(sum, 9);
    }

    #[test]
    fn a_gauge_is_the_sum_of_its_shards_parts() {
        let (metrics, mut here, mut there) = (Metrics::default(), Counts::default(), Counts::default());
        here.change(Gauge::WaitingMessages, 0, 5);
        there.change(Gauge::WaitingMessages, 0, 2);
        here.change(Gauge::WaitingMessages, 5, 1);
        here.hand_over(&metrics);
        there.hand_over(&metrics);
        assert_eq!(metrics.gauge(Gauge::WaitingMessages), 3);
        here.change(Gauge::WaitingMessages, 1, 0);
        for _ in 0..2 {
            here.hand_over(&metrics);
            assert_eq!(metrics.gauge(Gauge::WaitingMessages), 2);
        }
    }

    #[test]
    fn names_are_unique_snake_case() {
        for (i, metric) in Metric::ALL.iter().enumerate() {
            assert!(metric.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", metric.name());
            assert!(Metric::ALL[..i].iter().all(|other| other.name() != metric.name()), "{}", metric.name());
            assert!(metric.help().ends_with('.'));
        }
    }
}
