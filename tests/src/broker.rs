//! A broker, started for one test on a port and in a directory of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::environment;
use crate::patience::eventually;
use crate::port::Port;
use crate::program::{Finished, Program, Running};

/// How soon a broker that is told to end has to be gone.
pub const END: Duration = Duration::from_secs(5);

/// A running broker. Dropping it ends it.
#[derive(Debug)]
pub struct Broker {
    program: PathBuf,
    port: Port,
    directory: TempDir,
    /// What is added to each configuration.
    more: String,
    process: Option<Running>,
}

impl Broker {
    /// Starts the broker under test; it listens on loopback and lets everybody in. `config` is added to its
    /// configuration file.
    #[track_caller]
    pub fn start(config: &str) -> Self {
        Self::with_config(&open_to_everybody(config))
    }

    /// Starts the broker under test with this text as its whole configuration; `PORT` stands for a free port.
    #[track_caller]
    pub fn with_config(config: &str) -> Self {
        Self::with_files(environment::broker(), config, &[])
    }

    /// Starts this program with this text as its whole configuration, and these files in its directory; `PORT` stands
    /// for a free port, `DIR` for the directory.
    #[track_caller]
    pub fn with_files(program: &Path, config: &str, files: &[(&str, &str)]) -> Self {
        let files: Vec<_> = files.iter().map(|(name, content)| (*name, content.as_bytes())).collect();
        Self::attempt(program, config, &files)
            .unwrap_or_else(|errors| panic!("the broker ended at its start:\n{errors}"))
    }

    /// Starts the broker under test with this text and not a line more, and these files in its directory; `PORT` stands
    /// for a free port, `DIR` for the directory.
    #[track_caller]
    pub fn exactly(config: &str, files: &[(&str, &str)]) -> Self {
        let files: Vec<_> = files.iter().map(|(name, content)| (*name, content.as_bytes())).collect();
        Self::attempt_with(environment::broker(), config, &files, String::new())
            .unwrap_or_else(|errors| panic!("the broker ended at its start:\n{errors}"))
    }

    /// Starts this program as the broker.
    #[track_caller]
    pub fn with_program(program: &Path) -> Self {
        Self::with_files(program, &open_to_everybody(""), &[])
    }

    /// Starts Debian's Mosquitto in the same way, as a peer of the broker under test.
    #[track_caller]
    pub fn debian(config: &str) -> Self {
        Self::with_files(&environment::debian_mosquitto(), &open_to_everybody(config), &[])
    }

    /// [`Broker::with_files`] of any bytes, which may be wrong.
    ///
    /// # Errors
    /// What it wrote to standard error, if it ends instead of listening.
    #[track_caller]
    pub fn attempt(program: &Path, config: &str, files: &[(&str, &[u8])]) -> Result<Self, String> {
        Self::attempt_with(program, config, files, environment::config_of(program))
    }

    #[track_caller]
    fn attempt_with(
        program: &Path,
        config: &str,
        files: &[(&str, &[u8])],
        more: String,
    ) -> Result<Self, String> {
        let directory = TempDir::new().expect("the directory for temporary files can be written to");
        let port = Port::reserve();
        let mut broker = Self { program: program.to_owned(), port, directory, more, process: None };
        // Started as root, Debian's Mosquitto becomes another user, who has to read here.
        let readable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(broker.directory.path(), readable).expect("a directory of ours");
        for (name, content) in files {
            broker.write(name, content);
        }
        // Somebody else may have been quicker to take a port that was free a moment ago.
        for attempt in 1.. {
            broker.rewrite(config);
            match broker.try_begin() {
                Ok(()) => return Ok(broker),
                Err(errors) if errors.contains("Address already in use") && attempt < 5 => {
                    broker.port = Port::reserve();
                }
                Err(errors) => return Err(errors),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Writes another configuration for [`Broker::hang_up`]; `PORT` and `DIR` stand for its port and directory.
    pub fn rewrite(&self, config: &str) {
        self.write("broker.conf", self.in_place(&format!("{config}\n{}\n", self.more)));
    }

    /// Writes a file in its directory.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.file(name);
        let parent = path.parent().expect("a file is in a directory");
        fs::create_dir_all(parent).expect("the test's own directory can be written to");
        fs::write(path, content).expect("the test's own directory can be written to");
    }

    fn in_place(&self, config: &str) -> String {
        let directory = self.directory.path().display().to_string();
        config.replace("PORT", &self.port().to_string()).replace("DIR", &directory)
    }

    /// Sends SIGHUP and waits until standard error tells how that ended; gives what was told from it on.
    #[track_caller]
    pub fn hang_up(&self) -> String {
        let before = self.process().errors().len();
        self.process().signal(Signal::HUP);
        eventually("the broker has reloaded its configuration", || {
            let told = self.process().errors().split_off(before);
            (told.contains("Config reloaded.") || told.contains("was not reloaded")).then_some(told)
        })
    }

    /// Starts it again after [`Broker::stop`], on the same port.
    ///
    /// # Panics
    /// If it ends instead.
    #[track_caller]
    pub fn begin(&mut self) {
        if let Err(errors) = self.try_begin() {
            panic!("the broker ended at its start:\n{errors}");
        }
    }

    /// Starts it and waits until it listens; gives its standard error if it ends instead.
    #[track_caller]
    fn try_begin(&mut self) -> Result<(), String> {
        let running = command(&self.program).arg("-c").arg(self.config_file()).start();
        let listens = eventually("the broker listens", || {
            if !running.is_running() {
                return Some(false);
            }
            self.port.is_listened_on_by(running.pid()).then_some(true)
        });
        if !listens {
            return Err(String::from_utf8_lossy(&running.finish().stderr).into_owned());
        }
        self.process = Some(running);
        Ok(())
    }

    /// Ends it as an administrator does, and starts it again on the same port.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.begin();
    }

    /// Ends it as an administrator does: SIGTERM, exit code 0 within [`END`].
    ///
    /// # Panics
    /// If it does not end so.
    #[track_caller]
    pub fn stop(&mut self) -> Finished {
        let running = self.process.take().expect("the broker runs").limited_to(END);
        running.signal(Signal::TERM);
        let finished = running.finish();
        finished.succeeds();
        finished
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn ended(&mut self) -> Finished {
        self.process.take().expect("the broker runs").finish()
    }

    /// Ends it as a crash does: SIGKILL.
    #[track_caller]
    pub fn crash(&mut self) -> Finished {
        self.process.take().expect("the broker runs").kill()
    }

    /// Sends it a signal and waits until standard error has this text; gives what was told from then on.
    #[track_caller]
    pub fn signal_until(&self, signal: Signal, text: &str) -> String {
        let before = self.process().errors().len();
        self.process().signal(signal);
        eventually(text, || {
            let told = self.process().errors().split_off(before);
            told.contains(text).then_some(told)
        })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// A file in its directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.file("broker.conf")
    }

    /// The process.
    ///
    /// # Panics
    /// If it has been stopped.
    #[track_caller]
    pub fn process(&self) -> &Running {
        self.process.as_ref().expect("the broker runs")
    }

    /// Bytes of memory that are resident now (`VmRSS`).
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that ever was resident (`VmHWM`).
    pub fn resident_peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, row: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process().pid());
        let text = fs::read_to_string(path).expect("the broker runs");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(row))
            .expect("Linux tells the memory of a process");
        let kibibytes = line.trim().trim_end_matches(" kB").parse::<u64>();
        kibibytes.expect("proc(5) gives kB") * 1024
    }

    /// How many descriptors it has open: the connections and a few more.
    pub fn open_files(&self) -> usize {
        let directory = format!("/proc/{}/fd", self.process().pid());
        fs::read_dir(directory).expect("the broker runs").count()
    }
}

fn open_to_everybody(config: &str) -> String {
    format!("listener PORT 127.0.0.1\nallow_anonymous true\n{config}\n")
}

/// The command that runs a broker: `noctule` is told which of its commands is wanted, a `mosquitto` is not.
pub fn command(program: &Path) -> Program {
    raise_open_files();
    let command = Program::new(program);
    if program.file_stem().is_some_and(|name| name == "noctule") { command.arg("broker") } else { command }
}

/// Allows this process, and so the brokers it starts, as many open files as the system lets it.
pub fn raise_open_files() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
            .expect("the soft limit may be raised up to the hard one");
    });
}
