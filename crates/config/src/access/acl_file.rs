//! `acl_file`: which topics who may read and write.
//!
//! A line is a word and what belongs to it; blanks stand before and between them. `user NAME` opens a block: the `topic`
//! lines below it are for that user, those before the first `user` for clients without a name. `topic` and `pattern` take an
//! access and a topic filter, or only a filter, and then mean `readwrite`. Names and filters go to the end of the line, so
//! they may have blanks inside. A comment's `#` is the first byte of its line.

use std::path::{Path, PathBuf};

use super::{Told, is_space};
use crate::problem::access;
use crate::value::is_topic_filter;

/// What an `acl_file` says.
#[derive(Debug, Eq, PartialEq)]
pub struct AclFile {
    path: PathBuf,
    rules: Vec<AclRule>,
}

impl AclFile {
    /// The file as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// In the order of the file. Without any, nobody may do anything.
    pub fn rules(&self) -> &[AclRule] {
        &self.rules
    }
}

/// One `topic` or `pattern` line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AclRule {
    /// Whom it is for.
    pub subject: AclSubject,
    /// What it allows or forbids.
    pub access: AclAccess,
    /// A topic filter; in a pattern with `%c` and `%u`.
    pub filter: String,
}

/// Whom a rule is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AclSubject {
    /// Clients without a user name.
    Anonymous,
    /// Clients with this user name.
    User(String),
    /// All clients; `%c` in the filter is their identifier and `%u` their user name.
    Pattern,
}

/// What a rule allows or forbids.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AclAccess {
    /// `read`
    Read,
    /// `write`
    Write,
    /// `readwrite`, or nothing.
    ReadWrite,
    /// `deny`: neither, whatever other rules allow.
    Deny,
}

/// Parses the file, and tells all that is wrong with it.
pub(super) fn parse(path: &Path, source: &[u8]) -> (AclFile, Told) {
    let mut file = AclFile { path: path.to_owned(), rules: Vec::new() };
    let mut told = Told::new();
    // `None` is a user that no client can be.
    let mut subject = Some(AclSubject::Anonymous);
    for (line, number) in source.split(|byte| *byte == b'\n').zip(1..) {
        if line.first() == Some(&b'#') {
            continue;
        }
        if line.contains(&0) {
            told.push((number, access::acl_nul(path)));
            continue;
        }
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(is_space);
        let Some((word, rest)) = word(text) else { continue };
        // MQTT's strings are UTF-8, so nothing can ever match this.
        let matches_nothing = text.contains(char::REPLACEMENT_CHARACTER) && str::from_utf8(line).is_err();
        if matches_nothing && matches!(word, "user" | "topic" | "pattern") {
            told.push((number, access::acl_not_utf8()));
            if word == "user" {
                subject = None;
            }
            continue;
        }
        match word {
            "user" => match rest.trim_matches(is_space) {
                "" => told.push((number, access::acl_user_missing(path))),
                name => subject = Some(AclSubject::User(name.to_owned())),
            },
            "topic" | "pattern" => {
                let subject = if word == "pattern" { Some(AclSubject::Pattern) } else { subject.clone() };
                match access_and_filter(path, rest) {
                    Ok((access, filter)) => {
                        if word == "pattern" && !filter.contains("%c") && !filter.contains("%u") {
                            told.push((number, access::acl_pattern_without_place(filter)));
                        }
                        let filter = filter.to_owned();
                        file.rules.extend(subject.map(|subject| AclRule { subject, access, filter }));
                    }
                    Err(problem) => told.push((number, problem)),
                }
            }
            other => told.push((number, access::acl_unknown_word(path, other))),
        }
    }
    (file, told)
}

fn access_and_filter<'a>(path: &Path, text: &'a str) -> Result<(AclAccess, &'a str), access::Problem> {
    let (first, rest) = word(text).ok_or_else(|| access::acl_topic_missing(path))?;
    let rest = rest.trim_matches(is_space);
    let (access, filter) = match (first, rest) {
        (filter, "") => (AclAccess::ReadWrite, filter),
        ("read", filter) => (AclAccess::Read, filter),
        ("write", filter) => (AclAccess::Write, filter),
        ("readwrite", filter) => (AclAccess::ReadWrite, filter),
        ("deny", filter) => (AclAccess::Deny, filter),
        (other, _) => return Err(access::acl_unknown_access(path, other)),
    };
    if !is_topic_filter(filter) {
        return Err(access::acl_bad_filter(path, filter));
    }
    Ok((access, filter))
}

/// The first word and what stands behind the blank that ends it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(' ');
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some((word, rest)).filter(|(word, _)| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::AclAccess::{Deny, Read, ReadWrite, Write};
    use super::AclSubject::{Anonymous, Pattern};
    use super::*;
    use crate::diagnostic::Severity;

    fn user(name: &str) -> AclSubject {
        AclSubject::User(name.to_owned())
    }

    fn told(source: &[u8]) -> Vec<(u32, Severity, String)> {
        let told = parse(Path::new("acl"), source).1;
        told.into_iter().map(|(line, problem)| (line, problem.severity, problem.original)).collect()
    }

    #[track_caller]
    fn gives(source: &str, expected: &[(AclSubject, AclAccess, &str)]) {
        let (file, told) = parse(Path::new("acl"), source.as_bytes());
        let found: Vec<_> =
            file.rules.iter().map(|rule| (rule.subject.clone(), rule.access, rule.filter.as_str())).collect();
        assert_eq!(found, expected, "{source:?}");
        assert!(told.iter().all(|(_, problem)| problem.severity != Severity::Error), "{source:?}: {told:?}");
    }

    // What Mosquitto 2.0.11 was seen to do with each of these.
    #[test]
    fn lines_that_are_accepted() {
        gives("", &[]);
        gives("# c\n\n  \r\n#topic\n", &[]);
        gives("topic a", &[(Anonymous, ReadWrite, "a")]);
        gives(
            "topic read a\r\nuser b\r\ntopic write c\r\n",
            &[(Anonymous, Read, "a"), (user("b"), Write, "c")],
        );
        gives("  topic   read   a  \n", &[(Anonymous, Read, "a")]);
        gives("topic read a b  c\n", &[(Anonymous, Read, "a b  c")]);
        gives(
            "topic deny a\ntopic readwrite +/#\n",
            &[(Anonymous, Deny, "a"), (Anonymous, ReadWrite, "+/#")],
        );
        gives(
            "user   a b  \ntopic a\nuser #x\ntopic b",
            &[(user("a b"), ReadWrite, "a"), (user("#x"), ReadWrite, "b")],
        );
        gives(
            "user a\npattern write %u/%c\ntopic a",
            &[(Pattern, Write, "%u/%c"), (user("a"), ReadWrite, "a")],
        );
        gives("topic read \t\ntopic deny", &[(Anonymous, ReadWrite, "read"), (Anonymous, ReadWrite, "deny")]);
        gives("topic read\ta", &[(Anonymous, ReadWrite, "read\ta")]);
        gives(
            "topic read $SYS/#\ntopic \u{1}\ntopic ä",
            &[(Anonymous, Read, "$SYS/#"), (Anonymous, ReadWrite, "\u{1}"), (Anonymous, ReadWrite, "ä")],
        );
    }

    #[test]
    fn lines_that_are_refused() {
        for (line, original) in [
            ("topic", "Error: Empty topic in acl_file \"acl\"."),
            ("topic ", "Error: Empty topic in acl_file \"acl\"."),
            ("pattern", "Error: Empty topic in acl_file \"acl\"."),
            ("topic reed a", "Error: Invalid topic access type \"reed\" in acl_file \"acl\"."),
            ("topic READ a", "Error: Invalid topic access type \"READ\" in acl_file \"acl\"."),
            ("topic a b", "Error: Invalid topic access type \"a\" in acl_file \"acl\"."),
            ("topic a/#/b", "Error: Invalid ACL topic \"a/#/b\" in acl_file \"acl\"."),
            ("topic a+", "Error: Invalid ACL topic \"a+\" in acl_file \"acl\"."),
            ("topic read a # c", "Error: Invalid ACL topic \"a # c\" in acl_file \"acl\"."),
            ("user", "Error: Missing username in acl_file \"acl\"."),
            ("user \t", "Error: Missing username in acl_file \"acl\"."),
            ("foo bar", "Error: Invalid line in acl_file \"acl\": foo."),
            ("Topic read a", "Error: Invalid line in acl_file \"acl\": Topic."),
            ("\ttopic read a", "Error: Invalid line in acl_file \"acl\": \ttopic."),
            ("topic\tread a", "Error: Invalid line in acl_file \"acl\": topic\tread."),
            (" # c", "Error: Invalid line in acl_file \"acl\": #."),
            ("\u{feff}topic a", "Error: Invalid line in acl_file \"acl\": \u{feff}topic."),
        ] {
            let source = format!("\n{line}\r\n");
            assert_eq!(told(source.as_bytes()), [(2, Severity::Error, original.to_owned())], "{line:?}");
        }
        let long = format!("topic read {}", "x".repeat(70_000));
        assert_eq!(told(long.as_bytes()).len(), 1);
        assert_eq!(told(format!("topic {}", "/".repeat(300)).as_bytes()).len(), 1);
    }

    #[test]
    fn all_mistakes_are_told() {
        let found = told(b"topic a\nfoo\nuser\ntopic\n");
        assert_eq!(found.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn a_pattern_for_everybody_is_odd() {
        gives("pattern read x/y", &[(Pattern, Read, "x/y")]);
        let expected = "Warning: ACL pattern 'x/y' does not contain '%c' or '%u'.".to_owned();
        assert_eq!(told(b"pattern read x/y"), [(1, Severity::Warning, expected)]);
    }

    #[test]
    fn what_is_not_utf8_is_for_nobody() {
        let source = b"topic read \xff\ntopic a\nuser \xff\ntopic b\npattern %c\nuser c\ntopic d\n";
        let (file, told) = parse(Path::new("acl"), source);
        let filters: Vec<_> = file.rules.iter().map(|rule| rule.filter.as_str()).collect();
        assert_eq!(filters, ["a", "%c", "d"]);
        assert_eq!(told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3]);
        assert!(told.iter().all(|(_, problem)| problem.severity == Severity::Warning));
    }

    #[test]
    fn a_nul_would_cut_a_rule_short() {
        let found = told(b"topic deny a\0/b\n");
        assert!(matches!(found[..], [(1, Severity::Error, _)]), "{found:?}");
    }
}
