//! The files of access control. Nothing here shows a password or its hash.

use std::io;
use std::path::Path;

pub(crate) use super::Problem;
use super::shown;
use crate::access::Kind;

/// Why a hashed password cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HashProblem {
    /// There is no `$` in it.
    NotHashed,
    UnknownKind,
    Incomplete,
    Iterations,
    Salt,
    Hash,
    /// Of Argon2id.
    Parameters,
}

impl Kind {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Acl => ("acl_file", "acl file"),
            Self::Password => ("pwfile", "password file"),
            Self::Psk => ("psk_file", "psk file"),
        }
    }
}

fn opening(kind: Kind, path: &Path, what: String, mend: &str) -> Problem {
    let (name, words) = kind.words();
    let path = path.display();
    Problem::error(what, mend)
        .originally(format!("Error: Unable to open {name} \"{path}\"."))
        .followed_by(format!("Error opening {words} \"{path}\"."))
}

pub(crate) fn unreadable(kind: Kind, path: &Path, error: &io::Error) -> Problem {
    let what = format!("cannot read `{}`: {error}", path.display());
    opening(kind, path, what, "check that it exists and that the broker's user may read it")
}

pub(crate) fn symlink(kind: Kind, path: &Path) -> Problem {
    let what =
        format!("`{}` is a symbolic link, so whoever can change it decides who gets in", path.display());
    opening(
        kind,
        path,
        what,
        "name the file it points to, or set MOSQUITTO_UNSAFE_ALLOW_SYMLINKS in the environment",
    )
}

pub(crate) fn not_a_file(kind: Kind, path: &Path) -> Problem {
    let (_, words) = kind.words();
    let shown = path.display();
    Problem::error(format!("`{shown}` is not a file"), "name a file")
        .originally(format!("Error: {shown} is not a file."))
        .followed_by(format!("Error opening {words} \"{shown}\"."))
}

pub(crate) fn too_large(kind: Kind, path: &Path, bytes_max: u64) -> Problem {
    let what = format!("`{}` has more than {bytes_max} bytes", path.display());
    opening(kind, path, what, "name the right file; this looks like something else")
}

fn acl(path: &Path, what: String, mend: &str, original: &str) -> Problem {
    Problem::error(what, mend)
        .originally(original)
        .followed_by(format!("Error opening acl file \"{}\".", path.display()))
}

pub(crate) fn acl_topic_missing(path: &Path) -> Problem {
    let original = format!("Error: Empty topic in acl_file \"{}\".", path.display());
    acl(path, "this rule names no topic".to_owned(), "write a topic filter behind it", &original)
}

pub(crate) fn acl_user_missing(path: &Path) -> Problem {
    let original = format!("Error: Missing username in acl_file \"{}\".", path.display());
    acl(
        path,
        "`user` names nobody".to_owned(),
        "write a user name behind it; rules for clients without one stand before the first `user`",
        &original,
    )
}

pub(crate) fn acl_unknown_access(path: &Path, word: &str) -> Problem {
    let original = format!("Error: Invalid topic access type \"{word}\" in acl_file \"{}\".", path.display());
    acl(
        path,
        format!("`{}` is no access", shown(word)),
        "write `read`, `write`, `readwrite` or `deny` in front of the topic; a topic with blanks needs one of them",
        &original,
    )
}

pub(crate) fn acl_bad_filter(path: &Path, filter: &str) -> Problem {
    let original = format!("Error: Invalid ACL topic \"{filter}\" in acl_file \"{}\".", path.display());
    let mend = if filter.contains(" #") {
        "write comments on lines of their own: here `#` is part of the topic"
    } else {
        "`+` and `#` must be whole levels, `#` the last one; at most 201 levels and 65535 bytes"
    };
    acl(path, format!("`{}` is no topic filter", shown(filter)), mend, &original)
}

pub(crate) fn acl_unknown_word(path: &Path, word: &str) -> Problem {
    let original = format!("Error: Invalid line in acl_file \"{}\": {word}.", path.display());
    let mend = if word.starts_with('#') {
        "a comment's `#` must be the first character of its line"
    } else if word.starts_with('\u{feff}') {
        "save the file without a byte order mark"
    } else if word.contains('\t') {
        "separate words by blanks, not by tabs"
    } else {
        "a line begins with `user`, `topic` or `pattern`"
    };
    acl(path, format!("`{}` begins no rule", shown(word)), mend, &original)
}

pub(crate) fn acl_nul(path: &Path) -> Problem {
    let original = format!("Error: Invalid line in acl_file \"{}\".", path.display());
    acl(path, "this line holds a NUL byte, and would end there".to_owned(), "remove it", &original)
}

pub(crate) fn acl_not_utf8() -> Problem {
    Problem::warning(
        "this line is not UTF-8, so it is for no client and no topic".to_owned(),
        "save the file as UTF-8",
    )
}

pub(crate) fn acl_pattern_without_place(filter: &str) -> Problem {
    Problem::warning(
        format!("`pattern {}` has neither `%c` nor `%u`, so it is for every client", shown(filter)),
        "write `topic` if it is for one user; if it is for all, nothing is wrong",
    )
    .originally(format!("Warning: ACL pattern '{filter}' does not contain '%c' or '%u'."))
}

pub(crate) fn password_unusable(user_name: &str, problem: HashProblem) -> Problem {
    let name = shown(user_name);
    let again = "set it again with `mosquitto_passwd`";
    let (what, mend, original) = match problem {
        HashProblem::NotHashed => (
            "is not hashed",
            "`mosquitto_passwd -U` hashes all passwords of such a file",
            "Error: Invalid password hash type for user {}, removing entry.",
        ),
        HashProblem::UnknownKind => (
            "is hashed in an unknown way",
            again,
            "Error: Invalid password hash type for user {}, removing entry.",
        ),
        HashProblem::Incomplete => {
            ("lacks parts of its hash", again, "Error: Invalid password hash for user {}, removing entry.")
        }
        HashProblem::Parameters => (
            "has parameters of argon2id that cannot be used",
            "v is 19, m at most 1048576, t at most 1000, p at most 64",
            "Error: Invalid password hash for user {}, removing entry.",
        ),
        HashProblem::Iterations => (
            "has an impossible number of iterations",
            "it must be from 1 to 10000000",
            "Error: Invalid hash iterations for user {}, removing entry.",
        ),
        HashProblem::Salt => (
            "has a salt that cannot be decoded",
            again,
            "Error: Unable to decode password salt for user {}, removing entry.",
        ),
        HashProblem::Hash => (
            "has a hash that cannot be decoded",
            again,
            "Error: Unable to decode password for user {}, removing entry.",
        ),
    };
    Problem::warning(format!("the password of user `{name}` {what}, so this user cannot log in"), mend)
        .originally(original.replace("{}", user_name))
}

fn password_line(path: &Path, what: &str, mend: &str) -> Problem {
    Problem::warning(what.to_owned(), mend)
        .originally(format!("Warning: Invalid line in password file '{}'.", path.display()))
}

pub(crate) fn password_missing(path: &Path) -> Problem {
    password_line(
        path,
        "this line has no user or no password",
        "write `NAME:HASH`, or use `mosquitto_passwd`",
    )
}

pub(crate) fn password_user_impossible(path: &Path) -> Problem {
    password_line(path, "no client can have this user name", "at most 65535 bytes, none of them NUL")
}

pub(crate) fn password_user_again(user_name: &str) -> Problem {
    Problem::warning(
        format!("user `{}` was there before: only this line counts", shown(user_name)),
        "remove one of the two",
    )
}

pub(crate) fn password_line_without_colon() -> Problem {
    Problem::warning("nothing reads this line: it has no colon".to_owned(), "write `NAME:HASH`, or remove it")
}

pub(crate) fn password_line_not_utf8() -> Problem {
    Problem::warning(
        "this line is not UTF-8, so no client can have this user name".to_owned(),
        "save the file as UTF-8",
    )
}

pub(crate) fn psk_missing(identity: &str) -> Problem {
    Problem::error(format!("identity `{}` has no key", shown(identity)), "write `IDENTITY:KEY`")
        .originally(format!("Error: Empty psk for identity \"{identity}\"."))
        .without_line()
}

pub(crate) fn psk_not_hexadecimal(identity: &str) -> Problem {
    Problem::error(
        format!("the key of identity `{}` is not hexadecimal", shown(identity)),
        "write it with 0-9 and a-f only, without `0x`",
    )
    .originally(format!("Error: psk for identity \"{identity}\" contains non-hexadecimal characters."))
    .without_line()
}
