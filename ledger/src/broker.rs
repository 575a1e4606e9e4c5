//! The broker's process.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

/// What the broker may drop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limits {
    /// Nothing: `max_queued_messages` and `max_queued_bytes` are 0.
    None,
    /// What it drops by default.
    Default,
}

/// A broker with its directory, whether it runs or not.
#[derive(Debug)]
pub struct Broker {
    program: PathBuf,
    directory: PathBuf,
    /// Where it listens, each time.
    pub address: SocketAddr,
    child: Option<Child>,
}

impl Broker {
    /// A broker that keeps its data in `data` and all else in `directory`.
    ///
    /// # Errors
    /// If the directory cannot be written to, or there is no free port.
    pub fn new(
        program: &Path,
        directory: &Path,
        data: &Path,
        limits: Limits,
        inflight_max: u64,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
        let address = listener.local_addr()?;
        let mut config = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\nsys_interval 1\n\
             max_inflight_messages {inflight_max}\nlog_dest stderr\n",
            address.port(),
            data.display()
        );
        if limits == Limits::None {
            config += "max_queued_messages 0\nmax_queued_bytes 0\n";
        }
        let is_ours = program.file_stem().is_some_and(|name| name == "noctule");
        if is_ours {
            config += "worker_threads 2\nworker_connections_min 1\n";
        }
        write!(config, "{}", std::env::var("LEDGER_CONFIG").unwrap_or_default())?;
        let file = directory.join("broker.conf");
        fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { program: program.to_owned(), directory: directory.to_owned(), address, child: None })
    }

    /// Its log, of all its lives.
    pub fn log(&self) -> PathBuf {
        self.directory.join("broker.log")
    }

    /// Starts it. It ends with the harness, whatever happens to that.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn start(&mut self) -> Result<()> {
        let log: File = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
        if self.program.file_stem().is_some_and(|name| name == "noctule") {
            command.arg("broker");
        }
        command.arg("-c").arg(self.directory.join("broker.conf"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {} through setpriv", self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// How it ended, if it did so by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok()?
    }

    /// kill -9, and its end is waited for.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, which is noted elsewhere.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The last lines of its log.
    pub fn last_words(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().rev().take(4).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}
