//! A case: what it proves, what it says, and how it shows it.

use crate::test::Test;
use crate::verdict::Step;
use crate::version::Version;

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// All statements, as they are cited.
    pub(crate) proves: &'static str,
    /// What the server does.
    pub(crate) title: &'static str,
    pub(crate) versions: &'static [Version],
    /// Takes seconds by the clock; such cases begin first.
    pub(crate) is_slow: bool,
    pub(crate) run: fn(&Test<'_>) -> Step,
}

impl Case {
    /// In both versions.
    pub(crate) const fn both(proves: &'static str, title: &'static str, run: fn(&Test<'_>) -> Step) -> Self {
        Self { proves, title, versions: &Version::ALL, is_slow: false, run }
    }

    /// In 5.0 only.
    pub(crate) const fn v5(proves: &'static str, title: &'static str, run: fn(&Test<'_>) -> Step) -> Self {
        Self { proves, title, versions: &[Version::V5], is_slow: false, run }
    }

    /// In 3.1.1 only.
    pub(crate) const fn v311(proves: &'static str, title: &'static str, run: fn(&Test<'_>) -> Step) -> Self {
        Self { proves, title, versions: &[Version::V311], is_slow: false, run }
    }

    /// It waits for a clock.
    pub(crate) const fn slow(self) -> Self {
        Self { is_slow: true, ..self }
    }

    /// The statements of this version.
    pub(crate) fn statements(&self, version: Version) -> Vec<&'static str> {
        let of_version = |statement: &&str| statement.starts_with(version.citation());
        self.proves.split_whitespace().filter(of_version).collect()
    }
}

/// A table of cases: one part of the standard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    /// Its name: a packet, or what the standard calls the subject.
    pub(crate) name: &'static str,
    pub(crate) cases: &'static [Case],
}
