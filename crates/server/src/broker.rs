//! A running broker: its threads, and how they end.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::Poll;
use noctule_broker::{Settings, Shard, ShardIndex, Shared};
use noctule_config::{Config, LogTypes};
use noctule_persistence::StoredRows;
use noctule_storage::{Pipeline, Reader, Report, Store, Urgency};

use crate::Notice;
use crate::acceptor::{Acceptor, Stopper};
use crate::auth::Verifier;
use crate::checkpoint::Checkpoint;
use crate::data::Data;
use crate::error::StartError;
use crate::import;
use crate::listener::{Listeners, Places};
use crate::log::Log;
use crate::memory::{Gauge, Measurement};
use crate::program::Program;
use crate::retained_loader::{Rest, RetainedLoader};
use crate::settings;
use crate::shard::{Clock, Durability, EventLoop, MAILBOX, Mail, Neighbours, QueueReader};
use crate::store::BackupService;
use crate::store_room;

/// How long ending may take. The shards themselves give their clients one second.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);
/// The most event loops there are without being told, as in `worker_threads`.
const WORKER_THREADS_MAX: u16 = 256;

/// Bytes of changes that may wait for the store or be on their way to it.
const STORE_QUEUE_BYTES_MAX: usize = 64 << 20;
/// How long the reason of a store's failure may lag behind a thread that ended of it.
const STORE_FAILURE_TIME_MAX: Duration = Duration::from_secs(1);

/// Listening sockets with the threads that serve them.
#[derive(Debug)]
pub struct Broker {
    addresses: Vec<SocketAddr>,
    acceptor: Stopper,
    shards: Arc<Neighbours>,
    /// What is kept across restarts, if anything is.
    data: Option<Data>,
    /// Makes copies of that.
    backups: Option<BackupService>,
    /// Reads what of it is retained.
    retained_loader: Option<RetainedLoader>,
    pipeline: Arc<Pipeline>,
    checkpoint: Arc<Checkpoint>,
    verifier: Arc<Verifier>,
    shared: Arc<Shared>,
    /// What the shards were told last.
    settings: Arc<Settings>,
    /// Connections of all listeners.
    places: Arc<Places>,
    /// Whether the acceptor logs whom it turns away.
    connection_messages: Arc<AtomicBool>,
    /// Threads that have not ended yet.
    running: usize,
    notices: Receiver<Notice>,
    notify: Sender<Notice>,
}

impl Broker {
    /// Starts serving. The log lines of its life go to `log`. `give_back_memory` gives what is free back to the system, as
    /// far as the calling thread holds it.
    pub fn start(
        program: Program,
        config: &Config,
        log: &Log,
        listeners: Listeners,
        give_back_memory: fn(),
    ) -> Result<Self, StartError> {
        let (notify, notices) = channel();
        let no_random = |error: getrandom::Error| StartError::system("get random numbers")(error.into());
        let secret = [getrandom::u64().map_err(no_random)?, getrandom::u64().map_err(no_random)?];
        let first_source = getrandom::u32().map_err(no_random)?;
        let settings = Arc::new(Settings {
            version: program.full_version(),
            ..settings::of_broker(config, &listeners, log.types(), secret)
        });
        let shared = Arc::new(Shared::new(&settings));
        let gauge = match Gauge::open(give_back_memory, log.clone()) {
            Ok(gauge) => Some(Arc::new(gauge)),
            Err(_) if settings.memory_limit == 0 => None,
            Err(error) => return Err(StartError::system("measure memory")(error)),
        };
        let clock = Clock::start();

        let addresses = listeners.addresses().collect();
        let count = worker_threads(config);
        let polls = (0..count).map(|_| Poll::new()).collect::<io::Result<Vec<_>>>();
        let polls = polls.map_err(StartError::system("watch sockets"))?;
        let shards = Neighbours::new(&polls, MAILBOX, config.worker_connections_min)
            .map_err(StartError::system("watch sockets"))?;
        let shards = Arc::new(shards);
        let publisher = Arc::downgrade(&shards);
        log.outlet().attach(move || {
            // Without a broker they wait.
            if let Some(shards) = publisher.upgrade() {
                shards.mailbox(ShardIndex(0)).send(Mail::LogLines);
            }
        });
        let verifier = Verifier::start(config, Arc::clone(&shards), log.clone());
        let verifier = Arc::new(verifier.map_err(StartError::system("start a thread"))?);
        let mut cores: Vec<_> = (0..count)
            .map(|index| {
                let source = first_source.wrapping_add(index.into());
                Shard::new(Arc::clone(&settings), ShardIndex(index), count, source)
            })
            .collect();
        let mut restored = Vec::new();
        let checkpoint = Arc::new(Checkpoint::new(notify.clone()));
        let data = Data::open(&config.persistence)?;
        let (mut backups, mut reader, mut rest) = (None, None, None);
        let pipeline = match &data {
            // What is in memory is as durable as it gets.
            None => Pipeline::immediate(),
            Some(data) => {
                let mut store = data.store()?;
                import::take_over(&mut store, data.path(), &config.persistence, clock.now().wall, log)?;
                backups = data.serve_backups(&store, log);
                let found = data.restore(&store, &mut cores, &shared, clock.now(), &mut restored)?;
                found.tell(log);
                rest = found.rest;
                reader = Some(store.reader());
                let report = tell(Arc::clone(&shards), Arc::clone(&checkpoint), notify.clone());
                let store = store_room::watch(store, data.path(), &shared, log, notify.clone())?;
                Pipeline::start(Box::new(store), STORE_QUEUE_BYTES_MAX, Box::new(report))
                    .map_err(StartError::system("start a thread"))?
            }
        };
        let pipeline = Arc::new(pipeline);
        let store = reader.clone();
        let reader = reader
            .map(|reader| QueueReader::start(reader, Arc::clone(&pipeline), Arc::clone(&shards)))
            .transpose()
            .map_err(StartError::system("start a thread"))?;
        let mut event_loops = Vec::new();
        for ((poll, index), core) in polls.into_iter().zip(0..count).zip(cores) {
            let place = (poll, ShardIndex(index), Arc::clone(&shards));
            let durability = Durability::new(Arc::clone(&pipeline), reader.clone());
            let shared = Arc::clone(&shared);
            let measurement = Measurement::new(gauge.clone());
            let verifier = Arc::clone(&verifier);
            let mut event_loop =
                EventLoop::new(place, (core, shared), durability, verifier, measurement, clock, log.clone());
            event_loop.begin_with(mem::take(&mut restored));
            event_loops.push(event_loop);
        }
        let places = listeners.places();
        let connection_messages = Arc::new(AtomicBool::new(config.log.connection_messages));
        let told = Arc::clone(&connection_messages);
        let (acceptor, stopper) = Acceptor::new(listeners.0, Arc::clone(&shards), log.clone(), told)
            .map_err(StartError::system("watch sockets"))?;

        let mut broker = Self {
            addresses,
            acceptor: stopper,
            shards,
            data,
            backups,
            retained_loader: None,
            pipeline,
            checkpoint,
            verifier,
            shared,
            settings,
            places,
            connection_messages,
            running: 0,
            notices,
            notify,
        };
        for (number, event_loop) in event_loops.into_iter().enumerate() {
            broker.spawn(format!("shard-{number}"), move || event_loop.run())?;
        }
        broker.spawn("acceptor".to_owned(), move || acceptor.run())?;
        if let (Some(rest), Some(store)) = (rest, store) {
            broker.retained_loader = Some(broker.load_retained(rest, store, log)?);
        }
        Ok(broker)
    }

    fn load_retained(
        &self,
        rest: Rest,
        store: Arc<dyn Reader>,
        log: &Log,
    ) -> Result<RetainedLoader, StartError> {
        let rows = StoredRows::new(store);
        let (shared, shards) = (Arc::clone(&self.shared), Arc::clone(&self.shards));
        RetainedLoader::start(rest, rows, shared, shards, log.clone(), self.notify.clone())
            .map_err(StartError::system("start a thread"))
    }

    /// Where clients can connect.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How many threads serve clients.
    pub fn worker_threads(&self) -> usize {
        self.shards.count()
    }

    /// What the shards share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Tells all shards a configuration that was read again, of which lines of these types are logged. Each answers with
    /// [`Notice::SettingsTaken`]; gives how many will.
    pub(crate) fn change_settings(&mut self, config: &Config, log_types: LogTypes) -> usize {
        let nothing_opened = Listeners(Vec::new());
        let mut settings = settings::of_broker(config, &nothing_opened, log_types, self.settings.secret);
        settings.version.clone_from(&self.settings.version);
        for (listener, open) in settings.listeners.iter_mut().zip(&self.settings.listeners) {
            listener.port = open.port;
        }
        for (listener, revoked) in settings.listeners.iter_mut().zip(self.verifier.use_files_of(config)) {
            listener.revoked = revoked;
        }
        self.settings = Arc::new(settings);
        self.places.set_max(config.global_max_connections.map(NonZeroU32::get));
        self.connection_messages.store(config.log.connection_messages, Ordering::Relaxed);
        self.shards.tell_settings(&self.settings, &self.notify);
        self.shards.count()
    }

    /// Ends it: no new connections, clients are told and get their last bytes, threads end.
    pub fn stop(mut self) -> Result<(), StartError> {
        let deadline = Instant::now() + STOP_TIME_MAX;
        self.acceptor.stop();
        self.shards.end();
        while self.running > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.notices.recv_timeout(left) {
                Ok(Notice::ThreadEnded { thread, result }) => {
                    self.running -= 1;
                    result.map_err(|source| StartError::ThreadEnded { thread, source })?;
                }
                Ok(Notice::StoreFailed(error)) => return Err(StartError::StoreFailed(error)),
                Ok(Notice::Unreadable(error)) => return Err(error),
                Ok(Notice::Signal(_) | Notice::SettingsTaken | Notice::Saved) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(StartError::NotEnded);
                }
            }
        }
        // They read the store.
        drop((self.backups.take(), self.retained_loader.take()));
        // Nobody pushes any more. What was pushed is durable then.
        let store = self.pipeline.close();
        if let Some(failed) = self.notices.try_iter().find_map(failure) {
            return Err(failed);
        }
        store.map_or(Ok(()), |mut store| store.close().map_err(StartError::StoreFailed))
    }

    /// Where everything is kept; `None` if nothing is.
    pub(crate) fn data_directory(&self) -> Option<&Path> {
        self.data.as_ref().map(Data::path)
    }

    /// The store failed while it was writing, which may go on for ever: nobody is to wait for that.
    pub(crate) fn leave_store(&self) {
        mem::forget(Arc::clone(&self.pipeline));
    }

    /// Asks for all that was pushed to be on the disk; [`Notice::Saved`] tells when.
    pub(crate) fn save(&self) {
        self.checkpoint.ask(self.pipeline.hurry(Urgency::Sync));
        self.checkpoint.durable(self.pipeline.durable_up_to());
    }

    /// Why nothing can be kept any more, if that is so. A thread that ended may have seen it first.
    pub(crate) fn store_failure(&self) -> Option<StartError> {
        let deadline = Instant::now() + STORE_FAILURE_TIME_MAX;
        while self.data.is_some() {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = failure(self.notices.recv_timeout(left).ok()?);
            if error.is_some() {
                return error;
            }
        }
        None
    }

    /// Where news for [`Self::next_notice`] is sent.
    pub(crate) fn notifier(&self) -> Sender<Notice> {
        self.notify.clone()
    }

    /// Waits for news.
    pub(crate) fn next_notice(&mut self) -> Notice {
        // Cannot be disconnected: `self` holds a sender.
        loop {
            if let Ok(notice) = self.notices.recv() {
                return notice;
            }
        }
    }

    /// Starts a thread whose end is a notice.
    pub(crate) fn spawn(
        &mut self,
        name: String,
        body: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<(), StartError> {
        let (thread, notify) = (name.clone(), self.notify.clone());
        let run = move || {
            let result = body();
            // Nobody listens any more if the broker was dropped; then nobody minds.
            let _ = notify.send(Notice::ThreadEnded { thread, result });
        };
        thread::Builder::new().name(name).spawn(run).map_err(StartError::system("start a thread"))?;
        self.running += 1;
        Ok(())
    }
}

/// What the storage thread does with its reports.
fn tell(
    shards: Arc<Neighbours>,
    checkpoint: Arc<Checkpoint>,
    notify: Sender<Notice>,
) -> impl Fn(Report) + Send + 'static {
    move |report| match report {
        Report::WrittenUpTo(_) => shards.tell_stored(),
        Report::DurableUpTo(ticket) => {
            shards.tell_stored();
            checkpoint.durable(ticket);
        }
        // Nobody listens any more when the broker was dropped.
        Report::Failed(error) => drop(notify.send(Notice::StoreFailed(error))),
    }
}

fn failure(notice: Notice) -> Option<StartError> {
    match notice {
        Notice::StoreFailed(error) => Some(StartError::StoreFailed(error)),
        Notice::Unreadable(error) => Some(error),
        Notice::Signal(_) | Notice::SettingsTaken | Notice::Saved | Notice::ThreadEnded { .. } => None,
    }
}

/// How many event loops there are to be: as told, or one for each core that this process may use.
fn worker_threads(config: &Config) -> u16 {
    let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
    match config.worker_threads {
        Some(count) => count.get(),
        None => u16::try_from(cores()).unwrap_or(u16::MAX).min(WORKER_THREADS_MAX),
    }
}

impl Drop for Broker {
    /// Threads of a broker that was not stopped end by themselves.
    fn drop(&mut self) {
        self.acceptor.stop();
        self.shards.end();
    }
}
