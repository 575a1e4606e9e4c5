//! Tests of `pipeline`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::{FaultyStore, Keyspace, MemoryStore, Reader, Visit, VolatileStore};

const BOUND: usize = 1 << 20;
/// Far longer than anything here takes; only a failing test waits so long.
const LONG: Duration = Duration::from_secs(30);

/// The batches of a commit, and whether it synced.
type Committed = (Vec<Batch>, bool);

/// Tells each commit, and goes on when it is told to.
struct Gate {
    began: Sender<Committed>,
    go_on: Receiver<()>,
}

impl Store for Gate {
    fn commit(&mut self, batches: &[Batch], sync: bool) -> Result<(), StoreError> {
        self.began.send((batches.to_vec(), sync)).unwrap();
        self.go_on.recv_timeout(LONG).unwrap();
        Ok(())
    }

    fn get(&self, _: Keyspace, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn scan(&self, _: Keyspace, _: &[u8], _: &mut Visit<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn reader(&self) -> Arc<dyn Reader> {
        VolatileStore.reader()
    }
}

fn start(store: impl Store + 'static, bound: usize) -> (Pipeline, Receiver<Report>) {
    let (sender, reports) = channel();
    let report = move |report| sender.send(report).unwrap();
    (Pipeline::start(Box::new(store), bound, Box::new(report)).unwrap(), reports)
}

fn gated(bound: usize) -> (Pipeline, Receiver<Report>, Receiver<Committed>, Sender<()>) {
    let ((began, commits), (go_on, gate)) = (channel(), channel());
    let (pipeline, reports) = start(Gate { began, go_on: gate }, bound);
    (pipeline, reports, commits, go_on)
}

fn batch(key: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(Keyspace::Message, key, "value");
    batch
}

#[track_caller]
fn durable(reports: &Receiver<Report>) -> u64 {
    match reports.recv_timeout(LONG).unwrap() {
        Report::DurableUpTo(ticket) => ticket.number(),
        Report::WrittenUpTo(_) => durable(reports),
        Report::Failed(error) => panic!("{error}"),
    }
}

#[test]
fn what_gathers_during_a_sync_is_written_by_the_next_one() {
    let (pipeline, reports, commits, go_on) = gated(BOUND);
    assert_eq!(pipeline.push(batch("1"), Urgency::Sync).unwrap().number(), 1);
    assert_eq!(commits.recv_timeout(LONG).unwrap(), (vec![batch("1")], true));
    for key in ["2", "3", "4"] {
        pipeline.push(batch(key), if key == "3" { Urgency::Sync } else { Urgency::Lazy }).unwrap();
    }
    assert_eq!(pipeline.durable_up_to().number(), 0, "not before the sync has returned");
    go_on.send(()).unwrap();
    assert_eq!(durable(&reports), 1);
    assert_eq!(commits.recv_timeout(LONG).unwrap(), (vec![batch("2"), batch("3"), batch("4")], true));
    assert_eq!(pipeline.durable_up_to().number(), 1);
    go_on.send(()).unwrap();
    assert_eq!(durable(&reports), 4);
    assert_eq!((pipeline.durable_up_to().number(), pipeline.bytes()), (4, 0));
}

#[test]
fn a_full_queue_says_so_takes_what_comes_and_goes_on_by_itself() {
    let (pipeline, reports, commits, go_on) = gated(batch("1").bytes() * 3);
    pipeline.push(batch("1"), Urgency::Sync).unwrap();
    commits.recv_timeout(LONG).unwrap();
    for key in ["2", "3"] {
        assert!(!pipeline.is_full());
        pipeline.push(batch(key), Urgency::Sync).unwrap();
    }
    pipeline.push(batch("4"), Urgency::Sync).unwrap();
    assert!(pipeline.is_full());
    go_on.send(()).unwrap();
    assert_eq!((durable(&reports), pipeline.is_full()), (1, true), "more than a half is left");
    go_on.send(()).unwrap();
    assert_eq!((durable(&reports), pipeline.is_full()), (4, false));
}

#[test]
fn what_was_pushed_can_be_hurried() {
    let (pipeline, reports, commits, go_on) = gated(BOUND);
    pipeline.push(batch("1"), Urgency::Lazy).unwrap();
    assert_eq!(pipeline.hurry(Urgency::Flush).number(), 1);
    assert_eq!(commits.recv_timeout(LONG).unwrap(), (vec![batch("1")], false));
    go_on.send(()).unwrap();
    assert!(
        matches!(reports.recv_timeout(LONG).unwrap(), Report::WrittenUpTo(ticket) if ticket.number() == 1)
    );
    assert_eq!(pipeline.hurry(Urgency::Sync).number(), 1);
    assert_eq!(commits.recv_timeout(LONG).unwrap(), (vec![], true));
    go_on.send(()).unwrap();
    assert_eq!(durable(&reports), 1);
}

#[test]
fn what_was_done_is_counted_and_what_waits_told() {
    let (pipeline, reports, commits, go_on) = gated(BOUND);
    pipeline.push(batch("1"), Urgency::Sync).unwrap();
    commits.recv_timeout(LONG).unwrap();
    for key in ["2", "2", "2"] {
        pipeline.push(batch(key), Urgency::Flush).unwrap();
    }
    let Statistics { waiting_batches, waiting_bytes, lag, done } = pipeline.statistics();
    assert_eq!((waiting_batches, waiting_bytes, done), (3, batch("1").bytes() * 4, Done::default()));
    assert!(lag > Duration::ZERO);
    go_on.send(()).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(durable(&reports), 1);
    assert!(matches!(reports.recv_timeout(LONG).unwrap(), Report::WrittenUpTo(_)));
    let Statistics { waiting_batches, waiting_bytes, lag, done } = pipeline.statistics();
    assert_eq!((waiting_batches, waiting_bytes), (0, 0));
    assert!(lag > Duration::ZERO, "the second commit is not synced");
    let Done { batches, commits, syncs, changes, elided, bytes, sync_time, sync_time_max } = done;
    assert_eq!((batches, commits, syncs, changes, elided, bytes), (4, 2, 1, 2, 2, 12));
    assert!(sync_time == sync_time_max && sync_time > Duration::ZERO);
    pipeline.hurry(Urgency::Sync);
    go_on.send(()).unwrap();
    assert_eq!((durable(&reports), pipeline.statistics().lag), (4, Duration::ZERO));
}

#[test]
fn what_is_taken_back_in_time_never_comes_to_the_store() {
    let (pipeline, reports, commits, go_on) = gated(BOUND);
    pipeline.push(batch("1"), Urgency::Sync).unwrap();
    commits.recv_timeout(LONG).unwrap();
    let (mut put, mut delete) = (Batch::new(), Batch::new());
    put.put_new(Keyspace::Message, "2", "value");
    delete.delete(Keyspace::Message, "2");
    pipeline.push(put, Urgency::Sync).unwrap();
    pipeline.push(delete, Urgency::Lazy).unwrap();
    go_on.send(()).unwrap();
    assert_eq!((durable(&reports), durable(&reports)), (1, 3));
    assert!(commits.try_recv().is_err(), "neither written nor synced");
}

#[test]
fn what_nobody_waits_for_becomes_durable_by_itself() {
    let (pipeline, reports) = start(MemoryStore::new(), BOUND);
    pipeline.push(batch("1"), Urgency::Lazy).unwrap();
    assert_eq!(durable(&reports), 1);
}

#[test]
fn closing_writes_what_waits_and_gives_the_store_back() {
    let (pipeline, reports) = start(FaultyStore::new(1), BOUND);
    pipeline.push(batch("1"), Urgency::Lazy).unwrap();
    pipeline.push(batch("2"), Urgency::Lazy).unwrap();
    let store = pipeline.close().unwrap();
    assert_eq!(durable(&reports), 2);
    assert!(store.get(Keyspace::Message, b"2").unwrap().is_some());
    assert!(matches!(pipeline.push(batch("3"), Urgency::Sync), Err(Closed)));
    assert!(pipeline.close().is_none());
}

#[test]
fn each_shard_is_written_in_its_order_and_all_in_the_order_of_tickets() {
    let disk = FaultyStore::new(1);
    let (pipeline, reports) = start(disk.clone(), BOUND);
    // Every batch sets the same key of its shard; the last one must win.
    let tickets: Vec<(Ticket, String)> = thread::scope(|scope| {
        let shards: Vec<_> = (0..4)
            .map(|shard| {
                let pipeline = &pipeline;
                scope.spawn(move || {
                    let mut last = Ticket::default();
                    for n in 1..=500 {
                        let mut batch = Batch::new();
                        batch.put(Keyspace::Cursor, format!("{shard}"), format!("{n}"));
                        batch.put(Keyspace::Meta, "last", format!("{shard}/{n}"));
                        let ticket = pipeline
                            .push(batch, if n % 7 == 0 { Urgency::Sync } else { Urgency::Lazy })
                            .unwrap();
                        assert!(ticket > last);
                        last = ticket;
                    }
                    (last, format!("{shard}/500"))
                })
            })
            .collect();
        shards.into_iter().map(|shard| shard.join().unwrap()).collect()
    });
    pipeline.close();
    let mut up_to = 0;
    for report in reports.try_iter() {
        let ticket = match report {
            Report::DurableUpTo(ticket) => ticket,
            Report::WrittenUpTo(_) => continue,
            Report::Failed(error) => panic!("{error}"),
        };
        assert!(ticket.number() > up_to);
        up_to = ticket.number();
    }
    assert_eq!(up_to, 2000);
    disk.crash();
    for shard in 0..4 {
        let value = disk.get(Keyspace::Cursor, format!("{shard}").as_bytes()).unwrap();
        assert_eq!(value.as_deref(), Some(&b"500"[..]));
    }
    let (_, last) = tickets.into_iter().max().unwrap();
    assert_eq!(disk.get(Keyspace::Meta, b"last").unwrap(), Some(last.into_bytes()));
}

#[test]
fn a_failing_store_is_told_once_and_nothing_is_durable_after_it() {
    let disk = FaultyStore::new(1);
    disk.fail_after(1);
    let (pipeline, reports) = start(disk.clone(), BOUND);
    pipeline.push(batch("1"), Urgency::Sync).unwrap();
    assert_eq!(durable(&reports), 1);
    pipeline.push(batch("2"), Urgency::Sync).unwrap();
    assert!(matches!(reports.recv_timeout(LONG).unwrap(), Report::Failed(StoreError::Io { .. })));
    assert!(matches!(pipeline.push(batch("3"), Urgency::Sync), Err(Closed)));
    assert_eq!((pipeline.durable_up_to().number(), pipeline.bytes()), (1, 0));
    assert!(pipeline.close().is_some());
    assert!(reports.recv().is_err(), "the failure was the last report");
    disk.crash();
    assert!(disk.get(Keyspace::Message, b"1").unwrap().is_some(), "durable is durable");
}

#[test]
fn the_death_of_the_storage_thread_is_not_passed_over() {
    let (pipeline, reports, commits, go_on) = gated(BOUND);
    pipeline.push(batch("1"), Urgency::Sync).unwrap();
    drop(commits.recv_timeout(LONG).unwrap());
    drop(go_on); // the store panics
    assert!(reports.recv_timeout(LONG).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| pipeline.close())).is_err());
}

#[test]
fn without_persistence_a_ticket_is_durable_when_it_is_given() {
    let pipeline = Pipeline::immediate();
    for number in 1..=3 {
        assert_eq!(
            pipeline
                .push(batch("1"), if number == 2 { Urgency::Sync } else { Urgency::Lazy })
                .unwrap()
                .number(),
            number
        );
        assert_eq!(pipeline.durable_up_to().number(), number);
    }
    assert_eq!(pipeline.bytes(), 0);
    assert!(pipeline.close().is_none());
}
