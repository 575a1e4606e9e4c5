//! A running broker: its threads, and how they end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use noctule_broker::{Shard, Shared};
use noctule_config::Config;
use noctule_storage::Pipeline;

use crate::Notice;
use crate::acceptor::{Acceptor, Stopper};
use crate::error::StartError;
use crate::listener::Listeners;
use crate::log::Log;
use crate::settings;
use crate::shard::{Clock, Durability, EventLoop, Mailbox};

/// How long ending may take. The shards themselves give their clients one second.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// Listening sockets with the threads that serve them.
#[derive(Debug)]
pub struct Broker {
    addresses: Vec<SocketAddr>,
    acceptor: Stopper,
    shards: Vec<Arc<Mailbox>>,
    /// Threads that have not ended yet.
    running: usize,
    notices: Receiver<Notice>,
    notify: Sender<Notice>,
}

impl Broker {
    /// Starts serving. The log lines of its life go to `log`.
    pub fn start(config: &Config, log: &Log, listeners: Listeners) -> Result<Self, StartError> {
        let (notify, notices) = channel();
        let no_random = |error: getrandom::Error| StartError::system("get random numbers")(error.into());
        let secret = [getrandom::u64().map_err(no_random)?, getrandom::u64().map_err(no_random)?];
        let first_source = getrandom::u32().map_err(no_random)?;
        let settings = Arc::new(settings::of_broker(config, &listeners, log.types(), secret));
        let shared = Arc::new(Shared::new(&settings));
        // `persistence false`: what is in memory is as durable as it gets.
        let pipeline = Arc::new(Pipeline::immediate());
        let clock = Clock::start();

        let addresses = listeners.addresses().collect();
        let mut event_loops = Vec::new();
        for shard in 0..config.worker_threads.get() {
            let core = Shard::new(Arc::clone(&settings), first_source.wrapping_add(shard.into()));
            let durability = Durability::new(Arc::clone(&pipeline));
            let event_loop = EventLoop::new(core, Arc::clone(&shared), durability, clock, log.clone());
            event_loops.push(event_loop.map_err(StartError::system("watch sockets"))?);
        }
        let shards: Vec<_> = event_loops.iter().map(EventLoop::mailbox).collect();
        let messages = config.log.connection_messages;
        let (acceptor, stopper) = Acceptor::new(listeners.0, shards.clone(), log.clone(), messages)
            .map_err(StartError::system("watch sockets"))?;

        let mut broker = Self { addresses, acceptor: stopper, shards, running: 0, notices, notify };
        for (number, event_loop) in event_loops.into_iter().enumerate() {
            broker.spawn(format!("shard-{number}"), move || event_loop.run())?;
        }
        broker.spawn("acceptor".to_owned(), move || acceptor.run())?;
        Ok(broker)
    }

    /// Where clients can connect.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends it: no new connections, clients are told and get their last bytes, threads end.
    pub fn stop(mut self) -> Result<(), StartError> {
        let deadline = Instant::now() + STOP_TIME_MAX;
        self.acceptor.stop();
        for shard in &self.shards {
            shard.send_shutdown();
        }
        while self.running > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.notices.recv_timeout(left) {
                Ok(Notice::ThreadEnded { thread, result }) => {
                    self.running -= 1;
                    result.map_err(|source| StartError::ThreadEnded { thread, source })?;
                }
                Ok(Notice::Signal(_)) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(StartError::NotEnded);
                }
            }
        }
        Ok(())
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

impl Drop for Broker {
    /// Threads of a broker that was not stopped end by themselves.
    fn drop(&mut self) {
        self.acceptor.stop();
        for shard in &self.shards {
            shard.send_shutdown();
        }
    }
}
