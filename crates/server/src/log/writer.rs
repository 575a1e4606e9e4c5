//! The one that writes log lines.

use std::sync::Arc;

use super::destination::Destinations;
use noctule_config::LogType;
use noctule_transport::system_text;

use super::Prepared;
use super::line::LineFormat;
use super::outlet::Outlet;
use super::queue::{Batch, Entry, Queue};

/// Formatted bytes handed to the destinations at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// Takes lines out of the queue and writes them. Runs on a thread of its own.
#[derive(Debug)]
pub struct Writer {
    queue: Arc<Queue>,
    outlet: Arc<Outlet>,
    format: LineFormat,
    destinations: Destinations,
    buffer: String,
    /// Lines in `buffer`.
    buffered: u64,
    /// Lines lost and not yet reported.
    lost: u64,
}

impl Writer {
    pub(super) fn new(queue: Arc<Queue>, outlet: Arc<Outlet>, to: Prepared) -> Self {
        let Prepared { format, destinations, .. } = to;
        Self { queue, outlet, format, destinations, buffer: String::new(), buffered: 0, lost: 0 }
    }

    /// Writes until [`Log::close`](super::Log::close).
    pub fn run(mut self) {
        loop {
            let batch = self.queue.wait();
            let last = batch.last;
            self.write(batch);
            if last {
                return;
            }
        }
    }

    /// Writes what waits now, on the calling thread.
    pub fn drain(&mut self) {
        let batch = self.queue.take();
        self.write(batch);
    }

    fn write(&mut self, mut batch: Batch) {
        let mut switch_at = batch.switch_at.take();
        for (place, entry) in batch.entries.iter().enumerate() {
            if let Some((_, to)) = switch_at.take_if(|(at, _)| *at == place) {
                self.switch(to);
            }
            if batch.reopen_at == Some(place) {
                self.reopen();
            }
            self.add(entry);
            if self.buffer.len() >= CHUNK_BYTES {
                self.hand_over();
            }
        }
        self.hand_over();
        self.lost += batch.lost;
        if self.lost > 0 {
            let lost = self.lost;
            let line =
                format!("Warning: {lost} log lines were lost because a log destination did not take them.");
            self.add(&Entry::now(LogType::Warning, line));
            if self.hand_over() {
                self.lost = 0;
            } else {
                // The report itself is no lost line.
                self.lost = lost;
            }
        }
        if let Some((_, to)) = switch_at {
            self.switch(to);
        }
        if batch.reopen_at == Some(batch.entries.len()) {
            self.reopen();
        }
        self.queue.report_written();
    }

    fn switch(&mut self, to: Prepared) {
        self.hand_over();
        (self.format, self.destinations) = (to.format, to.destinations);
    }

    fn reopen(&mut self) {
        self.hand_over();
        if let Err(unopened) = self.destinations.reopen() {
            for line in unopened.log_lines() {
                self.add(&Entry::now(LogType::Error, line));
            }
            self.hand_over();
        }
    }

    fn add(&mut self, entry: &Entry) {
        let begin = self.buffer.len();
        self.format.push(&mut self.buffer, entry);
        let line = &self.buffer[begin..];
        if self.destinations.topic {
            self.outlet.push(entry.kind, line);
        }
        let trouble = self.destinations.send(entry.kind, entry.seconds, line);
        self.buffer.push('\n');
        self.buffered += 1;
        if let Some(error) = trouble {
            let error = system_text(&error);
            let line =
                format!("Warning: Unable to reach syslog: {error}. It is tried again with later lines.");
            // It is no news any more when this line does not reach it either.
            self.add(&Entry::now(LogType::Warning, line));
        }
    }

    fn hand_over(&mut self) -> bool {
        let taken = self.buffer.is_empty() || self.destinations.write(self.buffer.as_bytes());
        if !taken {
            self.lost += self.buffered;
        }
        self.buffered = 0;
        self.buffer.clear();
        self.buffer.shrink_to(2 * CHUNK_BYTES);
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use noctule_config::{Log as Config, LogType, LogTypes, Timestamp};

    use super::super::Log;
    use super::*;

    fn to_file(path: &Path) -> Config {
        Config {
            stderr: false,
            file: Some(path.to_owned()),
            timestamp: Timestamp::None,
            types: LogTypes::default(),
            ..Config::default()
        }
    }

    #[test]
    fn lines_of_wanted_types_reach_the_file_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let (log, writer) = Log::open(&to_file(&path));
        let thread = std::thread::spawn(move || writer.run());
        log.information("mosquitto version 2.1.2 starting");
        log.write(LogType::Debug, "not wanted");
        log.notice("a\nb\tc\u{1b}[31m");
        log.close();
        thread.join().unwrap();
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            "mosquitto version 2.1.2 starting\na\\nb\tc\\u{1b}[31m\n"
        );
    }

    #[test]
    fn a_rotated_file_is_opened_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("log"), directory.path().join("log.1"));
        let (log, mut writer) = Log::open(&to_file(&path));
        log.error("before");
        writer.drain();
        fs::rename(&path, &old).unwrap();
        log.reopen();
        writer.drain();
        log.error("after");
        writer.drain();
        assert_eq!(fs::read_to_string(old).unwrap(), "before\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "after\n");
    }

    #[test]
    fn what_comes_after_a_switch_goes_to_the_new_file_with_the_new_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (directory.path().join("old"), directory.path().join("new"));
        let (log, mut writer) = Log::open(&to_file(&old));
        let config =
            Config { types: LogTypes::ALL, timestamp: Timestamp::Format("then".to_owned()), ..to_file(&new) };
        for at_once in [true, false] {
            log.error("before");
            if !at_once {
                writer.drain();
            }
            log.switch(Prepared::open(&config).unwrap());
            log.write(LogType::Debug, "after");
            writer.drain();
            log.switch(Prepared::open(&to_file(&old)).unwrap());
            log.write(LogType::Debug, "not wanted");
            writer.drain();
        }
        assert_eq!(fs::read_to_string(old).unwrap(), "before\nbefore\n");
        assert_eq!(fs::read_to_string(new).unwrap(), "then: after\nthen: after\n");
        let unopened = Prepared::open(&to_file(Path::new("/nonexistent/log"))).unwrap_err();
        assert_eq!(
            unopened.log_lines(),
            [
                "Error: Unable to open log file /nonexistent/log for writing.",
                "Error: The log file /nonexistent/log cannot be opened: No such file or directory."
            ]
        );
    }

    #[test]
    fn lost_lines_are_reported_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let config = to_file(&path);
        let prepared = Prepared::open(&config).unwrap();
        let queue = Arc::new(Queue::new(0));
        queue.push(Entry::now(LogType::Error, "one"));
        queue.push(Entry::now(LogType::Error, "two"));
        let mut writer = Writer::new(queue, Arc::default(), prepared);
        writer.drain();
        writer.drain();
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            "Warning: 2 log lines were lost because a log destination did not take them.\n"
        );
    }

    #[test]
    fn without_its_file_the_log_keeps_errors_only() {
        let (log, _writer) = Log::open(&to_file(Path::new("/nonexistent/log")));
        assert!(log.types().contains(LogType::Error));
        assert!(!log.types().contains(LogType::Information));
    }
}
