//! `noctule pub`: publish messages.

mod lines;
mod source;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Arg, ArgGroup, ArgMatches, value_parser};
use noctule_client::protocol::connection::ClientEvent;
use noctule_client::protocol::{ReasonCode, TopicName};
use noctule_client::{Client, Next};

use super::Command;
use crate::client_command::{PATIENCE, connect};
use crate::connect_args::{self, ConnectArgs, RECEIVE_MAXIMUM, bytes, qos, switch, text, value};
use crate::failure::{Failure, printable};
use crate::reason_text::reason_text;
use crate::say::complain;
use source::{Offer, Source};

pub(super) const COMMAND: Command = Command {
    name: "pub",
    about: "Publish messages",
    flags,
    run,
    exit_wrong_flags: crate::failure::exit::OTHER,
    program: None,
};

fn flags(command: clap::Command) -> clap::Command {
    let command = command
        .long_about("Publish messages on a topic.")
        .after_help(
            "Exit status: 0 published, and with -q 1 and 2 acknowledged; 1 wrong usage, or no broker there; 7 connection \
             lost; otherwise the code of the broker that refused the connection: 5 (MQTT 3.1.1) and 135 (MQTT 5) are \
             \"not authorised\".",
        )
        .arg(value("topic", Some('t'), "TOPIC", "Where to publish").allow_hyphen_values(true))
        .arg(
            value("message", Some('m'), "TEXT", "Publish this")
                .value_parser(value_parser!(OsString))
                .allow_hyphen_values(true),
        )
        .arg(
            value("file", Some('f'), "FILE", "Publish the contents of this file")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(switch("stdin-line", Some('l'), "Publish each line of standard input"))
        .arg(switch("stdin-file", Some('s'), "Publish all of standard input as one message"))
        .arg(switch("null-message", Some('n'), "Publish an empty message; with -r it clears the retained one"))
        .group(ArgGroup::new("payload").args(["message", "file", "stdin-line", "stdin-file", "null-message"]))
        .arg(qos("How surely it arrives: 0, 1 or 2 [default: 0]"))
        .arg(switch("retain", Some('r'), "The broker keeps it for those who subscribe later"))
        .arg(
            value("repeat", None, "N", "Publish it so many times")
                .value_parser(value_parser!(u64).range(1..))
                .conflicts_with("stdin-line"),
        )
        .arg(
            Arg::new("repeat-delay")
                .long("repeat-delay")
                .value_name("SECONDS")
                .requires("repeat")
                .help("Wait between them; fractions are allowed [default: 0]"),
        );
    connect_args::add(command)
}

/// What the command line asks for.
#[derive(Debug)]
struct Request {
    connect: ConnectArgs,
    topic: String,
    retain: bool,
    payload: Payload,
    repeat: u64,
    repeat_delay: Duration,
}

#[derive(Debug, Eq, PartialEq)]
enum Payload {
    Bytes(Vec<u8>),
    File(PathBuf),
    Stdin,
    StdinLines,
}

fn run(matches: &ArgMatches) -> ExitCode {
    let quiet = matches.get_flag("quiet");
    match Request::read(matches).and_then(publish) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("pub", quiet),
    }
}

impl Request {
    fn read(matches: &ArgMatches) -> Result<Self, Failure> {
        let connect = ConnectArgs::read(matches, &[], RECEIVE_MAXIMUM)?;
        let topic = text(matches, "topic").or_else(|| connect.url_topic.clone());
        let (Some(topic), Some(payload)) = (topic, payload(matches)) else {
            return Err(Failure::usage_with_hint(
                "Error: Both topic and message must be supplied.",
                "-t TOPIC, and one of -m TEXT, -f FILE, -l, -s and -n",
            ));
        };
        if TopicName::parse(&topic).is_err() {
            return Err(Failure::usage(format!(
                "Error: Invalid publish topic '{topic}', does it contain '+' or '#'?"
            )));
        }
        Ok(Self {
            connect,
            topic,
            retain: matches.get_flag("retain"),
            payload,
            repeat: matches.get_one("repeat").copied().unwrap_or(1),
            repeat_delay: repeat_delay(matches)?,
        })
    }
}

fn payload(matches: &ArgMatches) -> Option<Payload> {
    if matches.get_flag("null-message") {
        return Some(Payload::Bytes(Vec::new()));
    }
    if matches.get_flag("stdin-file") {
        return Some(Payload::Stdin);
    }
    if matches.get_flag("stdin-line") {
        return Some(Payload::StdinLines);
    }
    let file = matches.get_one::<PathBuf>("file").cloned().map(Payload::File);
    file.or_else(|| bytes(matches, "message").map(Payload::Bytes))
}

fn repeat_delay(matches: &ArgMatches) -> Result<Duration, Failure> {
    let Some(text) = text(matches, "repeat-delay") else { return Ok(Duration::ZERO) };
    // More than a day is a mistake rather than a wish.
    let seconds = text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| Failure::usage("Error: --repeat-delay argument must be >=0.0."))
}

fn publish(request: Request) -> Result<(), Failure> {
    // Before connecting, so that a missing file is told at once and the broker never waits for a slow pipe.
    let payload = request.payload.read()?;
    let client = connect(&request.connect, PATIENCE)?;
    let source = match payload {
        None => Source::lines(client.waker())?,
        Some(payload) => Source::repeated(payload, request.repeat, request.repeat_delay),
    };
    Publisher { client, source, request: &request, connected: false, begun: 0, done: 0 }.run()
}

struct Publisher<'r> {
    client: Client,
    source: Source,
    request: &'r Request,
    connected: bool,
    /// Messages given to the connection.
    begun: u64,
    /// Messages written (QoS 0) or acknowledged.
    done: u64,
}

impl Publisher<'_> {
    fn run(mut self) -> Result<(), Failure> {
        let mut deadline = None;
        loop {
            if self.connected {
                match self.feed()? {
                    Fed::WaitUntil(until) => deadline = until,
                    Fed::Finished => break,
                }
            }
            let endpoint = &self.request.connect.endpoint;
            match self.client.next(deadline) {
                Ok(Next::Event(event)) => self.handle(event)?,
                Ok(Next::Woken | Next::TimedOut) => {}
                Err(error) => return Err(Failure::connection(&error, endpoint, self.connected)),
            }
        }
        let connect = &self.request.connect;
        let properties = connect.properties.disconnect.borrowed();
        self.client
            .disconnect(ReasonCode::Success, properties)
            .map_err(|error| Failure::connection(&error, &connect.endpoint, true))
    }

    /// Gives the connection as many messages as it has room for.
    fn feed(&mut self) -> Result<Fed, Failure> {
        while self.client.has_room() {
            match self.source.next(self.begun == self.done, Instant::now())? {
                Offer::Message(payload) => {
                    let Request { connect, topic, retain, .. } = self.request;
                    let properties = connect.properties.publish.borrowed();
                    self.client
                        .publish(topic, &payload, connect.qos, *retain, properties)
                        .map_err(|error| Failure::request(&error))?;
                    self.begun += 1;
                }
                Offer::Nothing(until) => return Ok(Fed::WaitUntil(until)),
                Offer::End if self.begun == self.done => return Ok(Fed::Finished),
                Offer::End => return Ok(Fed::WaitUntil(None)),
            }
        }
        Ok(Fed::WaitUntil(None))
    }

    fn handle(&mut self, event: ClientEvent) -> Result<(), Failure> {
        match event {
            ClientEvent::Connected { .. } => self.connected = true,
            ClientEvent::Refused { code, properties } => return Err(Failure::refused(code, &properties)),
            ClientEvent::Disconnected { reason, properties } => {
                return Err(Failure::disconnected(reason, &properties, &self.request.connect.endpoint));
            }
            ClientEvent::PublishDone { reason, properties, .. } => {
                self.done += 1;
                if reason.is_error() && !self.request.connect.quiet {
                    complain(&format!("Warning: Publish {} failed: {}.", self.done, reason_text(reason)));
                    if let Some(why) = properties.reason_string() {
                        complain(&printable(why));
                    }
                }
            }
            // A message for a session that was kept is left unacknowledged: whoever subscribes under this name next
            // will have it. The others cannot come on a single connection without subscriptions.
            ClientEvent::Message { .. }
            | ClientEvent::PublishLost { .. }
            | ClientEvent::Subscribed { .. }
            | ClientEvent::Unsubscribed { .. }
            | ClientEvent::Auth { .. } => {}
        }
        Ok(())
    }
}

/// How feeding the connection ended.
enum Fed {
    /// Until then, or until something happens, there is nothing to publish.
    WaitUntil(Option<Instant>),
    /// Everything is published and acknowledged.
    Finished,
}
