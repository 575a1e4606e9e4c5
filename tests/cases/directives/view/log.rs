//! Views of the log.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use e2e::packet::Version;
use e2e::{Broker, Wire, eventually};

use super::deliver::until_ping;

/// The log is written by a thread of its own: it has all when nothing comes for so long.
const QUIET: Duration = Duration::from_millis(200);

/// What a visit of a client adds to a text that grows.
fn added_by_visit(broker: &Broker, read: impl Fn() -> String) -> String {
    let before = read().len();
    let mut wire = Wire::connect(broker, Version::V4, "visitor");
    wire.subscribe("news", 1);
    drop(wire);
    let mut length = before;
    let mut since = Instant::now();
    eventually("the log has all of the visit", || {
        let now = read().len();
        if now != length {
            (length, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(10));
        (since.elapsed() > QUIET).then_some(())
    });
    read().split_off(before)
}

fn stderr(broker: &Broker) -> String {
    broker.process().errors()
}

/// Whether standard error tells of a client that comes.
pub(in crate::directives) fn visit_is_logged(broker: &Broker) -> String {
    match added_by_visit(broker, || stderr(broker)).contains("New client connected") {
        true => "logged".to_owned(),
        false => "not logged".to_owned(),
    }
}

/// Which kinds of lines a visit causes.
pub(in crate::directives) fn kinds_of_lines(broker: &Broker) -> String {
    let told = added_by_visit(broker, || stderr(broker));
    let kinds = [("notice", "New client connected"), ("debug", "CONNACK"), ("subscribe", "visitor 1 news")];
    let seen: Vec<&str> =
        kinds.iter().filter(|(_, line)| told.contains(line)).map(|(kind, _)| *kind).collect();
    seen.join(" ")
}

/// Where a visit is told of.
pub(in crate::directives) fn where_it_is_logged(broker: &Broker) -> String {
    let file = || fs::read_to_string(broker.file("broker.log")).unwrap_or_default();
    let stdout = || broker.process().lines().join("\n");
    let all = || format!("{}{}{}", stderr(broker), stdout(), file());
    let before = [stderr(broker), stdout(), file()].map(|text| text.len());
    let mut reader = Wire::connect(broker, Version::V4, "reader");
    reader.subscribe("$SYS/broker/log/N", 0);
    added_by_visit(broker, all);
    let published = String::from_utf8_lossy(
        &until_ping(&mut reader).into_iter().flat_map(|(_, body)| body).collect::<Vec<_>>(),
    )
    .into_owned();
    let places = [("stderr", stderr(broker)), ("stdout", stdout()), ("file", file())];
    let added = places
        .into_iter()
        .zip(before)
        .filter_map(|((place, text), before)| Some((place, text.get(before..)?.to_owned())));
    let told = added.chain([("topic", published)]).filter(|(_, text)| text.contains("as visitor"));
    told.map(|(place, _)| place).collect::<Vec<_>>().join(" ")
}

/// What a line begins with.
pub(in crate::directives) fn line_begins(broker: &Broker) -> String {
    let told = added_by_visit(broker, || stderr(broker));
    match told.chars().next() {
        Some('{') => "json".to_owned(),
        Some('0'..='9') => "time".to_owned(),
        other => format!("{other:?}"),
    }
}

/// What stands in front of a line, with digits as `9`.
pub(in crate::directives) fn time_stamp(broker: &Broker) -> String {
    let told = added_by_visit(broker, || stderr(broker));
    let line = told.lines().find(|line| line.contains("New client connected")).unwrap_or_default();
    let stamp = line.split("New client connected").next().unwrap_or_default();
    stamp.chars().map(|char| if char.is_ascii_digit() { '9' } else { char }).collect()
}
