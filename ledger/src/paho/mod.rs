//! paho-mqtt, as a publisher and as subscribers: processes that keep their books in files, a line at a time. They are
//! never killed before the books are read, so what a line says has happened.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use anyhow::{Context, Result};

use crate::history::{History, Incident, Message, Moment, Receipt};
use crate::payload;

/// paho's clients in one world.
#[derive(Debug)]
pub struct Paho {
    publishers: Vec<Author>,
    subscribers: Vec<Author>,
}

/// A process, and how far its book has been read.
#[derive(Debug)]
struct Author {
    /// In the books.
    number: usize,
    child: Child,
    book: File,
    unread: Vec<u8>,
    /// What it subscribes to.
    filter: Rc<str>,
    qos: u8,
    /// Began, and not acknowledged.
    open: usize,
    /// To be begun.
    wanted: usize,
    /// When it was last told to publish: what it began since was not before.
    told: Moment,
}

/// 3.1.1 and 5.0, as paho names them.
const VERSIONS: [(&str, &str); 2] = [("311", "4"), ("5", "5")];

impl Paho {
    /// Starts them against a broker that listens there. They subscribe by themselves.
    ///
    /// # Errors
    /// If Python cannot be run.
    pub fn start(python: &Path, port: u16, directory: &Path, history: &mut History) -> Result<Self> {
        let publisher = script(directory, "publisher.py", include_str!("publisher.py"))?;
        let subscriber = script(directory, "subscriber.py", include_str!("subscriber.py"))?;
        let mut paho = Self { publishers: Vec::new(), subscribers: Vec::new() };
        let port = port.to_string();
        for (label, version) in VERSIONS {
            let name = format!("paho-receiving-{label}");
            let number = history.receiver(&name, true, None);
            let (filter, qos) = if version == "4" { ("l/#", 2) } else { ("l/+/1", 1) };
            let level = qos.to_string();
            let arguments = [&*port, version, &name, filter, &level];
            let mut author = Author::start(python, &subscriber, &arguments, directory, number)?;
            (author.filter, author.qos) = (filter.into(), qos);
            paho.subscribers.push(author);
        }
        for (label, version) in VERSIONS {
            let name = format!("paho-publishing-{label}");
            let number = history.publisher(&name);
            // After a reconnect it sends new messages before it repeats old ones.
            history.publishers[number].keeps_order = false;
            let of = number.to_string();
            let author = Author::start(python, &publisher, &[&port, version, &name, &of], directory, number)?;
            paho.publishers.push(author);
        }
        Ok(paho)
    }

    /// Lets each publish so many more.
    ///
    /// # Errors
    /// If a process is gone.
    pub fn publish(&mut self, messages: usize, history: &mut History) -> Result<()> {
        for author in &mut self.publishers {
            author.told = history.tick();
            let pipe = author.child.stdin.as_mut().context("a publisher without standard input")?;
            writeln!(pipe, "{messages}").context("paho's publisher is gone")?;
            author.wanted += messages;
        }
        Ok(())
    }

    /// Reads what was written into the books since.
    ///
    /// # Errors
    /// If a book cannot be read, or has a line that nobody writes.
    pub fn read(&mut self, history: &mut History) -> Result<()> {
        for author in self.publishers.iter_mut().chain(&mut self.subscribers) {
            author.book.read_to_end(&mut author.unread)?;
            let whole = author.unread.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let lines: Vec<u8> = author.unread.drain(..whole).collect();
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let known = author.line(line, history);
                known.with_context(|| format!("paho's book says {:?}", String::from_utf8_lossy(line)))?;
            }
        }
        Ok(())
    }

    /// Whether all that was to be published is acknowledged.
    pub fn is_flushed(&self) -> bool {
        self.publishers.iter().all(|author| author.open == 0 && author.wanted == 0)
    }

    /// Whether both have their subscriptions.
    pub fn is_subscribed(&self, history: &History) -> bool {
        self.subscribers.iter().all(|author| !history.receivers[author.number].subscriptions.is_empty())
    }

    /// The numbers of the receivers.
    pub fn receivers(&self) -> impl Iterator<Item = usize> + '_ {
        self.subscribers.iter().map(|author| author.number)
    }
}

fn script(directory: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

impl Author {
    fn start(
        python: &Path,
        script: &Path,
        arguments: &[&str],
        directory: &Path,
        number: usize,
    ) -> Result<Self> {
        let path = directory.join(format!("{}.book", arguments[2]));
        File::create(&path)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(python)
            .arg(script)
            .args(arguments)
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", python.display()))?;
        Ok(Self {
            number,
            child,
            book: File::open(&path)?,
            unread: Vec::new(),
            filter: "".into(),
            qos: 0,
            open: 0,
            wanted: 0,
            told: 0,
        })
    }

    fn line(&mut self, line: &[u8], history: &mut History) -> Option<()> {
        let mut words = line.splitn(4, |byte| *byte == b' ').map(std::str::from_utf8);
        let mut word = || words.next()?.ok();
        match word()? {
            "began" => {
                let (sequence, qos, topic): (usize, u8, &str) =
                    (word()?.parse().ok()?, word()?.parse().ok()?, word()?);
                let message = Message {
                    topic: topic.into(),
                    qos,
                    retain: false,
                    is_clear: false,
                    begun: self.told,
                    acknowledged: false,
                };
                (history.began(self.number, message) == sequence).then_some(())?;
                self.open += 1;
                self.wanted = self.wanted.checked_sub(1)?;
            }
            "acknowledged" => {
                history.acknowledged(self.number, word()?.parse().ok()?);
                self.open = self.open.checked_sub(1)?;
            }
            "refused" => history.incident(Incident::Refused, format!("paho's message {}", word()?)),
            "granted" => history.subscribed(self.number, &Rc::clone(&self.filter), self.qos),
            "forgotten" => history.incident(Incident::Session, "paho: the session is gone"),
            "got" => {
                let (qos, topic, payload) = (word()?.parse().ok()?, word()?, word()?);
                match payload::read(payload.as_bytes()) {
                    Some((publisher, sequence)) => {
                        history.received(self.number, Receipt { publisher, sequence, qos });
                    }
                    None => history.incident(Incident::Mangled, format!("paho got {payload:?} on {topic}")),
                }
            }
            _ => return None,
        }
        Some(())
    }
}

impl Drop for Author {
    fn drop(&mut self) {
        // It would wait for a broker that is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
