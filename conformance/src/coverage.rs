//! Which tests prove which statement, and what is wrong with that.

use std::collections::BTreeMap;
use std::fmt;

use crate::citation::{Citations, citations};
use crate::source::Source;
use crate::statement::{Reasons, Statement};

/// Where our client is tested: what these prove says nothing about the broker.
const CLIENT: [&str; 4] = [
    "crates/cli/",
    "crates/client/",
    "crates/protocol/src/connection/client.rs",
    "crates/protocol/src/connection/client/",
];

/// A test that proves something.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Proof<'a> {
    /// The file it is in, from the root.
    pub path: &'a str,
    /// Of the function or the table, or the title of its row.
    pub name: &'a str,
}

/// All statements with their proofs and reasons.
#[derive(Debug)]
pub struct Coverage<'a> {
    /// In the order of the standard.
    pub rows: Vec<Row<'a>>,
    /// What is wrong, one line each.
    pub mistakes: Vec<Mistake>,
}

/// A statement and what is known about it.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The statement.
    pub statement: Statement<'a>,
    /// The tests that cite it, by path.
    pub proofs: Vec<Proof<'a>>,
    /// Why there is none.
    pub reason: Option<&'a str>,
}

/// Why the check fails.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Mistake {
    /// A statement has neither test nor reason.
    Missing {
        /// Its id.
        id: String,
        /// What it says.
        text: String,
    },
    /// A statement that binds the broker is proven for our client only.
    ClientOnly {
        /// Its id.
        id: String,
        /// What it says.
        text: String,
    },
    /// A reason stands for a statement that is tested.
    Needless {
        /// Its id.
        id: String,
        /// A test that proves it.
        test: String,
    },
    /// A citation names a statement that does not exist.
    Unknown {
        /// What was cited.
        id: String,
        /// Where.
        path: String,
    },
    /// A reason is for a statement that does not exist.
    UnknownReason {
        /// What it is for.
        id: String,
    },
    /// A citation begins a range.
    Range {
        /// What was cited.
        id: String,
        /// Where.
        path: String,
    },
}

impl Row<'_> {
    /// The tests that say something about the broker.
    pub fn server_proofs(&self) -> impl Iterator<Item = &Proof<'_>> {
        self.proofs.iter().filter(|proof| !proof.is_of_client())
    }

    /// Whether a test or a reason is missing.
    fn mistake(&self) -> Option<Mistake> {
        let Statement { id, text, .. } = self.statement;
        let (id, text) = (id.to_owned(), text.to_owned());
        let needed =
            if self.statement.binds_server() { self.server_proofs().next() } else { self.proofs.first() };
        match (needed, self.reason) {
            (Some(_), None) | (None, Some(_)) => None,
            (Some(proof), Some(_)) => Some(Mistake::Needless { id, test: proof.to_string() }),
            (None, None) if self.proofs.is_empty() => Some(Mistake::Missing { id, text }),
            (None, None) => Some(Mistake::ClientOnly { id, text }),
        }
    }
}

impl Proof<'_> {
    /// Whether it tests our client.
    pub fn is_of_client(&self) -> bool {
        CLIENT.iter().any(|client| self.path.starts_with(client))
    }
}

/// Holds what the sources cite against the table.
pub fn coverage<'a>(
    statements: &[Statement<'a>],
    reasons: &Reasons<'a>,
    sources: &'a [Source],
) -> Coverage<'a> {
    let mut proofs: BTreeMap<&str, Vec<Proof<'a>>> = BTreeMap::new();
    let mut mistakes = Vec::new();
    let is_known = |id: &str| statements.iter().any(|statement| statement.id == id);
    for Source { path, text } in sources {
        let Citations { tests, everywhere, ranges } = citations(path, text);
        for test in &tests {
            for id in &test.cites {
                proofs.entry(id).or_default().push(Proof { path, name: test.name });
            }
        }
        let wrong = everywhere.into_iter().filter(|id| !is_known(id));
        mistakes.extend(wrong.map(|id| Mistake::Unknown { id: id.to_owned(), path: path.clone() }));
        mistakes.extend(ranges.iter().map(|&id| Mistake::Range { id: id.to_owned(), path: path.clone() }));
    }
    let unknown = reasons.keys().filter(|id| !is_known(id));
    mistakes.extend(unknown.map(|&id| Mistake::UnknownReason { id: id.to_owned() }));
    let row = |&statement: &Statement<'a>| Row {
        statement,
        proofs: proofs.remove(statement.id).unwrap_or_default(),
        reason: reasons.get(statement.id).copied(),
    };
    let rows: Vec<Row<'a>> = statements.iter().map(row).collect();
    mistakes.extend(rows.iter().filter_map(Row::mistake));
    Coverage { rows, mistakes }
}

impl fmt::Display for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.name)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { id, text } => write!(
                f,
                "[{id}] has no test ({text}); write one that cites it, or say in untestable.tsv why there can be none"
            ),
            Self::ClientOnly { id, text } => write!(
                f,
                "[{id}] binds the broker too ({text}), and only our client is tested for it; write a test of the broker"
            ),
            Self::Needless { id, test } => {
                write!(f, "[{id}] stands in untestable.tsv and is proven by {test}; remove one of the two")
            }
            Self::Unknown { id, path } => {
                write!(f, "{path} cites [{id}], which does not exist; statements.tsv has those that do")
            }
            Self::UnknownReason { id } => {
                write!(f, "untestable.tsv has a reason for [{id}], which does not exist")
            }
            Self::Range { id, path } => {
                write!(f, "{path} cites a range that begins with [{id}]; write each statement out")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::{Version, Who};

    fn mistakes(who: Who, reasons: &[(&'static str, &'static str)], path: &str, text: &str) -> Vec<Mistake> {
        let statement = Statement { id: "MQTT-1.1.1-1", version: Version::V5, who, text: "so" };
        let sources = [Source { path: path.to_owned(), text: text.to_owned() }];
        coverage(&[statement], &reasons.iter().copied().collect(), &sources).mistakes
    }

    const CITED: &str = "#[test] // [MQTT-1.1.1-1]\nfn a() {}";
    const NOT_CITED: &str = "#[test]\nfn a() {}";
    const WHY: &[(&str, &str)] = &[("MQTT-1.1.1-1", "because")];

    #[test]
    fn a_test_or_a_reason_is_enough() {
        for who in [Who::Server, Who::Client, Who::Both] {
            assert_eq!(mistakes(who, &[], "tests/a.rs", CITED), []);
            assert_eq!(mistakes(who, WHY, "tests/a.rs", NOT_CITED), []);
        }
        assert_eq!(mistakes(Who::Client, &[], "crates/client/src/a.rs", CITED), []);
    }

    #[test]
    fn what_has_neither_is_missing() {
        for who in [Who::Server, Who::Client, Who::Both] {
            let missing = Mistake::Missing { id: "MQTT-1.1.1-1".into(), text: "so".into() };
            let in_production = "fn a() {} // [MQTT-1.1.1-1]";
            for (path, text) in [("tests/a.rs", NOT_CITED), ("crates/a/src/a.rs", in_production)] {
                assert_eq!(mistakes(who, &[], path, text), std::slice::from_ref(&missing));
            }
        }
    }

    #[test]
    fn a_test_of_the_client_proves_nothing_about_the_broker() {
        for who in [Who::Server, Who::Both] {
            for path in CLIENT {
                let mistake = Mistake::ClientOnly { id: "MQTT-1.1.1-1".into(), text: "so".into() };
                assert_eq!(mistakes(who, &[], path, CITED), [mistake]);
                assert_eq!(mistakes(who, WHY, path, CITED), []);
            }
        }
    }

    #[test]
    fn a_reason_for_what_is_tested_is_needless() {
        let needless = Mistake::Needless { id: "MQTT-1.1.1-1".into(), test: "tests/a.rs: a".into() };
        assert_eq!(mistakes(Who::Both, WHY, "tests/a.rs", CITED), [needless]);
    }

    #[test]
    fn what_does_not_exist_is_told_wherever_it_stands() {
        let text = format!("{CITED} // [MQTT-1.1.1-2]");
        let unknown = Mistake::Unknown { id: "MQTT-1.1.1-2".into(), path: "src/a.rs".into() };
        assert_eq!(mistakes(Who::Both, &[], "src/a.rs", &text), [unknown]);
        let reason = &[("MQTT-1.1.1-3", "because")];
        let unknown = Mistake::UnknownReason { id: "MQTT-1.1.1-3".into() };
        assert_eq!(mistakes(Who::Both, reason, "tests/a.rs", CITED), [unknown]);
    }

    #[test]
    fn a_range_hides_what_stands_between() {
        let text = "#[test] // [MQTT-1.1.1-1] to [MQTT-1.1.1-1]\nfn a() {}";
        let range = Mistake::Range { id: "MQTT-1.1.1-1".into(), path: "tests/a.rs".into() };
        assert_eq!(mistakes(Who::Both, &[], "tests/a.rs", text), [range]);
    }
}
