//! Starting and ending the broker that is measured.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::program::{Kind, Program};

/// How often a broker is asked whether it accepts already.
const START_TICK: Duration = Duration::from_micros(500);
/// How long a broker may take until it accepts.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// What is read of a broker's words when it ends.
const LAST_WORDS_BYTES: usize = 4000;
/// What is shown of the words of a program that failed.
const REASON_CHARS: usize = 160;

/// A broker that ends when this is dropped, and its files with it.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    /// How long it took until it accepted a connection.
    pub(crate) start_time: Duration,
    directory: TempDir,
    /// How it was started.
    words: Vec<String>,
}

/// How it is started.
pub(crate) struct Start {
    /// The cores it is held to, in the words of taskset.
    pub(crate) cores: Option<String>,
    /// 4 or 5: one peer has a listener for each version of MQTT.
    pub(crate) protocol_level: u8,
    /// Between its first accepted connection and the load, so that its start is not measured.
    pub(crate) settle_time: Duration,
}

impl Running {
    /// Starts it on a free loopback port, and waits until it accepts.
    pub(crate) fn start(program: &Program, start: &Start) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let directory = TempDir::with_prefix("bench-")?;
        let mut words: Vec<String> = Vec::new();
        if let Some(cores) = &start.cores {
            words.extend(["taskset".to_owned(), "-c".to_owned(), cores.clone()]);
        }
        words.push(program.path()?.display().to_string());
        words.extend(arguments(program, start, address, directory.path())?);
        let threads = (program.kind == Kind::Nats).then_some(program.threads);
        let (child, begin) = spawn(&words, threads, directory.path())?;
        let mut running = Self { child, address, start_time: Duration::ZERO, directory, words };
        running.wait_until_accepting()?;
        running.start_time = begin.elapsed();
        std::thread::sleep(start.settle_time);
        Ok(running)
    }

    /// Ends it by `signal` and starts it again with what it has kept. Gives how long it took to end.
    pub(crate) fn restart(&mut self, signal: Signal) -> Result<Duration> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        let end = Instant::now();
        kill(pid, signal).context("end the broker")?;
        self.child.wait()?;
        let end_time = end.elapsed();
        let (child, begin) = spawn(&self.words, None, self.directory.path())?;
        self.child = child;
        self.wait_until_accepting()?;
        self.start_time = begin.elapsed();
        Ok(end_time)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said last, when it has ended.
    pub(crate) fn has_ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        let text = fs::read(self.directory.path().join("stderr")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(LAST_WORDS_BYTES)..]).into_owned();
        Some(format!("the broker ended with {status}: {}", reason(&text)))
    }

    fn wait_until_accepting(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIME_MAX;
        while TcpStream::connect(self.address).is_err() {
            if let Some(last_words) = self.has_ended() {
                bail!("{last_words}");
            }
            ensure!(Instant::now() < deadline, "it does not accept connections on {}", self.address);
            std::thread::sleep(START_TICK);
        }
        Ok(())
    }
}

fn spawn(words: &[String], go_threads: Option<usize>, directory: &Path) -> Result<(Child, Instant)> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(File::create(directory.join("stderr"))?);
    if let Some(threads) = go_threads {
        command.env("GOMAXPROCS", threads.to_string());
    }
    let begin = Instant::now();
    Ok((command.spawn().with_context(|| format!("run {}", words.join(" ")))?, begin))
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The line that most likely says why a program failed: its last error, or else its last line.
pub(crate) fn reason(text: &str) -> String {
    let is_error = |line: &&str| {
        let line = line.to_lowercase();
        ["error", "fail", "panic", "fatal"].iter().any(|word| line.contains(word))
    };
    let line = text.lines().rfind(is_error).or_else(|| text.lines().last());
    line.unwrap_or("no word why").trim().chars().take(REASON_CHARS).collect()
}

/// Writes the configuration file if the program has one.
fn arguments(program: &Program, start: &Start, address: SocketAddr, directory: &Path) -> Result<Vec<String>> {
    let (name, template) = match program.kind {
        Kind::Relay => {
            let mut words = vec!["relay".to_owned(), address.to_string()];
            if program.has_log {
                words.extend(["--log".to_owned(), directory.join("log").display().to_string()]);
            }
            return Ok(words);
        }
        Kind::Noctule => ("noctule.conf", include_str!("../peers/mosquitto.conf")),
        Kind::Mosquitto => ("mosquitto.conf", include_str!("../peers/mosquitto.conf")),
        Kind::Rumqttd => ("rumqttd.toml", include_str!("../peers/rumqttd.toml")),
        Kind::Nats => ("nats.conf", include_str!("../peers/nats.conf")),
    };
    let mut config = template
        .replace("{port}", &address.port().to_string())
        .replace("{directory}", &directory.display().to_string())
        .replace("{sync_interval}", program.sync_interval.as_deref().unwrap_or("2m"))
        .replace("{version}", if start.protocol_level == 5 { "v5" } else { "v4" });
    for line in &program.config {
        config.push_str(line);
        config.push('\n');
    }
    if program.config.iter().any(|line| line == "persistence true") {
        // Mosquitto would become a user who may not write there.
        config.push_str(&format!("persistence_location {}/\nuser root\n", directory.display()));
    }
    if program.kind == Kind::Noctule {
        config.push_str(&format!("worker_threads {}\n", program.threads));
    }
    let file: PathBuf = directory.join(name);
    fs::write(&file, config)?;
    let file = file.display().to_string();
    Ok(match program.kind {
        Kind::Noctule => vec!["broker".to_owned(), "-c".to_owned(), file],
        Kind::Rumqttd => vec!["--quiet".to_owned(), "--config".to_owned(), file],
        Kind::Relay | Kind::Mosquitto | Kind::Nats => vec!["-c".to_owned(), file],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_error() {
        assert_eq!(reason("starting\nerror: no port\n  see --help\n"), "error: no port");
        assert_eq!(reason("hello\ngoodbye\n"), "goodbye");
        assert_eq!(reason(""), "no word why");
    }
}
