//! Reads the files that security directives name, each once.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AclFile, Files, PasswordFile, acl_file, password_file, psk_file};
use crate::diagnostic::{Diagnostic, Position};
use crate::draft::{Block, Draft};
use crate::files;
use crate::problem::access;

/// Bytes of one such file: a password for each of some 200 000 users. What is larger is something else, given by mistake.
const BYTES_MAX: u64 = 64 << 20;

/// Which of the three a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Acl,
    Password,
    Psk,
}

impl Kind {
    /// The directive that names it.
    fn directive(self) -> &'static str {
        match self {
            Self::Acl => "acl_file",
            Self::Password => "password_file",
            Self::Psk => "psk_file",
        }
    }
}

/// Files that were read. Several listeners may name one file.
pub(crate) struct AccessFiles<'a> {
    files: &'a dyn files::Files,
    allow_symlinks: bool,
    acl: HashMap<PathBuf, Option<Arc<AclFile>>>,
    passwords: HashMap<PathBuf, Option<Arc<PasswordFile>>>,
    psk: HashMap<PathBuf, ()>,
    told: Vec<Diagnostic>,
}

impl<'a> AccessFiles<'a> {
    pub(crate) fn new(files: &'a dyn files::Files, allow_symlinks: bool) -> Self {
        let (acl, passwords, psk, told) = Default::default();
        Self { files, allow_symlinks, acl, passwords, psk, told }
    }

    /// Reads what the security directives of a configuration name, and puts it there. Gives what is odd about the files.
    pub(crate) fn read(mut self, draft: &mut Draft) -> Vec<Diagnostic> {
        let listeners = (0..draft.listeners.len()).map(Block::Listener);
        for block in std::iter::once(Block::Broker).chain(listeners) {
            let at = |kind: Kind| draft.given.get(&(block, kind.directive())).cloned();
            let [acl_at, password_at, psk_at] = [Kind::Acl, Kind::Password, Kind::Psk].map(at);
            let security = draft.security(block);
            let acl = security.acl_file.as_deref().and_then(|path| self.acl(Path::new(path), acl_at));
            let passwords = security
                .password_file
                .as_deref()
                .and_then(|path| self.passwords(Path::new(path), password_at));
            if let Some(path) = &security.psk_file {
                self.psk(Path::new(path), psk_at);
            }
            security.files = Files { acl, passwords };
        }
        self.told
    }

    fn acl(&mut self, path: &Path, at: Option<Position>) -> Option<Arc<AclFile>> {
        if let Some(known) = self.acl.get(path) {
            return known.clone();
        }
        let file = self.content(Kind::Acl, path, at).map(|content| {
            let (file, told) = acl_file::parse(path, &content);
            self.tell(path, told);
            Arc::new(file)
        });
        self.acl.insert(path.to_owned(), file.clone());
        file
    }

    fn passwords(&mut self, path: &Path, at: Option<Position>) -> Option<Arc<PasswordFile>> {
        if let Some(known) = self.passwords.get(path) {
            return known.clone();
        }
        let file = self.content(Kind::Password, path, at).map(|content| {
            let (file, told) = password_file::parse(path, &content);
            self.tell(path, told);
            Arc::new(file)
        });
        self.passwords.insert(path.to_owned(), file.clone());
        file
    }

    fn psk(&mut self, path: &Path, at: Option<Position>) {
        if self.psk.insert(path.to_owned(), ()).is_some() {
            return;
        }
        if let Some(content) = self.content(Kind::Psk, path, at) {
            self.tell(path, psk_file::check(&content));
        }
    }

    fn content(&mut self, kind: Kind, path: &Path, at: Option<Position>) -> Option<Vec<u8>> {
        let content = self.files.read_secret(path, BYTES_MAX, self.allow_symlinks);
        let problem = match content {
            Ok(content) if content.len() as u64 <= BYTES_MAX => return Some(content),
            Ok(_) => access::too_large(kind, path, BYTES_MAX),
            Err(files::SecretError::Symlink) => access::symlink(kind, path),
            Err(files::SecretError::NotAFile) => access::not_a_file(kind, path),
            Err(files::SecretError::Unreadable(error)) => access::unreadable(kind, path, &error),
        };
        self.told.push(Diagnostic { problem, at, included_at: None });
        None
    }

    fn tell(&mut self, path: &Path, told: super::Told) {
        let file: Arc<Path> = Arc::from(path);
        self.told.extend(told.into_iter().map(|(line, problem)| {
            let at = Some(Position { file: Arc::clone(&file), line });
            Diagnostic { problem, at, included_at: None }
        }));
    }
}

impl From<io::Error> for files::SecretError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}
