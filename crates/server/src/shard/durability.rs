//! The core's batches on their way into the store, and the store's tickets on their way back.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use noctule_broker::record::{Change, Operation, RetainedRow, Table};
use noctule_broker::{Shared, Ticket};
use noctule_storage::{Batch, Keyspace, Pipeline, PushError};

/// One shard's end of the pipeline that all shards push into.
pub(crate) struct Durability {
    pipeline: Arc<Pipeline>,
    /// Pushed and not known to be durable: the pipeline's ticket, and this shard's own.
    waiting: VecDeque<(noctule_storage::Ticket, Ticket)>,
}

impl Durability {
    pub(crate) fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline, waiting: VecDeque::new() }
    }

    /// Hands a batch on, with what is retained in `shared` when it gets its place. An error means that nothing can become
    /// durable any more: the broker must end.
    pub(crate) fn persist(
        &mut self,
        ticket: Ticket,
        operations: &[Operation],
        urgent: bool,
        shared: &Shared,
    ) -> io::Result<()> {
        let mut batch = Batch::new();
        let mut retained = Vec::new();
        if !self.pipeline.forgets() {
            for operation in operations {
                match operation.retained_topic() {
                    Some(topic) => retained.push(RetainedRow::read(shared, topic)),
                    None => operation.changes(|change| add(&mut batch, change)),
                }
            }
        }
        let complete = |batch: &mut Batch| {
            retained.into_iter().for_each(|row| add(batch, row.latest(shared)));
        };
        let pushed = self.pipeline.push_with(batch, urgent, complete).map_err(|error| match error {
            PushError::Full(_) => io::Error::other("the store cannot keep up"),
            PushError::Closed(_) => io::Error::other("the store has failed or was closed"),
        })?;
        self.waiting.push_back((pushed, ticket));
        Ok(())
    }

    /// The last of this shard's batches that became durable since the last call.
    pub(crate) fn take_durable(&mut self) -> Option<Ticket> {
        let durable = self.pipeline.durable_up_to();
        let mut last = None;
        while let Some((_, ticket)) = self.waiting.pop_front_if(|(pushed, _)| *pushed <= durable) {
            last = Some(ticket);
        }
        last
    }
}

fn add(batch: &mut Batch, Change { table, key, value }: Change) {
    match value {
        Some(value) => batch.put(keyspace(table), key, value),
        None => batch.delete(keyspace(table), key),
    }
}

const fn keyspace(table: Table) -> Keyspace {
    match table {
        Table::Session => Keyspace::Session,
        Table::Subscription => Keyspace::Subscription,
        Table::Message => Keyspace::Message,
        Table::Delivery => Keyspace::Delivery,
        Table::Recipient => Keyspace::Recipient,
        Table::State => Keyspace::State,
        Table::Released => Keyspace::Released,
        Table::Incoming => Keyspace::Incoming,
        Table::Retained => Keyspace::Retained,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Barrier;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use noctule_broker::record::{Record, SessionRecord};
    use noctule_broker::{
        ConnectionKey, Effect, Input, ListenerIndex, Now, SessionNumber, Settings, Shard, ShardIndex,
    };
    use noctule_storage::{MemoryStore, Report};

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
        let mut durability = Durability::new(Arc::new(Pipeline::immediate()));
        assert_eq!(durability.take_durable(), None);
        durability.persist(Ticket(1), &[session(1)], true, &shared).unwrap();
        durability.persist(Ticket(2), &[session(2)], false, &shared).unwrap();
        assert_eq!(durability.take_durable(), Some(Ticket(2)));
        assert_eq!(durability.take_durable(), None);
    }

    #[test]
    fn rows_reach_the_store_and_two_shards_get_their_own_tickets_back() {
        let (send, reports) = channel();
        let report = Box::new(move |report: Report| send.send(report).unwrap());
        let pipeline = Pipeline::start(Box::new(MemoryStore::default()), 1 << 20, report).unwrap();
        let pipeline = Arc::new(pipeline);
        let mut one = Durability::new(Arc::clone(&pipeline));
        let mut two = Durability::new(Arc::clone(&pipeline));
        let shared = shared();
        one.persist(Ticket(7), &[session(1)], true, &shared).unwrap();
        two.persist(Ticket(1), &[session(2)], true, &shared).unwrap();
        while one.waiting.len() + two.waiting.len() > 0 {
            reports.recv().unwrap();
            if let Some(ticket) = one.take_durable() {
                assert_eq!(ticket, Ticket(7));
            }
            if let Some(ticket) = two.take_durable() {
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
        assert!(one.persist(Ticket(8), &[], true, &shared).is_err());
    }

    const ROUNDS: u16 = 3_000;
    const SHARDS: u16 = 3;

    fn topic(round: u16) -> String {
        format!("{round:04}")
    }

    /// A shard with one client, which retains or clears a message of another topic in each round.
    fn retain_in_rounds(index: u16, shared: &Shared, pipeline: &Arc<Pipeline>, round_begins: &Barrier) {
        let mut shard = Shard::new(Arc::new(Settings::default()), ShardIndex(index), SHARDS, index.into());
        let mut durability = Durability::new(Arc::clone(pipeline));
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
                if let Effect::Persist { ticket, operations, urgent } = effect {
                    durability.persist(ticket, &operations, urgent, shared).unwrap();
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
