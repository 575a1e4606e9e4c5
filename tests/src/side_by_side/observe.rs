//! Doing a step, and what is seen of it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::installation::{Installation, without_time};
use super::{Observation, Step};
use crate::clients;
use crate::program::{Program, Running};

/// How long to wait for what might still come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window(pub(super) Duration);

/// How long a client may take to get an answer; some try again and again without one.
const ANSWER: Duration = Duration::from_secs(4);

/// Does one step; the same is seen of a broker that does the same.
pub(super) fn observe(step: &Step, installation: &mut Installation, window: Window) -> Observation {
    let seen = match step {
        Step::Run { client, args } => run(client, args, installation),
        Step::Hear { args, meanwhile } => hear(args, meanwhile, installation, window),
        Step::Die { args } => die(args, installation),
        Step::Replace { file, with } => {
            let text = fs::read(installation.path(with)).expect("a probe names an installed file");
            fs::write(installation.path(file), text).expect("a directory of ours");
            Vec::new()
        }
        Step::Reload => {
            installation.reload();
            thread::sleep(window.0);
            vec![format!("goes on: {}", installation.is_running())]
        }
        Step::Restart => [installation.stop(), installation.start_again()].concat(),
        Step::Crash => {
            installation.crash();
            installation.start_again()
        }
        Step::Log { file, text } => {
            let is_logged = || {
                let log = fs::read_to_string(installation.path(file)).unwrap_or_default();
                installation.in_their_words(&log).lines().any(|line| without_time(line).contains(text))
            };
            // A log may be written a little later than what it tells.
            let deadline = Instant::now() + window.0;
            while !is_logged() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
            vec![format!("logged: {}", is_logged())]
        }
    };
    Observation { step: step.to_string(), seen }
}

fn run(client: &str, args: &str, installation: &Installation) -> Vec<String> {
    let finished = program(client, args, installation).run();
    let mut seen = vec![finished.code()];
    seen.extend(printed(&finished.stdout).map(|line| format!("prints {line}")));
    seen.extend(printed(&finished.stderr).map(|line| format!("complains {line}")));
    seen
}

fn printed(bytes: &[u8]) -> impl Iterator<Item = String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn hear(args: &str, meanwhile: &[Step], installation: &mut Installation, window: Window) -> Vec<String> {
    let (running, mut seen) = subscriber(args, installation);
    for step in meanwhile {
        let done = observe(step, installation, window);
        seen.extend(done.seen.into_iter().map(|line| format!("{}: {line}", done.step)));
    }
    if running.is_running() {
        thread::sleep(window.0);
    }
    let mut messages = running.messages();
    // Retained messages come first, in an order of their topics that nobody promises.
    let kept = messages.iter().take_while(|message| message.split(' ').nth(2) == Some("1")).count();
    messages[..kept].sort();
    seen.extend(messages.into_iter().map(|message| format!("receives {}", shortened(&message))));
    running.signal(Signal::KILL);
    running.finish();
    seen
}

fn shortened(message: &str) -> String {
    const SHOWN: usize = 300;
    match message.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}… ({} bytes)", &message[..at], message.len()),
        None => message.to_owned(),
    }
}

fn die(args: &str, installation: &Installation) -> Vec<String> {
    let (running, seen) = subscriber(args, installation);
    running.kill();
    seen
}

/// A subscriber that has its answer: to its subscriptions, or a refusal, which ends it.
fn subscriber(args: &str, installation: &Installation) -> (Running, Vec<String>) {
    let format = "message %t %q %r %p";
    let running = program("mosquitto_sub", args, installation).args("-d -F").arg(format).start();
    let deadline = Instant::now() + ANSWER;
    let answer = loop {
        let ended = !running.is_running();
        let subscribed = running.lines().into_iter().find(|line| line.starts_with("Subscribed (mid:"));
        match subscribed {
            Some(line) => break vec![line],
            None if ended => break printed(running.last_errors().as_bytes()).collect(),
            None if Instant::now() > deadline => break vec!["has no answer".to_owned()],
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    (running, answer)
}

/// One of Debian's clients with these arguments, whose ports are those of the configuration. Behind `-f` stands how many
/// bytes to publish.
fn program(client: &str, args: &str, installation: &Installation) -> Program {
    let mut port = 1883;
    let mut payload = None;
    let mut rest = Vec::new();
    let mut words = args.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-f" => {
                let bytes =
                    words.next().and_then(|word| word.parse().ok()).expect("a number stands behind -f");
                fs::write(installation.path("payload"), vec![b'x'; bytes]).expect("a directory of ours");
                payload = Some(installation.path("payload"));
            }
            "-p" => port = words.next().and_then(|word| word.parse().ok()).expect("a port stands behind -p"),
            other => rest.push(other),
        }
    }
    if !rest.contains(&"-h") {
        rest.extend(["-h", "127.0.0.1"]);
    }
    let program = clients::mosquitto(&format!("/usr/bin/{client}"), installation.port(port), &rest.join(" "));
    match payload {
        Some(path) => program.arg("-f").arg(path),
        None => program,
    }
}
