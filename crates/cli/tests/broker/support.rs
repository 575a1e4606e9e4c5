//! Processes under test, and what all tests do with them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_noctule");
/// Longest wait for anything here; nothing that works needs it.
const PATIENCE: Duration = Duration::from_secs(20);

/// CONNECT of a 3.1.1 client, clean session, up to its client identifier of one byte.
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";

/// A port that nobody has now. It lies below those that the system gives to outgoing connections, of which other tests
/// make many.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 41 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (number % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running broker and what it says on standard error.
pub(crate) struct Broker {
    pub(crate) process: Child,
    pub(crate) lines: Receiver<String>,
    pub(crate) port: u16,
    pub(crate) directory: TempDir,
}

impl Broker {
    /// `noctule broker -c` with a listener on the loopback address and these lines.
    pub(crate) fn start(settings: &str) -> Self {
        Self::start_limited(settings, 1024)
    }

    pub(crate) fn start_limited(settings: &str, descriptors: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let settings = settings.replace("DIR", directory.path().to_str().unwrap());
        let file = write_config(directory.path(), &format!("listener {port} 127.0.0.1\n{settings}\n"));
        // The shell lowers the hard limit too, so that the broker cannot raise it again.
        let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, BINARY, "broker", "-c"]).arg(file);
        let (process, lines) = spawn(&mut command);
        let broker = Self { process, lines, port, directory };
        broker.wait_for(" running");
        broker
    }

    /// The next line that contains `part`.
    pub(crate) fn wait_for(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no line with {part:?} in {seen:#?}"),
            }
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A connection that the broker has accepted as a client, with a client identifier of one letter.
    pub(crate) fn client(&self, name: u8) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(CONNECT).unwrap();
        stream.write_all(&[name]).unwrap();
        expect(&mut stream, CONNACK);
        stream
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        wait(&mut self.process)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn write_config(directory: &Path, text: &str) -> PathBuf {
    let file = directory.join("broker.conf");
    fs::write(&file, text).unwrap();
    file
}

/// Starts a process and reads the lines of its standard error; nobody reads its standard output.
pub(crate) fn spawn(command: &mut Command) -> (Child, Receiver<String>) {
    let mut process = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let errors = BufReader::new(process.stderr.take().unwrap());
    let (to, lines) = channel();
    thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
    (process, lines)
}

pub(crate) fn wait(process: &mut Child) -> Option<i32> {
    wait_until(|| process.try_wait().unwrap().is_some());
    process.wait().unwrap().code()
}

/// For what no pipe announces.
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen in time");
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(read, bytes);
}

pub(crate) fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

/// A link to the binary under another name.
pub(crate) fn link(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    symlink(BINARY, &path).unwrap();
    path
}
