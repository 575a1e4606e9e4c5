//! A broker and clients as processes.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Longest wait for anything here; nothing that works needs it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A port that nobody has now, below those that the system gives to outgoing connections.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 43 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (number % 9_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Runs a command to its end.
pub(crate) fn noctule(words: &[impl AsRef<OsStr>]) -> Ended {
    Ended(command(words).stdin(Stdio::null()).output().unwrap())
}

fn command(words: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_noctule"));
    command.args(words);
    command
}

pub(crate) struct Ended(Output);

impl Ended {
    /// Exit code, standard output, standard error.
    pub(crate) fn ends(&self) -> (i32, String, String) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (self.0.status.code().unwrap(), text(&self.0.stdout), text(&self.0.stderr))
    }

    pub(crate) fn exit_code(&self) -> Option<i32> {
        self.0.status.code()
    }
}

/// A process whose standard error is read line by line.
pub(crate) struct Running {
    process: Child,
    errors: Receiver<String>,
}

impl Running {
    fn start(words: &[impl AsRef<OsStr>]) -> Self {
        let mut command = command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (to, errors) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| to.send(line)));
        Self { process, errors }
    }

    /// Waits for a line of standard error that contains `part`.
    pub(crate) fn wait_for(&self, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.errors.recv_timeout(left) {
                Ok(line) if line.contains(part) => return,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no line with {part:?} in {seen:#?}"),
            }
        }
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.process.stdin.take().unwrap()
    }

    pub(crate) fn take_stdout(&mut self) -> ChildStdout {
        self.process.stdout.take().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while self.process.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
        self.process.wait().unwrap().code()
    }

    /// Exit code and standard output, which must end by itself. The line that `-d` adds is left out.
    pub(crate) fn output(mut self) -> (Option<i32>, Vec<u8>) {
        let mut bytes = Vec::new();
        self.take_stdout().read_to_end(&mut bytes).unwrap();
        assert!(bytes.starts_with(b"Subscribed (mid: 1): "), "{}", String::from_utf8_lossy(&bytes));
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        (self.exit_code(), bytes[end + 1..].to_vec())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A broker on a port of its own.
pub(crate) struct Broker {
    process: Running,
    port: u16,
    directory: TempDir,
}

impl Broker {
    pub(crate) fn start(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = format!("listener {port} 127.0.0.1\n{settings}\n");
        std::fs::write(directory.path().join("broker.conf"), config).unwrap();
        let process = start_broker(&directory);
        Self { process, port, directory }
    }

    /// The same again, without a goodbye.
    pub(crate) fn restart(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.process.wait().unwrap();
        self.process = start_broker(&self.directory);
    }

    /// The number of the broker's process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.process.id()
    }

    /// A file name in the broker's directory, as an argument.
    pub(crate) fn file(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        let server = ["-h", "127.0.0.1", "-p", &self.port.to_string()].map(str::to_owned);
        words.iter().map(|word| (*word).to_owned()).chain(server).collect()
    }

    /// Runs a client to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        noctule(&self.words(words))
    }

    pub(crate) fn start_client(&self, words: &[&str]) -> Running {
        Running::start(&self.words(words))
    }

    /// `noctule sub`, once it is subscribed.
    pub(crate) fn sub(&self, words: &[&str]) -> Running {
        let sub = self.start_client(&[&["sub", "-d"], words].concat());
        sub.wait_for("received SUBACK");
        sub
    }
}

fn start_broker(directory: &TempDir) -> Running {
    let file: PathBuf = directory.path().join("broker.conf");
    let process = Running::start(&[OsStr::new("broker"), OsStr::new("-c"), file.as_os_str()]);
    process.wait_for(" running");
    process
}
