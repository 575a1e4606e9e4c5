//! All that `$SYS` shows, read at one moment.

use crate::metric::{Gauge, Metric};
use crate::shared::Shared;

/// Numbers of one moment: what several topics show is the same in all of them.
#[derive(Debug)]
pub struct Reading<'a> {
    pub(super) version: &'a str,
    counters: [u64; Metric::ALL.len()],
    pub(super) sessions: u64,
    pub(super) connected: u64,
    pub(super) subscriptions: u64,
    pub(super) shared_subscriptions: u64,
    pub(super) retained: u64,
    pub(super) stored: u64,
    pub(super) stored_bytes: u64,
    pub(super) memory: u64,
    pub(super) outbox_bytes: u64,
    pub(super) store: Store,
}

/// What waits for the store, and how quick that was lately.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) queue_batches: u64,
    pub(super) queue_bytes: u64,
    pub(super) lag: u64,
    pub(super) sync_time: u64,
    pub(super) sync_time_max: u64,
    pub(super) commit_changes: u64,
}

impl<'a> Reading<'a> {
    /// What `shared` shows now.
    pub fn new(shared: &Shared, version: &'a str) -> Self {
        let gauge = |gauge| {
            // Between the shards' reports a part may be missing, and the sum below zero.
            i64::try_from(shared.metrics.gauge(gauge)).map_or(0, i64::unsigned_abs)
        };
        let sessions = shared.session_count() as u64;
        let retained = shared.retained_count() as u64;
        Self {
            version,
            counters: std::array::from_fn(|at| shared.metrics.get(Metric::ALL[at])),
            sessions,
            connected: gauge(Gauge::ConnectedClients).min(sessions),
            subscriptions: shared.subscription_count() as u64,
            shared_subscriptions: shared.shared_subscription_count() as u64,
            retained,
            stored: retained + gauge(Gauge::WaitingMessages),
            stored_bytes: shared.retained_bytes() + gauge(Gauge::WaitingBytes),
            memory: shared.memory_used() as u64,
            outbox_bytes: gauge(Gauge::OutboxBytes),
            store: Store {
                queue_batches: gauge(Gauge::StoreQueueBatches),
                queue_bytes: gauge(Gauge::StoreQueueBytes),
                lag: gauge(Gauge::StoreLagMilliseconds),
                sync_time: gauge(Gauge::StoreSyncMicroseconds),
                sync_time_max: gauge(Gauge::StoreSyncMicrosecondsMax),
                commit_changes: gauge(Gauge::StoreCommitChanges),
            },
        }
    }

    pub(super) fn counter(&self, metric: Metric) -> u64 {
        self.counters[metric as usize]
    }

    /// Packets of all types that were sent.
    pub(super) fn packets_sent(&self) -> u64 {
        self.counter(Metric::PublishSent) + self.counter(Metric::AnswersSent)
    }

    /// Messages that were dropped because their receiver was behind: Mosquitto counts no others.
    pub(super) fn dropped(&self) -> u64 {
        self.counter(Metric::DroppedOutboxFull)
            + self.counter(Metric::DroppedQueueFull)
            + self.counter(Metric::DroppedMemory)
    }

    pub(super) fn refused_store_full(&self) -> u64 {
        self.counter(Metric::DroppedStoreFull)
            + self.counter(Metric::RefusedStoreFull)
            + self.counter(Metric::SubscriptionsRefusedStoreFull)
            + self.counter(Metric::ConnectsRefusedStoreFull)
    }

    /// About how many packets the bytes in outboxes are: as many as there were in so many bytes so far.
    pub(super) fn outbox_packets(&self) -> u64 {
        let packets = self.packets_sent().max(1);
        let bytes_of_one = (self.counter(Metric::BytesSent) / packets).max(2);
        self.outbox_bytes.div_ceil(bytes_of_one)
    }
}
