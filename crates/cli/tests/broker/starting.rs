//! How a broker starts, or does not.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{FlowArg, tcflow};
use nix::unistd::{Pid, geteuid};

use crate::support::{BINARY, Broker, free_port, link, run, spawn, wait, wait_until, write_config};

#[test]
fn a_second_broker_on_the_port_is_refused() {
    let broker = Broker::start("allow_anonymous true");
    let port = broker.port.to_string();

    let output = run(Path::new(BINARY), &["broker", "-p", &port]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(": Error: Address already in use\n"), "{errors}");
    let told =
        format!("error: cannot listen on 127.0.0.1:{port}: Address already in use; stop the other broker");
    assert!(errors.contains(&told), "{errors}");

    let mosquitto = link(broker.directory.path(), "mosquitto");
    let output = run(&mosquitto, &["-p", &port]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.ends_with(": Error: Address already in use\n"), "{errors}");
}

#[test]
fn without_a_file_it_is_for_this_machine_only() {
    let (port, home) = (free_port(), tempfile::tempdir().unwrap());
    let mut command = Command::new(BINARY);
    command.args(["broker", "-p", &port.to_string()]).env("XDG_STATE_HOME", home.path());
    let (mut process, lines) = spawn(&mut command);
    let lines: Vec<_> = lines.iter().take_while(|line| !line.ends_with(" running")).collect();
    process.kill().unwrap();
    process.wait().unwrap();
    let texts: Vec<_> = lines.iter().map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(texts[0], concat!("noctule version ", env!("CARGO_PKG_VERSION"), " starting"));
    assert_eq!(texts[1], "Using default config.");
    assert!(texts[2].starts_with("Starting in local only mode."), "{texts:?}");
    assert!(texts[3].starts_with("Create a configuration file"), "{texts:?}");
    assert_eq!(texts[4], format!("Opening ipv4 listen socket on port {port}."));
    assert_eq!(texts[5], format!("Opening ipv6 listen socket on port {port}."));
}

#[test]
fn in_the_background_it_writes_its_files_and_ends_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let path = |name: &str| directory.path().join(name);
    let (log, pid) = (path("log"), path("pid"));
    let settings = format!("listener {port}\nlog_dest file {}\npid_file {}\n", log.display(), pid.display());
    let file = write_config(directory.path(), &settings);
    let output = run(Path::new(BINARY), &["broker", "-d", "-c", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));

    wait_until(|| fs::read_to_string(&log).is_ok_and(|log| log.contains(" running\n")));
    let number: i32 = fs::read_to_string(&pid).unwrap().parse().unwrap();
    kill(Pid::from_raw(number), Signal::SIGTERM).unwrap();
    wait_until(|| !pid.exists());
    wait_until(|| fs::read_to_string(&log).unwrap().ends_with(" terminating\n"));
}

/// What cannot work is told before the terminal is left.
#[test]
fn in_the_background_a_taken_port_is_told_first() {
    let broker = Broker::start("");
    let output = run(Path::new(BINARY), &["broker", "-d", "-p", &broker.port.to_string()]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn root_does_not_stay_root_as_mosquitto() {
    let directory = tempfile::tempdir().unwrap();
    let mosquitto = link(directory.path(), "mosquitto");
    let (mut process, lines) = spawn(Command::new(mosquitto).args(["-p", &free_port().to_string()]));
    let lines: Vec<_> = lines.iter().take_while(|line| !line.ends_with(" running")).collect();
    process.kill().unwrap();
    process.wait().unwrap();
    let told = lines.iter().any(|line| line.contains("Info: running mosquitto as user: "));
    assert_eq!(told, geteuid().is_root(), "{lines:?}");
}

/// A terminal that takes nothing (Ctrl-S) holds up its greeting, but neither clients nor the end.
#[test]
fn on_a_stopped_terminal_it_serves_and_ends() {
    let terminal = openpty(None, None).unwrap();
    tcflow(&terminal.slave, FlowArg::TCOOFF).unwrap();

    let (port, home) = (free_port(), tempfile::tempdir().unwrap());
    let mut command = Command::new(BINARY);
    command
        .args(["broker", "-p", &port.to_string()])
        .env("XDG_STATE_HOME", home.path())
        .stdout(Stdio::null())
        .stderr(terminal.slave);
    let mut process = command.spawn().unwrap();
    let threads = format!("/proc/{}/task", process.id());
    let name_of = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
    // Threads are started in this order, and from the first on it obeys signals.
    for started in ["signals", "greeting"] {
        wait_until(|| {
            let mut threads = fs::read_dir(&threads).unwrap().filter_map(Result::ok);
            threads.any(|thread| name_of(thread).trim() == started)
        });
    }
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    kill(Pid::from_raw(process.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(wait(&mut process), Some(0));
}
