//! The life of a broker process.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use noctule_broker::Shared;
use noctule_config::{CommandLine, Config};

use crate::broker::Broker;
use crate::data::Data;
use crate::error::StartError;
use crate::listener::Listeners;
use crate::log::{Log, Writer};
use crate::pid_file::PidFile;
use crate::program::Program;
use crate::reload::Reload;
use crate::signals::{self, Signal};
use crate::{LOG_THREAD, Notice, descriptor_limit, greeting, panic, surprises, user};

/// What the command line says beside the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// As what this process was started.
    pub program: Program,
    /// The configuration file, for the log and for reading it again.
    pub config_file: Option<PathBuf>,
    /// The files that it includes, in the order in which they were read.
    pub included_files: Vec<PathBuf>,
    /// What stands above that file, also when it is read again.
    pub command_line: CommandLine,
    /// Go into the background once everything that can fail early has not failed.
    pub daemon: bool,
    /// Gives memory that is free back to the system, as far as the calling thread holds it.
    pub give_back_memory: fn(),
}

/// Runs a broker until it is asked to end by SIGTERM or SIGINT. An error has been logged already.
///
/// To be called once, from the main thread, before any other thread was started.
pub fn run(config: &Config, options: &Options) -> Result<(), StartError> {
    let mut lines = Vec::new();
    let became = user::become_user(config.user.as_deref(), options.program, &mut lines);
    let (log, writer) = Log::open(&config.log);
    panic::end_the_process(&log);
    for (kind, line) in lines {
        log.write(kind, line);
    }
    let mut writer = Some(writer);
    let result = became.and_then(|()| live(config, options, &log, &mut writer));
    if let Err(error) = &result {
        let executable = match options.program {
            Program::Mosquitto => "/usr/sbin/mosquitto".to_owned(),
            Program::Noctule => env::current_exe().unwrap_or_default().display().to_string(),
        };
        for line in error.log_lines(&executable) {
            log.error(line);
        }
    }
    if let Some(writer) = &mut writer {
        writer.drain();
    }
    log.close();
    result
}

/// `writer` is taken when it gets its thread; until then it is there for the last words.
fn live(
    config: &Config,
    options: &Options,
    log: &Log,
    writer: &mut Option<Writer>,
) -> Result<(), StartError> {
    let Options { program, config_file, included_files, command_line, daemon, give_back_memory } = options;
    for file in included_files {
        log.information(loading(file));
    }
    let version = program.full_version();
    log.information(format!("{version} starting"));
    log.information(match config_file {
        Some(path) => format!("Config loaded from {}.", path.display()),
        None => "Using default config.".to_owned(),
    });
    if let Err(error) = descriptor_limit::raise() {
        log.warning(format!("Warning: Unable to raise the limit of open files: {}.", error.desc()));
    }
    let signals = signals::Waiting::begin().map_err(StartError::system("take over signals"))?;
    let listeners = Listeners::open(config, log)?;
    for warning in surprises::warnings(config) {
        log.warning(warning);
    }
    if *daemon {
        // Whoever starts it should be told of a directory that cannot be used; it is held by the process that goes on.
        drop(Data::open(&config.persistence)?);
        if let Some(writer) = writer {
            writer.drain();
        }
        // The current directory stays, as paths in the configuration may be relative to it.
        nix::unistd::daemon(true, false)
            .map_err(|error| StartError::system("go into the background")(error.into()))?;
    }
    signals.hold_back_end().map_err(StartError::system("take over signals"))?;
    let _pid_file = match &config.pid_file {
        Some(path) => {
            Some(PidFile::write(path).map_err(|source| StartError::PidFile { path: path.clone(), source })?)
        }
        None => None,
    };
    if let Some(writer) = writer.take() {
        let thread = thread::Builder::new().name(LOG_THREAD.to_owned());
        thread.spawn(move || writer.run()).map_err(StartError::system("start a thread"))?;
    }
    let mut broker = Broker::start(*program, config, log, listeners, *give_back_memory)?;
    signals.watch(broker.notifier()).map_err(StartError::system("take over signals"))?;
    if *program == Program::Noctule {
        let threads = match broker.worker_threads() {
            1 => "1 thread".to_owned(),
            count => format!("{count} threads"),
        };
        log.information(format!("Clients are served by {threads}."));
    }
    log.information(format!("{version} running"));
    if *program == Program::Noctule && !*daemon && io::stderr().is_terminal() {
        greet(greeting::text(config, broker.addresses(), broker.data_directory()), log)?;
    }
    let mut reload = Reload::new(*program, config_file.clone(), command_line.clone(), config.clone());
    let ended = match serve(&mut broker, &mut reload, log) {
        Ok(()) => {
            log.information(format!("{version} terminating"));
            let directory = broker.data_directory().map(Path::to_owned);
            broker.stop().inspect(|()| {
                if let Some(directory) = directory {
                    log.information(format!("All is saved in {}.", directory.display()));
                }
            })
        }
        Err(error) => Err(error),
    };
    if ended.is_err() {
        // From here on there are only words left, and nobody may be reading them.
        panic::abort_after(panic::LAST_WORDS_TIME_MAX);
    }
    ended
}

/// What is said of a file that `include_dir` names.
pub(crate) fn loading(file: &Path) -> String {
    format!("Loading config file '{}'", file.display())
}

/// Greets behind the lines so far, from a thread of its own: a terminal that was stopped (Ctrl-S) takes nothing, and
/// signals are obeyed all the same.
fn greet(text: String, log: &Log) -> Result<(), StartError> {
    let log = log.clone();
    let greet = move || {
        log.flush();
        // A terminal that is gone is no reason to end.
        let _ = io::stderr().write_all(text.as_bytes());
    };
    let thread = thread::Builder::new().name("greeting".to_owned()).spawn(greet);
    thread.map(drop).map_err(StartError::system("start a thread"))
}

/// Prints all subscriptions to standard output, from a thread of its own: whoever reads that may be slow, and there may be
/// very many. One at a time.
fn print_tree(shared: &Arc<Shared>, is_printing: &Arc<AtomicBool>) -> io::Result<()> {
    if is_printing.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let (shared, is_done) = (Arc::clone(shared), Arc::clone(is_printing));
    let print = move || {
        // A pipe that is gone is no reason to end.
        let _ = io::stdout().write_all(shared.subscription_tree().as_bytes());
        let _ = io::stdout().flush();
        is_done.store(false, Ordering::Relaxed);
    };
    let thread = thread::Builder::new().name("tree".to_owned()).spawn(print);
    if thread.is_err() {
        is_printing.store(false, Ordering::Relaxed);
    }
    thread.map(drop)
}

/// Obeys signals until one says to end.
fn serve(broker: &mut Broker, reload: &mut Reload, log: &Log) -> Result<(), StartError> {
    let is_printing = Arc::default();
    loop {
        match broker.next_notice() {
            Notice::Signal(Signal::Terminate) => return Ok(()),
            Notice::Signal(Signal::Reload) => reload.begin(broker, log),
            Notice::SettingsTaken => reload.shard_is_done(broker, log),
            Notice::Signal(Signal::RotateLog) => log.reopen(),
            Notice::Signal(Signal::Save) => {
                if broker.data_directory().is_some() {
                    broker.save();
                } else {
                    log.warning(
                        "SIGUSR1: everything is kept in memory only, so there is nothing to save to.",
                    );
                }
            }
            Notice::Saved => {
                if let Some(directory) = broker.data_directory() {
                    log.information(format!("SIGUSR1: all is saved in {}.", directory.display()));
                }
            }
            Notice::StoreFailed(error) => {
                broker.leave_store();
                return Err(StartError::StoreFailed(error));
            }
            Notice::Unreadable(error) => return Err(error),
            Notice::Signal(Signal::PrintTree) => {
                if let Err(error) = print_tree(broker.shared(), &is_printing) {
                    log.warning(format!("Warning: Unable to print the subscription tree: {error}."));
                }
            }
            Notice::ThreadEnded { thread, result } => {
                if let Some(error) = broker.store_failure() {
                    return Err(error);
                }
                let unasked = || io::Error::other("nobody asked it to");
                let source = result.err().unwrap_or_else(unasked);
                return Err(StartError::ThreadEnded { thread, source });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use noctule_broker::record::Operation;
    use noctule_broker::{ListenerIndex, MessageView, Publisher, RetainedMessage, Sequence, SessionNumber};
    use noctule_config::{ListenAddress, Listener, Persistence, SocketDomain};
    use noctule_protocol::QoS;
    use noctule_storage::{Batch, DataDirectory, Keyspace, Store, StoreError};

    fn persistent(data: &std::path::Path) -> Config {
        let host = Some("127.0.0.1".to_owned());
        let address = ListenAddress { host, port: 0, domain: SocketDomain::Any };
        let data = Some(data.to_owned());
        let persistence = Persistence { enabled: true, data, ..Persistence::default() };
        Config { listeners: vec![Listener::new(address)], persistence, ..Config::default() }
    }

    #[test]
    fn a_store_that_fails_ends_the_broker_with_its_reason() {
        let directory = tempfile::tempdir().unwrap();
        let config = persistent(directory.path());
        // Whichever of the two notices comes first.
        for ends_first in [false, true] {
            let listeners = Listeners::open(&config, &Log::none()).unwrap();
            let mut broker =
                Broker::start(Program::Noctule, &config, &Log::none(), listeners, || {}).unwrap();
            let notify = broker.notifier();
            if ends_first {
                let result = Err(io::Error::other("the store takes nothing more"));
                notify.send(Notice::ThreadEnded { thread: "shard-0".to_owned(), result }).unwrap();
            }
            let source = io::Error::from_raw_os_error(libc::EIO);
            notify.send(Notice::StoreFailed(StoreError::Io { action: "sync", source })).unwrap();
            let mut reload = Reload::new(Program::Noctule, None, CommandLine::default(), config.clone());
            let error = serve(&mut broker, &mut reload, &Log::none()).unwrap_err();
            assert_eq!(
                error.log_lines(""),
                [
                    "Error: cannot sync the store: Input/output error (os error 5); nothing more was acknowledged."
                ]
            );
            broker.stop().unwrap();
        }
    }

    /// It has served since it read the first ten thousand of these.
    #[test]
    fn a_retained_message_that_cannot_be_read_ends_the_broker() {
        let directory = tempfile::tempdir().unwrap();
        let publisher = Publisher { client_id: "p".into(), user_name: None, listener: ListenerIndex(0) };
        let publisher = Arc::new(publisher);
        let mut batch = Batch::new();
        for counter in 0..10_100 {
            let view = MessageView {
                topic: &format!("t/{counter:05}"),
                payload: b"x",
                properties: &[],
                qos: QoS::AtLeastOnce,
                retain: true,
                expires: None,
                publisher: SessionNumber(1),
            };
            let message = view.to_message(Sequence { source: 1, counter });
            let retained = RetainedMessage { message, publisher: Arc::clone(&publisher) };
            Operation::PutRetained(retained).changes(|change| {
                batch.put(noctule_persistence::keyspace(change.table), change.key, change.value.unwrap());
            });
        }
        batch.put(Keyspace::Retained, "t/10050", "what no broker writes");
        {
            let data = DataDirectory::open(directory.path()).unwrap();
            let mut store = data.open_store().unwrap();
            store.commit(&[batch], true).unwrap();
            store.close().unwrap();
        }
        let config = persistent(directory.path());
        let listeners = Listeners::open(&config, &Log::none()).unwrap();
        let mut broker = Broker::start(Program::Noctule, &config, &Log::none(), listeners, || {}).unwrap();
        let mut reload = Reload::new(Program::Noctule, None, CommandLine::default(), config);
        let error = serve(&mut broker, &mut reload, &Log::none()).unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with(&format!("what is kept in {} cannot be read", directory.path().display())));
        assert!(told.contains("Retained"), "{told}");
        assert!(error.hint().is_some_and(|hint| hint.contains("noctule store repair")));
        broker.stop().unwrap();
    }

    #[test]
    fn a_thread_that_ends_unasked_ends_the_broker() {
        let host = Some("127.0.0.1".to_owned());
        let address = ListenAddress { host, port: 0, domain: SocketDomain::Any };
        let config = Config { listeners: vec![Listener::new(address)], ..Config::default() };
        for (body, told) in [
            (Err(io::Error::other("no more events")), "thread 'doomed' ended: no more events"),
            (Ok(()), "thread 'doomed' ended: nobody asked it to"),
        ] {
            let listeners = Listeners::open(&config, &Log::none()).unwrap();
            let mut broker =
                Broker::start(Program::Noctule, &config, &Log::none(), listeners, || {}).unwrap();
            broker.spawn("doomed".to_owned(), || body).unwrap();
            let command_line = CommandLine::default();
            let mut reload = Reload::new(Program::Noctule, None, command_line, config.clone());
            assert_eq!(serve(&mut broker, &mut reload, &Log::none()).unwrap_err().to_string(), told);
        }
    }
}
