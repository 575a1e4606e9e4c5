//! `password_file`: users and their hashed passwords, as `NAME:HASH`.
//!
//! A comment's `#` is the first byte of its line. A line that cannot be used lets nobody in, and is told about, but does
//! not keep the broker from starting.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::{PasswordHash, Told, is_space};
use crate::problem::access;

/// Bytes of a name, as of every MQTT string.
const BYTES_MAX: usize = 65535;
/// What `mosquitto_passwd` of Mosquitto 2.1 takes.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(1000).expect("1000 is not zero");

/// What a `password_file` says. `Debug` shows no hash.
#[derive(Eq, PartialEq)]
pub struct PasswordFile {
    path: PathBuf,
    users: HashMap<String, PasswordHash>,
    decoy: PasswordHash,
}

impl PasswordFile {
    /// The file as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is known of this user's password; `None` if there is no such user.
    pub fn find(&self, user_name: &str) -> Option<&PasswordHash> {
        self.users.get(user_name)
    }

    /// What no password fits, at the cost that most entries of the file have. To be tried for users that do not exist, so
    /// that nobody can find out by the time it takes who does.
    pub fn decoy(&self) -> &PasswordHash {
        &self.decoy
    }

    /// Users of an `old` file who are gone, or whose password was set anew.
    pub fn lost_since<'a>(&'a self, old: &'a Self) -> impl Iterator<Item = &'a str> {
        let is_lost = |(name, hash): &(&String, &PasswordHash)| self.users.get(*name) != Some(*hash);
        old.users.iter().filter(is_lost).map(|(name, _)| name.as_str())
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether nobody can log in.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

impl fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users = self.users.len();
        f.debug_struct("PasswordFile")
            .field("path", &self.path)
            .field("users", &users)
            .finish_non_exhaustive()
    }
}

/// Parses the file, and tells what is odd about it.
pub(super) fn parse(path: &Path, source: &[u8]) -> (PasswordFile, Told) {
    let mut users = HashMap::new();
    let mut told = Told::new();
    for (line, number) in source.split(|byte| *byte == b'\n').zip(1..) {
        if line.first() == Some(&b'#') {
            continue;
        }
        let Ok(line) = str::from_utf8(line) else {
            told.push((number, access::password_line_not_utf8()));
            continue;
        };
        if !line.contains(':') {
            if !line.trim_matches(is_space).is_empty() {
                told.push((number, access::password_line_without_colon()));
            }
            continue;
        }
        let mut fields = line.split(':').filter(|field| !field.is_empty());
        let name = fields.next().unwrap_or_default().trim_matches(is_space);
        if name.len() > BYTES_MAX || line.contains('\0') {
            told.push((number, access::password_user_impossible(path)));
            continue;
        }
        let Some(hash) = fields.next() else {
            told.push((number, access::password_missing(path)));
            continue;
        };
        match PasswordHash::parse(hash.trim_matches(is_space)) {
            Ok(hash) => {
                if users.insert(name.to_owned(), hash).is_some() {
                    told.push((number, access::password_user_again(name)));
                }
            }
            Err(problem) => {
                // The later line counts, even if it lets nobody in.
                users.remove(name);
                told.push((number, access::password_unusable(name, problem)));
            }
        }
    }
    let decoy = decoy(users.values());
    (PasswordFile { path: path.to_owned(), users, decoy }, told)
}

/// A decoy as costly as most of the hashes.
fn decoy<'a>(hashes: impl Iterator<Item = &'a PasswordHash>) -> PasswordHash {
    let mut counts: HashMap<_, (usize, &PasswordHash)> = HashMap::new();
    for hash in hashes {
        counts.entry(hash.cost()).or_insert((0, hash)).0 += 1;
    }
    let most = counts.into_iter().max_by_key(|(cost, (count, _))| (*count, *cost));
    most.map_or_else(
        || PasswordHash::Pbkdf2Sha512 { iterations: ITERATIONS, salt: [0; 64].into(), hash: [0; 64].into() },
        |(_, (_, hash))| hash.decoy(),
    )
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding as _};

    use super::*;
    use crate::diagnostic::Severity;

    fn hash(byte: u8) -> String {
        format!("$6$AAAAAAAAAAAAAAAA${}", Base64::encode_string(&[byte; 64]))
    }

    fn parsed(source: &str) -> (PasswordFile, Vec<(u32, String)>) {
        let (file, told) = parse(Path::new("pw"), source.as_bytes());
        assert!(told.iter().all(|(_, problem)| problem.severity != Severity::Error), "{told:?}");
        (file, told.into_iter().map(|(line, problem)| (line, problem.original)).collect())
    }

    #[test]
    fn users() {
        let source = format!("# c:x\n\na:{}\r\n b c :  {} :rest\nä:{}", hash(1), hash(2), hash(3));
        let (file, told) = parsed(&source);
        assert_eq!(told, []);
        assert_eq!(file.len(), 3);
        for (name, byte) in [("a", 1), ("b c", 2), ("ä", 3)] {
            assert_eq!(file.find(name), PasswordHash::parse(&hash(byte)).ok().as_ref(), "{name}");
        }
        assert!(file.find("c").is_none() && file.find("A").is_none());
    }

    // What Mosquitto 2.0.11 was seen to say about each of these; it starts nevertheless. It shows passwords in some of
    // them, which we do not.
    #[test]
    fn lines_that_let_nobody_in() {
        let full = Base64::encode_string(&[0; 64]);
        for (line, original) in [
            ("a:secret", "Error: Invalid password hash type for user a, removing entry."),
            ("a:$5$x$y", "Error: Invalid password hash type for user a, removing entry."),
            ("a:$$", "Error: Invalid password hash for user a, removing entry."),
            ("a: ", "Error: Invalid password hash for user a, removing entry."),
            ("a:$7$101", "Error: Invalid password hash for user a, removing entry."),
            (&format!("a:$7$0$AAAA${full}"), "Error: Invalid hash iterations for user a, removing entry."),
            (
                &format!("a:$7$101$!${full}"),
                "Error: Unable to decode password salt for user a, removing entry.",
            ),
            ("a:$7$101$AAAA$AAAA", "Error: Unable to decode password for user a, removing entry."),
            (":secret", "Warning: Invalid line in password file 'pw'."),
            ("a:", "Warning: Invalid line in password file 'pw'."),
        ] {
            let (file, told) = parsed(&format!("\n{line}\n"));
            assert!(file.is_empty(), "{line}");
            assert_eq!(told, [(2, original.to_owned())], "{line}");
        }
        let (_, told) = parsed(&format!("{}:{}\nnothing\n", "x".repeat(70_000), hash(0)));
        assert_eq!(told.len(), 2);
        assert_eq!(parse(Path::new("pw"), b"\xff:x").1.len(), 1);
    }

    #[test]
    fn secrets_are_told_to_nobody() {
        let source =
            "a:geheim\n:geheim\ngeheim\na:$5$geheim\na:$argon2id$v=19$geheim$geheim$geheim\ngeheim:\0\n";
        let (file, told) = parse(Path::new("pw"), source.as_bytes());
        assert_eq!(told.len(), 6);
        let without_names = format!("{file:?} {told:?}").replace("user geheim", "");
        assert!(!without_names.contains("geheim"), "{without_names}");
    }

    #[test]
    fn the_last_line_of_a_user_counts() {
        let (file, told) = parsed(&format!("a:{}\na:{}\nb:{}\nb:plain", hash(1), hash(2), hash(3)));
        assert_eq!(file.find("a"), PasswordHash::parse(&hash(2)).ok().as_ref());
        assert!(file.find("b").is_none());
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn users_who_are_lost() {
        let old = parsed(&format!("a:{}\nb:{}\nc:{}", hash(1), hash(2), hash(3))).0;
        let new = parsed(&format!("a:{}\nb:{}\nd:{}", hash(1), hash(4), hash(5))).0;
        let mut lost: Vec<_> = new.lost_since(&old).collect();
        lost.sort();
        assert_eq!(lost, ["b", "c"]);
        assert_eq!(old.lost_since(&old).count(), 0);
    }

    #[test]
    fn the_decoy_costs_what_most_do() {
        let pbkdf2 =
            |iterations: u32| format!("$7${iterations}$AAAAAAAAAAAAAAAA${}", Base64::encode_string(&[1; 64]));
        let (file, _) = parsed(&format!("a:{}\nb:{}\nc:{}\n", pbkdf2(5), pbkdf2(101), pbkdf2(101)));
        assert_eq!(file.decoy().cost(), (7, 101, 0, 0));
        assert!(!["a", "b", "c"].iter().any(|name| file.find(name) == Some(file.decoy())));
        assert_eq!(parsed("").0.decoy().cost(), (7, 1000, 0, 0));
    }
}
