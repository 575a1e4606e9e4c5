//! The core's batches on their way into the store, and the store's tickets on their way back.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use noctule_broker::metric::{Gauge, Metric, Metrics};
use noctule_broker::record::{Operation, Wanted};
use noctule_broker::{SessionNumber, ShardIndex, Shared, Ticket, Urgency};
use noctule_persistence::{RetainedRows, Stored, Tickets, batch, urgency};
use noctule_storage::{Batch, Done, Pipeline, Statistics};

use super::QueueReader;

/// One shard's end of the pipeline that all shards push into.
pub(crate) struct Durability {
    pipeline: Arc<Pipeline>,
    /// Pushed and not known to be durable.
    waiting: Tickets,
    /// What the core was told about the queue before the store.
    is_full: bool,
    /// What was counted as done so far.
    counted: Done,
    /// Where nothing is stored there is nothing to read.
    reader: Option<QueueReader>,
}

impl Durability {
    pub(crate) fn new(pipeline: Arc<Pipeline>, reader: Option<QueueReader>) -> Self {
        let (waiting, counted) = (Tickets::default(), Done::default());
        Self { pipeline, waiting, is_full: false, counted, reader }
    }

    /// Asks for what a session has on disk only.
    pub(crate) fn read_queue(
        &self,
        shard: ShardIndex,
        slot: u32,
        session: SessionNumber,
        wanted: Vec<Wanted>,
    ) -> io::Result<()> {
        match &self.reader {
            Some(reader) => reader.ask(shard, slot, session, wanted),
            None => Err(io::Error::other("there is no store to read from")),
        }
    }

    /// Hands a batch on, with what is retained in `shared` when it gets its place. An error means that nothing can become
    /// durable any more: the broker must end.
    pub(crate) fn persist(
        &mut self,
        ticket: Ticket,
        operations: &[Operation],
        waits: Urgency,
        shared: &Shared,
    ) -> io::Result<()> {
        let (batch, retained) = match self.pipeline.forgets() {
            true => (Batch::new(), RetainedRows::default()),
            false => batch(operations, shared),
        };
        let complete = |batch: &mut Batch| retained.complete(batch, shared);
        let pushed = self.pipeline.push_with(batch, urgency(waits), complete).map_err(io::Error::other)?;
        self.waiting.pushed(pushed, ticket);
        Ok(())
    }

    /// Whether the queue before the store became full since the last call, or has room again.
    pub(crate) fn take_fullness(&mut self) -> Option<bool> {
        let is_full = self.pipeline.is_full();
        (std::mem::replace(&mut self.is_full, is_full) != is_full).then_some(is_full)
    }

    /// Brings the metrics up to date. One shard does it for all.
    pub(crate) fn measure(&mut self, metrics: &Metrics) {
        if self.pipeline.forgets() {
            return;
        }
        let Statistics { waiting_batches, waiting_bytes, lag, done } = self.pipeline.statistics();
        let news = done.since(&self.counted);
        self.counted = done;
        let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        metrics.add(Metric::StoreBatches, news.batches);
        metrics.add(Metric::StoreCommits, news.commits);
        metrics.add(Metric::StoreSyncs, news.syncs);
        metrics.add(Metric::StoreChanges, news.changes);
        metrics.add(Metric::StoreElided, news.elided);
        metrics.add(Metric::StoreBytesWritten, news.bytes);
        metrics.add(Metric::StoreSyncMicroseconds, microseconds(news.sync_time));
        metrics.set(Gauge::StoreQueueBatches, waiting_batches as u64);
        metrics.set(Gauge::StoreQueueBytes, waiting_bytes as u64);
        metrics.set(Gauge::StoreLagMilliseconds, microseconds(lag) / 1000);
        metrics.set(Gauge::StoreSyncMicrosecondsMax, microseconds(done.sync_time_max));
        if let Some(mean) = microseconds(news.sync_time).checked_div(news.syncs) {
            metrics.set(Gauge::StoreSyncMicroseconds, mean);
        }
        if let Some(mean) = news.changes.checked_div(news.commits) {
            metrics.set(Gauge::StoreCommitChanges, mean);
        }
    }

    /// Whether there will be news of the store for this shard.
    pub(crate) fn waits(&self) -> bool {
        !self.waiting.is_empty() || self.is_full
    }

    /// What became of this shard's batches since the last call.
    pub(crate) fn take_stored(&mut self) -> Stored {
        self.waiting.take(self.pipeline.flushed_up_to(), self.pipeline.durable_up_to())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Barrier;
    use std::sync::mpsc::channel;

    use noctule_broker::record::{Record, RetainedRow, SessionRecord, Table};
    use noctule_broker::{
        ConnectionKey, Effect, Input, ListenerIndex, Now, SessionNumber, Settings, Shard, ShardIndex,
    };
    use noctule_storage::{Keyspace, MemoryStore, Report};

    use super::*;

    fn session(number: u64) -> Operation {
        Operation::PutSession(SessionRecord {
            number: SessionNumber(number),
            client_id: "me".into(),
            user_name: None,
            expiry: 60,
            disconnected_at: None,
            will: None,
        })
    }

    fn shared() -> Shared {
        Shared::new(&Settings::default())
    }

    #[test]
    fn what_forgets_is_durable_at_once() {
        let shared = shared();
        let mut durability = Durability::new(Arc::new(Pipeline::immediate()), None);
        assert_eq!(durability.take_stored(), Stored::default());
        durability.persist(Ticket(1), &[session(1)], Urgency::Sync, &shared).unwrap();
        durability.persist(Ticket(2), &[session(2)], Urgency::Lazy, &shared).unwrap();
        assert_eq!(durability.take_stored().durable, Some(Ticket(2)));
        assert_eq!(durability.take_stored(), Stored::default());
    }

    #[test]
    fn rows_reach_the_store_and_two_shards_get_their_own_tickets_back() {
        let (send, reports) = channel();
        let report = Box::new(move |report: Report| send.send(report).unwrap());
        let pipeline = Pipeline::start(Box::new(MemoryStore::default()), 1 << 20, report).unwrap();
        let pipeline = Arc::new(pipeline);
        let mut one = Durability::new(Arc::clone(&pipeline), None);
        let mut two = Durability::new(Arc::clone(&pipeline), None);
        let shared = shared();
        one.persist(Ticket(7), &[session(1)], Urgency::Sync, &shared).unwrap();
        two.persist(Ticket(1), &[session(2)], Urgency::Sync, &shared).unwrap();
        while !(one.waiting.is_empty() && two.waiting.is_empty()) {
            reports.recv().unwrap();
            if let Some(ticket) = one.take_stored().durable {
                assert_eq!(ticket, Ticket(7));
            }
            if let Some(ticket) = two.take_stored().durable {
                assert_eq!(ticket, Ticket(1));
            }
        }
        let store = pipeline.close().unwrap();
        let mut numbers = Vec::new();
        store
            .scan(Keyspace::Session, b"", &mut |key, value| {
                match Record::decode(Table::Session, key, value).unwrap() {
                    Record::Session(record) => numbers.push(record.number.0),
                    other => panic!("{other:?}"),
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(numbers, [1, 2]);
        assert!(one.persist(Ticket(8), &[], Urgency::Sync, &shared).is_err());
    }

    const ROUNDS: u16 = 3_000;
    const SHARDS: u16 = 3;

    fn topic(round: u16) -> String {
        format!("{round:04}")
    }

    /// A shard with one client, which retains or clears a message of another topic in each round.
    fn retain_in_rounds(index: u16, shared: &Shared, pipeline: &Arc<Pipeline>, round_begins: &Barrier) {
        let mut shard = Shard::new(Arc::new(Settings::default()), ShardIndex(index), SHARDS, index.into());
        let mut durability = Durability::new(Arc::clone(pipeline), None);
        let mut effects = Vec::new();
        let connection = ConnectionKey { index: 0, generation: 0 };
        let now = Now { monotonic: Duration::from_secs(1), ..Now::default() };
        let connected = Input::Connected { connection, listener: ListenerIndex(0), peer: None };
        shard.handle(shared, connected, now, &mut effects);
        let connect = [&b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01"[..], &[b'a' + index as u8]].concat();
        shard.handle(shared, Input::Received { connection, bytes: &connect }, now, &mut effects);
        for round in 0..ROUNDS {
            let payload = if (round + index).is_multiple_of(4) { &[][..] } else { &[b'0' + index as u8] };
            let head = [0x31, 6 + payload.len() as u8, 0, 4];
            let publish = [&head[..], topic(round).as_bytes(), payload].concat();
            round_begins.wait();
            shard.handle(shared, Input::Received { connection, bytes: &publish }, now, &mut effects);
            shard.end_turn(shared, &mut effects);
            std::thread::yield_now();
            for effect in effects.drain(..) {
                if let Effect::Persist { ticket, operations, urgency } = effect {
                    durability.persist(ticket, &operations, urgency, shared).unwrap();
                }
            }
        }
    }

    #[test]
    fn shards_that_retain_one_topic_store_what_is_retained_in_the_end() {
        let pipeline = Pipeline::start(Box::new(MemoryStore::default()), 1 << 30, Box::new(|_| {})).unwrap();
        let (pipeline, shared) = (Arc::new(pipeline), shared());
        let round_begins = Barrier::new(SHARDS.into());
        std::thread::scope(|scope| {
            for index in 0..SHARDS {
                let (shared, pipeline, round_begins) = (&shared, &pipeline, &round_begins);
                scope.spawn(move || retain_in_rounds(index, shared, pipeline, round_begins));
            }
        });
        let store = pipeline.close().unwrap();
        for topic in (0..ROUNDS).map(topic) {
            let retained = RetainedRow::read(&shared, &topic).latest(&shared).value;
            assert_eq!(store.get(Keyspace::Retained, topic.as_bytes()).unwrap(), retained, "{topic}");
        }
        assert!((1..ROUNDS.into()).contains(&shared.retained_count()));
    }
}
