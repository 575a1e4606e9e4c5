//! Runs cases side by side.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::case::Case;
use crate::offer::{Offer, Unreachable};
use crate::sections::SECTIONS;
use crate::target::Target;
use crate::test::Test;
use crate::verdict::{Deviation, Outcome, Stop, Verdict};
use crate::version::Version;

/// A case that was chosen, in one version.
#[derive(Clone, Copy, Debug)]
pub struct Chosen {
    /// The section it stands in.
    pub section: &'static str,
    /// In which version it runs.
    pub version: Version,
    case: &'static Case,
}

impl Chosen {
    /// What the case says about a server.
    pub const fn title(&self) -> &'static str {
        self.case.title
    }

    /// The statements of its version that it proves.
    pub fn statements(&self) -> Vec<&'static str> {
        self.case.statements(self.version)
    }

    /// Whether it is meant by these words: the beginning of a clause (`3.1.2`, `MQTT-3.1.2-3`), the name of a section, or
    /// words of its title.
    fn is_meant_by(&self, words: &str) -> bool {
        let words = words.to_lowercase();
        let begins = |statement: &&str| {
            let statement = statement.trim_matches(['[', ']']).to_lowercase();
            let clause = statement.split_once('-').map_or("", |(_, clause)| clause);
            let whole = |text: &str| {
                // `3.1` means 3.1.2, not 3.14.
                text.strip_prefix(words.as_str())
                    .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            whole(&statement) || whole(clause)
        };
        self.section == words
            || self.statements().iter().any(begins)
            || (words.contains(char::is_alphabetic) && self.title().to_lowercase().contains(&words))
    }
}

/// The cases of this version, or of both, that any of `only` means; all if it is empty. In the order of the tables.
pub fn choose(version: Option<Version>, only: &[String]) -> Vec<Chosen> {
    let all = SECTIONS.iter().flat_map(|section| {
        section.cases.iter().flat_map(|case| {
            case.versions.iter().map(|version| Chosen { section: section.name, version: *version, case })
        })
    });
    all.filter(|chosen| version.is_none_or(|version| chosen.version == version))
        .filter(|chosen| only.is_empty() || only.iter().any(|words| chosen.is_meant_by(words)))
        .collect()
}

/// Runs the cases, `jobs` at a time; gives their outcomes in the order of the tables.
///
/// # Errors
/// If there is no server to test.
pub fn run(target: &Target, cases: &[Chosen], jobs: usize) -> Result<Vec<Outcome>, Unreachable> {
    let tag = tag().map_err(Unreachable::Network)?;
    let offer = Offer::ask(target, &tag)?;
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by_key(|index| !cases[*index].case.is_slow);
    let next = AtomicUsize::new(0);
    let (results, outcomes) = mpsc::channel();
    let results = Mutex::new(results);
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, cases.len().max(1)) {
            scope.spawn(|| {
                while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run_one(target, &offer, cases[*index], format!("{tag}{index:03}"));
                    if let Ok(results) = results.lock() {
                        // The receiver outlives the threads.
                        let _ = results.send((*index, outcome));
                    }
                }
            });
        }
    });
    drop(results);
    let mut found: Vec<(usize, Outcome)> = outcomes.into_iter().collect();
    found.sort_by_key(|(index, _)| *index);
    Ok(found.into_iter().map(|(_, outcome)| outcome).collect())
}

fn run_one(target: &Target, offer: &Offer, chosen: Chosen, own: String) -> Outcome {
    let test = Test::new(target, offer, chosen.version, own, chosen.case.is_slow);
    let ended = match offer.missing(chosen.version) {
        Some(answer) => Err(Stop::NotApplicable(answer.to_owned())),
        None => {
            let ended = (chosen.case.run)(&test);
            test.fits_the_server().and(ended)
        }
    };
    let verdict = match ended {
        Ok(()) => Verdict::Passed,
        Err(Stop::NotApplicable(reason)) => Verdict::NotApplicable(reason),
        Err(Stop::Deviates { expected, came }) => {
            Verdict::Deviates(Deviation { expected, came, exchange: test.take_exchange() })
        }
    };
    test.clean_up();
    Outcome {
        section: chosen.section,
        title: chosen.title(),
        version: chosen.version,
        statements: chosen.statements(),
        verdict,
    }
}

/// What tells this run from any other at the same server.
fn tag() -> std::io::Result<String> {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0; 7];
    getrandom::fill(&mut random).map_err(|error| std::io::Error::other(error.to_string()))?;
    let letters = random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    Ok(std::iter::once('n').chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(words: &str) -> Vec<Chosen> {
        choose(None, &[words.to_owned()])
    }

    #[test]
    fn a_clause_means_what_begins_with_it() {
        let of_ping = chosen("3.12");
        assert!(!of_ping.is_empty());
        assert!(of_ping.iter().all(|case| case.statements().iter().any(|it| it.contains("-3.12."))));
        assert_eq!(chosen("MQTT-3.12.4-1").len(), 1);
        assert_eq!(chosen("mqtt311-3.12.4-1").len(), 1);
        assert!(chosen("3.1").iter().all(|case| !case.statements().iter().all(|it| it.contains("-3.12"))));
        assert!(chosen("no such thing").is_empty());
    }

    #[test]
    fn a_version_means_its_statements_only() {
        for case in choose(Some(Version::V311), &[]) {
            assert!(case.statements().iter().all(|statement| statement.starts_with("[MQTT311-")));
        }
        let both = choose(Some(Version::V311), &[]).len() + choose(Some(Version::V5), &[]).len();
        assert_eq!(choose(None, &[]).len(), both);
    }

    #[test]
    fn every_case_is_told_from_all_others_and_proves_something() {
        let mut seen = std::collections::BTreeSet::new();
        for case in choose(None, &[]) {
            let name = format!("{} {} {}", case.version, case.section, case.title());
            assert!(!case.statements().is_empty(), "{name} proves nothing of its version");
            assert!(seen.insert(name.clone()), "two cases are called {name}");
        }
        for section in SECTIONS {
            for case in section.cases {
                let read: usize = case.versions.iter().map(|version| case.statements(*version).len()).sum();
                assert_eq!(read, case.proves.split_whitespace().count(), "{}", case.title);
            }
        }
    }
}
