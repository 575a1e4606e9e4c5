//! The core's batches on their way into the store, and the store's tickets on their way back.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use noctule_broker::Ticket;
use noctule_broker::record::{Change, Operation, Table};
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

    /// Hands a batch on. An error means that nothing can become durable any more: the broker must end.
    pub(crate) fn persist(
        &mut self,
        ticket: Ticket,
        operations: &[Operation],
        urgent: bool,
    ) -> io::Result<()> {
        let mut batch = Batch::new();
        if !self.pipeline.forgets() {
            for operation in operations {
                operation.changes(|Change { table, key, value }| match value {
                    Some(value) => batch.put(keyspace(table), key, value),
                    None => batch.delete(keyspace(table), key),
                });
            }
        }
        let pushed = self.pipeline.push(batch, urgent).map_err(|error| match error {
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
    use std::sync::mpsc::channel;

    use noctule_broker::SessionNumber;
    use noctule_broker::record::{Record, SessionRecord};
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

    #[test]
    fn what_forgets_is_durable_at_once() {
        let mut durability = Durability::new(Arc::new(Pipeline::immediate()));
        assert_eq!(durability.take_durable(), None);
        durability.persist(Ticket(1), &[session(1)], true).unwrap();
        durability.persist(Ticket(2), &[session(2)], false).unwrap();
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
        one.persist(Ticket(7), &[session(1)], true).unwrap();
        two.persist(Ticket(1), &[session(2)], true).unwrap();
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
        assert!(one.persist(Ticket(8), &[], true).is_err());
    }
}
