//! A configuration with its files, installed where a test may: ports and paths are replaced by free ones, and what
//! a broker tells about them is told in the configuration's own.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::broker::{END, raise_open_files};
use crate::patience::eventually;
use crate::port::{self, Port};
use crate::program::{Program, Running};

/// Where an administrator's files name things, and where they are in the installation.
const PLACES: [(&str, &str); 6] = [
    ("/etc/mosquitto/", ""),
    ("/mosquitto/config/", ""),
    ("/var/log/mosquitto/", "log/"),
    ("/mosquitto/log/", "log/"),
    ("/run/mosquitto/", "run/"),
    ("/var/lib/mosquitto/", "lib/"),
];

/// The port of a configuration that names none.
const DEFAULT_PORT: u16 = 1883;

/// What the program is called.
const CALLED: &str = "mosquitto";

/// How long further listeners may take after the first one is there.
const FURTHER_LISTENERS: Duration = Duration::from_millis(300);

/// How long it may take to serve a first connection.
const SERVED: Duration = Duration::from_secs(5);

pub(super) struct Installation {
    directory: TempDir,
    /// Each port of the configuration, and the one in its place.
    ports: Vec<(u16, Port)>,
    names_port: bool,
    process: Option<Running>,
}

impl Installation {
    /// Installs the files of this folder; `more` is added to the configuration.
    pub(super) fn new(folder: &Path, more: &str) -> Self {
        let directory = TempDir::new().expect("the directory for temporary files can be written to");
        // A broker started as root becomes another user, who has to read and write here.
        for name in ["", "log", "run", "lib"] {
            let path = directory.path().join(name);
            fs::create_dir_all(&path).expect("a directory of ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("a directory of ours");
        }
        let mut installation = Self { directory, ports: Vec::new(), names_port: true, process: None };
        installation.install(folder, "");
        installation.names_port = !installation.ports.is_empty();
        if !installation.names_port {
            installation.ports.push((DEFAULT_PORT, Port::reserve()));
        }
        let main = installation.path("mosquitto.conf");
        let text = fs::read_to_string(&main).expect("every configuration has a mosquitto.conf");
        if !more.is_empty() {
            fs::write(main, format!("{text}\n{more}\n")).expect("a directory of ours");
        }
        installation
    }

    fn install(&mut self, folder: &Path, below: &str) {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for from in entries {
            let name = from.file_name().and_then(|name| name.to_str()).expect("our files have ASCII names");
            let name = format!("{below}{name}");
            let to = self.path(&name);
            if from.is_dir() {
                fs::create_dir_all(&to).expect("a directory of ours");
                self.install(&from, &format!("{name}/"));
                continue;
            }
            let mut text = fs::read_to_string(&from).expect("our files are UTF-8");
            if name.contains(".conf") {
                text = self.adapted(&text);
            }
            fs::write(&to, text).expect("a directory of ours");
        }
    }

    /// A configuration file with the ports and paths of this installation.
    fn adapted(&mut self, text: &str) -> String {
        let directory = self.directory.path().display().to_string();
        let mut adapted = String::new();
        for line in text.split_inclusive('\n') {
            let mut line = line.to_owned();
            for (place, here) in PLACES {
                line = line.replace(place, &format!("{directory}/{here}"));
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["listener" | "port", number, ..] = words[..]
                && let Ok(port @ 1024..) = number.parse()
            {
                let mapped = self.port_or_reserve(port).to_string();
                line = line.replacen(number, &mapped, 1);
            }
            adapted.push_str(&line);
        }
        adapted
    }

    fn port_or_reserve(&mut self, number: u16) -> u16 {
        match self.ports.iter().find(|(written, _)| *written == number) {
            Some((_, port)) => port.number(),
            None => {
                let port = Port::reserve();
                let mapped = port.number();
                self.ports.push((number, port));
                mapped
            }
        }
    }

    /// The port in the place of this one of the configuration.
    pub(super) fn port(&self, number: u16) -> u16 {
        let found = self.ports.iter().find(|(written, _)| *written == number);
        found.unwrap_or_else(|| panic!("a probe names port {number}, the configuration does not")).1.number()
    }

    /// An installed file.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What somebody said, with the configuration's ports and paths.
    pub(super) fn in_their_words(&self, text: &str) -> String {
        let directory = format!("{}/", self.directory.path().display());
        let mut text = text.replace(&directory, "/etc/mosquitto/");
        for (written, port) in &self.ports {
            text = text.replace(&port.number().to_string(), &written.to_string());
        }
        text
    }

    /// Starts this program, under the name `mosquitto`; tells where it listens, or why it does not.
    pub(super) fn start(&mut self, program: &Path) -> Vec<String> {
        raise_open_files();
        symlink(program, self.path(CALLED)).expect("a directory of ours");
        self.start_again()
    }

    /// The same once it has ended.
    pub(super) fn start_again(&mut self) -> Vec<String> {
        let mut command = Program::new(self.path(CALLED)).arg("-c").arg(self.path("mosquitto.conf"));
        if !self.names_port {
            command = command.arg("-p").arg(self.port(DEFAULT_PORT).to_string());
        }
        let running = command.start();
        let mut first = None;
        let sockets = eventually("the broker listens or ends", || {
            let sockets = port::listening(running.pid());
            if !running.is_running() {
                return Some(Vec::new());
            }
            let all =
                self.ports.iter().all(|(_, port)| sockets.iter().any(|(_, number)| *number == port.number()));
            if !sockets.is_empty() {
                first.get_or_insert_with(Instant::now);
            }
            (all || first.is_some_and(|at| at.elapsed() > FURTHER_LISTENERS)).then_some(sockets)
        });
        let Some((host, number)) = sockets.first() else { return self.refusal(running) };
        // All listeners are there when it serves one: it closes a connection that begins with nonsense.
        if let Ok(mut stream) = TcpStream::connect((*host, *number)) {
            let _ = stream.set_read_timeout(Some(SERVED)).and_then(|()| stream.write_all(&[0, 0]));
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let sockets = port::listening(running.pid());
        let written =
            |number| self.ports.iter().find(|(_, port)| port.number() == number).map(|(port, _)| *port);
        let mut lines: Vec<String> = sockets
            .iter()
            .map(|(host, number)| match written(*number) {
                Some(port) => format!("listens on {host} port {port}"),
                None => format!("listens on {host} port {number}, which the file does not name"),
            })
            .collect();
        lines.sort();
        self.process = Some(running);
        lines
    }

    /// The exit code, the error and where it is.
    fn refusal(&self, running: Running) -> Vec<String> {
        let finished = running.finish();
        let mut lines = vec![format!("ends with {}", finished.code())];
        let said = String::from_utf8_lossy(&finished.stderr).into_owned();
        let errors = said.lines().map(without_time).filter(|line| line.starts_with("Error"));
        // Between 2.0 and 2.1 quotation marks came, went and changed.
        lines.extend(errors.take(2).map(|line| self.in_their_words(line).replace(['\'', '"'], "")));
        lines
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(Running::is_running)
    }

    /// SIGHUP.
    pub(super) fn reload(&self) {
        if let Some(process) = &self.process {
            process.signal(Signal::HUP);
        }
    }

    /// SIGKILL.
    pub(super) fn crash(&mut self) {
        if let Some(running) = self.process.take() {
            running.kill();
        }
    }

    /// SIGTERM; tells how it ended.
    pub(super) fn stop(&mut self) -> Vec<String> {
        // What it was told by the last client may have to be read still.
        thread::yield_now();
        let Some(running) = self.process.take() else { return Vec::new() };
        let running = running.limited_to(END);
        running.signal(Signal::TERM);
        let finished = running.finish();
        let pid_file = self.path("run/mosquitto.pid").exists();
        vec![format!("ends with {}", finished.code()), format!("pid file left: {pid_file}")]
    }
}

/// A line of Mosquitto's log without the time in front.
pub(super) fn without_time(line: &str) -> &str {
    match line.split_once(": ") {
        Some((time, rest)) if time.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => line,
    }
}
