//! Starting and ending the broker that is measured.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long a broker may take until it accepts.
const START_TIME_MAX: Duration = Duration::from_secs(10);

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    Relay,
    Noctule(PathBuf),
    Mosquitto(PathBuf),
}

/// A broker that ends when this is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    config: Option<PathBuf>,
}

impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "relay" {
            return Ok(Self::Relay);
        }
        let path = PathBuf::from(text);
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if name.starts_with("noctule") => Ok(Self::Noctule(path)),
            Some(name) if name.starts_with("mosquitto") => Ok(Self::Mosquitto(path)),
            _ => Err("name `relay`, or the path of a noctule or mosquitto".to_owned()),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relay => "relay",
            Self::Noctule(_) => "noctule",
            Self::Mosquitto(_) => "mosquitto",
        })
    }
}

impl Program {
    /// Starts it on a free loopback port, without log and without limits on messages.
    pub(crate) fn start(&self, core: Option<usize>) -> Result<Running> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut config = None;
        let mut words: Vec<String> = Vec::new();
        match self {
            Self::Relay => {
                let this = std::env::current_exe()?;
                words.extend([this.display().to_string(), "relay".to_owned(), address.to_string()]);
            }
            Self::Noctule(path) | Self::Mosquitto(path) => {
                let file = std::env::temp_dir().join(format!(
                    "bench-{}-{}.conf",
                    std::process::id(),
                    address.port()
                ));
                let mut out = fs::File::create(&file)?;
                writeln!(out, "listener {} 127.0.0.1", address.port())?;
                writeln!(out, "allow_anonymous true\nlog_dest none\nset_tcp_nodelay true")?;
                writeln!(out, "max_inflight_messages 0\nmax_queued_messages 0")?;
                words.push(path.display().to_string());
                if let Self::Noctule(_) = self {
                    words.push("broker".to_owned());
                }
                words.extend(["-c".to_owned(), file.display().to_string()]);
                config = Some(file);
            }
        }
        if let Some(core) = core {
            words.splice(0..0, ["taskset".to_owned(), "-c".to_owned(), core.to_string()]);
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("run {}", words[0]))?;
        let mut running = Running { child, address, config };
        running.wait_until_accepting()?;
        Ok(running)
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_accepting(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIME_MAX;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                let mut text = String::new();
                if let Some(mut stderr) = self.child.stderr.take() {
                    stderr.read_to_string(&mut text)?;
                }
                bail!("it ended with {status}: {text}");
            }
            ensure!(Instant::now() < deadline, "it does not accept connections on {}", self.address);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(config) = &self.config {
            let _ = fs::remove_file(config);
        }
    }
}

/// Holds this process to one core; brokers are started with their own.
pub(crate) fn pin_this_process(core: usize) -> Result<()> {
    let pid = std::process::id().to_string();
    let status =
        Command::new("taskset").args(["-cp", &core.to_string(), &pid]).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "taskset failed: {status}");
    Ok(())
}
