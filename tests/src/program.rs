//! A program of somebody else's, run with a time limit, and what it said.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use crate::output::Output;
use crate::patience::PATIENCE;

/// A program about to be run.
#[derive(Debug)]
pub struct Program {
    command: Command,
    /// As a person would type it, for messages.
    line: String,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

impl Program {
    /// Runs `path`. It cannot outlive the test: the kernel ends it with the thread that started it, even if
    /// that dies without a chance to clean up.
    pub fn new(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(path).process_group(0);
        Self { command, line: path.display().to_string(), stdin: None, limit: PATIENCE }
    }

    /// Adds arguments, separated by blanks. For an argument with blanks there is [`Program::arg`].
    #[must_use]
    pub fn args(self, words: &str) -> Self {
        words.split_whitespace().fold(self, Self::arg)
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        let word = word.as_ref();
        self.command.arg(word);
        self.line = format!("{} {}", self.line, word.to_string_lossy());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in this directory.
    #[must_use]
    pub fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// What it reads from standard input; without this, nothing.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// How long it may run, if not [`PATIENCE`].
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Finished {
        self.start().finish()
    }

    /// Starts it in the background.
    ///
    /// # Panics
    /// If the program cannot be started.
    #[track_caller]
    pub fn start(mut self) -> Running {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot run {} through setpriv: {error}", self.line),
        };
        let stdout = Output::collect(child.stdout.take().expect("stdout is a pipe"));
        let stderr = Output::collect(child.stderr.take().expect("stderr is a pipe"));
        if let Some(bytes) = self.stdin {
            let mut pipe = child.stdin.take().expect("stdin is a pipe");
            // A program may end before it has read all of it: its own business.
            thread::spawn(move || drop(pipe.write_all(&bytes)));
        }
        Running { child, line: self.line, limit: self.limit, stdout, stderr, ended: false }
    }
}

/// A program that was started. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
    limit: Duration,
    stdout: Output,
    stderr: Output,
    ended: bool,
}

impl Running {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a whole line of standard output contains `text`.
    #[track_caller]
    pub fn wait_for_line(&self, text: &str) -> String {
        self.wait_for(&format!("a line with {text:?}"), |lines| {
            lines.iter().find(|line| line.contains(text)).cloned()
        })
    }

    /// Waits until the whole lines of standard output give a value.
    ///
    /// # Panics
    /// If they do not within the limit, or the program ends first.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, mut ready: impl FnMut(&[String]) -> Option<T>) -> T {
        let deadline = Instant::now() + self.limit;
        let mut read = 0;
        loop {
            let ended = self.stdout.has_ended();
            if let Some(value) = ready(&self.stdout.lines()) {
                return value;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if ended || left.is_zero() {
                let why = if ended { "it closed its output" } else { "the time is up" };
                panic!("no {what} from {}: {why}\n{}", self.line, self.said());
            }
            read = self.stdout.wait_for_more_than(read, left);
        }
    }

    /// The whole lines of standard output so far.
    pub fn lines(&self) -> Vec<String> {
        self.stdout.lines()
    }

    /// Standard error so far.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// All of standard error, of a program that has ended.
    pub(crate) fn last_errors(&self) -> String {
        self.stderr.wait_for_end(self.limit);
        self.errors()
    }

    /// Whether it still runs. It looks without collecting the exit code: until [`Running::end`] the process
    /// id stays ours, so no signal can reach a stranger.
    pub fn is_running(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(self.id()), look), Ok(None))
    }

    /// Gives it this much time from now on.
    #[must_use]
    pub fn limited_to(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sends a signal to this process.
    pub fn signal(&self, signal: Signal) {
        // It may have ended meanwhile; whoever waits for it will see.
        let _ = kill_process(self.id(), signal);
    }

    /// Ends it as `kill -9` does.
    #[track_caller]
    pub fn kill(self) -> Finished {
        self.signal(Signal::KILL);
        self.finish()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not come within the limit.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        let deadline = Instant::now() + self.limit;
        // A closed standard output is nearly always the end; so there is little left to poll.
        self.stdout.wait_for_end(self.limit);
        while self.is_running() {
            if Instant::now() >= deadline {
                panic!("{} did not end within {:?}\n{}", self.line, self.limit, self.said());
            }
            thread::sleep(Duration::from_millis(1));
        }
        let status = self.end().expect("a child that has ended can be waited for");
        let (stdout, stderr) = (self.stdout.bytes(), self.stderr.bytes());
        Finished { line: self.line.clone(), status, stdout, stderr }
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn said(&self) -> String {
        said(&self.stdout.bytes(), &self.stderr.bytes())
    }

    /// Ends whatever is left of the process and of those it started.
    fn end(&mut self) -> Option<ExitStatus> {
        if self.ended {
            return None;
        }
        self.ended = true;
        let _ = kill_process_group(self.id(), Signal::KILL);
        let status = self.child.wait().ok();
        self.stdout.wait_for_end(self.limit);
        self.stderr.wait_for_end(self.limit);
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            eprintln!("--- {} had said\n{}", self.line, self.said());
        }
    }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    line: String,
    status: ExitStatus,
    /// Everything it wrote to standard output.
    pub stdout: Vec<u8>,
    /// Everything it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// The exit code as text, or the signal that ended it.
    pub fn code(&self) -> String {
        match self.status.code() {
            Some(code) => format!("exit code {code}"),
            None => self.status.to_string(),
        }
    }

    /// The exit code was 0.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        self.exits_with(0)
    }

    /// The exit code was this one.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn exits_with(&self, code: i32) -> &Self {
        assert!(
            self.status.code() == Some(code),
            "{} ended with {}, expected exit code {code}\n{}",
            self.line,
            self.status,
            said(&self.stdout, &self.stderr)
        );
        self
    }

    /// It succeeded and wrote exactly these lines to standard output.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn prints(&self, lines: &[impl AsRef<str>]) -> &Self {
        self.succeeds();
        let expected: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
        assert!(
            self.lines() == expected,
            "{} should have printed\n{}\n{}",
            self.line,
            expected.join("\n"),
            said(&self.stdout, &self.stderr)
        );
        self
    }

    /// Standard error contains this text.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn complains(&self, text: &str) -> &Self {
        assert!(
            String::from_utf8_lossy(&self.stderr).contains(text),
            "{} should have said {text:?}\n{}",
            self.line,
            said(&self.stdout, &self.stderr)
        );
        self
    }

    /// The lines of standard output.
    pub fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.stdout).lines().map(str::to_owned).collect()
    }
}

/// Both outputs for a message; the middle of a long one is left out.
fn said(stdout: &[u8], stderr: &[u8]) -> String {
    format!("standard output:\n{}\nstandard error:\n{}", shorten(stdout), shorten(stderr))
}

fn shorten(bytes: &[u8]) -> String {
    const PART: usize = 4000;
    if bytes.len() <= 2 * PART {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let (head, tail) = (&bytes[..PART], &bytes[bytes.len() - PART..]);
    format!(
        "{}\n[... {} bytes ...]\n{}",
        String::from_utf8_lossy(head),
        bytes.len() - 2 * PART,
        String::from_utf8_lossy(tail)
    )
}
