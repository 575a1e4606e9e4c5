//! The thread that reads what waits for sessions on disk only.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use noctule_broker::record::Wanted;
use noctule_broker::{SessionNumber, ShardIndex};
use noctule_persistence::StoredRows;
use noctule_storage::{Pipeline, Reader, Ticket, Urgency};

use super::{Mail, Neighbours};

/// About how many bytes of messages are read for one session at a time.
const BYTES_MAX: usize = 1 << 20;

/// One shard's way to ask for what its sessions have on disk. Shards never wait for the disk; each session asks for a part
/// when its turn comes nearer, so what is asked for at one time is bounded by the sessions that are connected.
#[derive(Clone, Debug)]
pub(crate) struct QueueReader {
    pipeline: Arc<Pipeline>,
    requests: Sender<Request>,
}

#[derive(Debug)]
struct Request {
    shard: ShardIndex,
    slot: u32,
    session: SessionNumber,
    wanted: Vec<Wanted>,
    /// What must be written before.
    behind: Ticket,
}

impl QueueReader {
    /// Starts the thread. It ends when nobody can ask it any more.
    pub(crate) fn start(
        reader: Arc<dyn Reader>,
        pipeline: Arc<Pipeline>,
        shards: Arc<Neighbours>,
    ) -> io::Result<Self> {
        let (requests, asked) = channel();
        let written = Arc::clone(&pipeline);
        let rows = StoredRows::new(reader);
        thread::Builder::new()
            .name("noctule-reader".to_owned())
            .spawn(move || read(&asked, &rows, &written, &shards))?;
        Ok(Self { pipeline, requests })
    }

    /// Asks for deliveries of a session of `shard`, which gets them by mail. All that was pushed up to now is written before.
    pub(crate) fn ask(
        &self,
        shard: ShardIndex,
        slot: u32,
        session: SessionNumber,
        wanted: Vec<Wanted>,
    ) -> io::Result<()> {
        let behind = self.pipeline.hurry(Urgency::Flush);
        let request = Request { shard, slot, session, wanted, behind };
        self.requests.send(request).map_err(|_| io::Error::other("the thread that reads the store has ended"))
    }
}

fn read(asked: &Receiver<Request>, rows: &StoredRows, pipeline: &Pipeline, shards: &Neighbours) {
    while let Ok(Request { shard, slot, session, wanted, behind }) = asked.recv() {
        if !pipeline.wait_until_flushed(behind) {
            return; // The store failed or is closed: the broker ends.
        }
        let (found, error) = Wanted::read_some(&wanted, rows, BYTES_MAX);
        shards.mailbox(shard).send(Mail::QueueRead { slot, session, found, error });
    }
}
