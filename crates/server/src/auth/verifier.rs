//! The threads that check passwords.

use std::collections::HashSet;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;

use noctule_broker::{Revoked, Verdict};
use noctule_config::{Config, PasswordFile};

use super::hash::{self, Unable};
use super::queue::{Login, Queue};
use crate::log::Log;
use crate::shard::{Mail, Neighbours};

/// The `password_file` of each listener, by its place in the configuration.
type PasswordFiles = Vec<Option<Arc<PasswordFile>>>;

/// Checks log-ins, and writes what came of them to the shards' mailboxes; on one thread for two cores.
#[derive(Debug)]
pub(crate) struct Verifier(Arc<Work>);

/// What the threads have in common.
#[derive(Debug)]
struct Work {
    queue: Queue,
    files: RwLock<Arc<PasswordFiles>>,
    shards: Arc<Neighbours>,
    log: Log,
}

impl Verifier {
    /// Starts the threads. The users are those that the configuration names.
    pub(crate) fn start(config: &Config, shards: Arc<Neighbours>, log: Log) -> io::Result<Self> {
        let files = RwLock::new(password_files(config));
        let verifier = Self(Arc::new(Work { queue: Queue::new(), files, shards, log }));
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        for number in 0..(cores / 2).max(1) {
            let work = Arc::clone(&verifier.0);
            // Nobody waits for its end: it may be busy for long, and leaves nothing behind.
            thread::Builder::new().name(format!("passwords-{number}")).spawn(move || work.run())?;
        }
        Ok(verifier)
    }

    /// From now on these are the users; no answer of before comes after this. Gives by listener whose password does not hold
    /// any more.
    pub(crate) fn use_files_of(&self, config: &Config) -> Vec<Revoked> {
        let new = password_files(config);
        let mut files = self.0.files.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *files, Arc::clone(&new));
        drop(files);
        old.iter().zip(new.iter()).map(|(old, new)| revoked(old.as_deref(), new.as_deref())).collect()
    }

    /// Has one checked; false if so many wait already that there is no room.
    pub(crate) fn ask(&self, login: Login) -> bool {
        self.0.queue.put(login)
    }
}

fn revoked(old: Option<&PasswordFile>, new: Option<&PasswordFile>) -> Revoked {
    match (old, new) {
        (_, None) => Revoked::Nobody,
        (None, Some(_)) => Revoked::Everybody,
        (Some(old), Some(new)) => {
            let lost: HashSet<Box<str>> = new.lost_since(old).map(Box::from).collect();
            if lost.is_empty() { Revoked::Nobody } else { Revoked::Users(Arc::new(lost)) }
        }
    }
}

fn password_files(config: &Config) -> Arc<PasswordFiles> {
    Arc::new(config.listeners.iter().map(|listener| listener.password_file.clone()).collect())
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

impl Work {
    fn run(&self) {
        while let Some(login) = self.queue.take() {
            loop {
                let files = Arc::clone(&self.files.read().unwrap_or_else(PoisonError::into_inner));
                let verdict = self.check(&login, &files);
                // Held while the answer is sent, so that shards hear of other users behind it.
                let now = self.files.read().unwrap_or_else(PoisonError::into_inner);
                if Arc::ptr_eq(&files, &now) {
                    let answer = Mail::Authenticated { connection: login.connection, verdict };
                    self.shards.mailbox(login.shard).send(answer);
                    break;
                }
            }
        }
    }

    fn check(&self, login: &Login, files: &PasswordFiles) -> Verdict {
        let Some(file) = files.get(usize::from(login.listener.0)).and_then(Option::as_ref) else {
            // There was one when the client was told to wait.
            return Verdict::Busy;
        };
        // Without a password nobody gets in, known or not.
        let Some(password) = &login.password else { return Verdict::Refused };
        let known = file.find(&login.user_name);
        match (hash::fits(known.unwrap_or(file.decoy()), &password.0), known) {
            (Ok(true), Some(_)) => Verdict::Accepted,
            (Ok(_), _) => Verdict::Refused,
            (Err(Unable), _) => {
                self.log
                    .error("Error: Unable to check a password: its hash needs more memory than there is.");
                Verdict::Busy
            }
        }
    }
}
