//! The files that say who may come in and what they may do there: `acl_file`, `password_file` and `psk_file`.
//!
//! Their grammars are Mosquitto's, which has its own for each of them: see the rooms. What Mosquitto accepts is accepted;
//! lines that it passes over in silence are told about.

mod acl_file;
mod password_file;
mod password_hash;
mod psk_file;
mod reading;

use std::sync::Arc;

pub use acl_file::{AclAccess, AclFile, AclRule, AclSubject};
pub use password_file::PasswordFile;
pub use password_hash::{Argon2id, PasswordHash};
pub(crate) use reading::{AccessFiles, Kind};

use crate::problem::Problem;

/// What is odd about a file: the line, counted from 1, and the problem.
type Told = Vec<(u32, Problem)>;

/// What the security directives of one block name, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) acl: Option<Arc<AclFile>>,
    pub(crate) passwords: Option<Arc<PasswordFile>>,
}

/// What C's `isspace` names.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

/// Any bytes as each of the files: it must not panic. For fuzzing.
pub(crate) fn fuzz_parse(bytes: &[u8]) {
    let path = std::path::Path::new("file");
    let (acl, _) = acl_file::parse(path, bytes);
    assert!(acl.rules().iter().all(|rule| !rule.filter.is_empty()));
    let (passwords, _) = password_file::parse(path, bytes);
    // Hashes are secrets.
    assert_eq!(format!("{passwords:?}").matches('$').count(), 0);
    let _ = psk_file::check(bytes);
}
