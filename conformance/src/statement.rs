//! The table of normative statements, in our words, and the reasons for those that no test can show.

use std::collections::BTreeMap;
use std::fmt;

/// `statements.tsv`: id, version, who, statement.
pub const STATEMENTS: &str = include_str!("../statements.tsv");
/// `untestable.tsv`: id, reason.
pub const REASONS: &str = include_str!("../untestable.tsv");

/// One row of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Statement<'a> {
    /// As code cites it, without brackets.
    pub id: &'a str,
    /// Of the standard.
    pub version: Version,
    /// Whom it binds.
    pub who: Who,
    /// What it says, in our words.
    pub text: &'a str,
}

/// A version of the standard with numbered statements. MQTT 3.1 has none.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// MQTT 3.1.1, cited as `MQTT311-`.
    V311,
    /// MQTT 5.0, cited as `MQTT-`.
    V5,
}

/// Whom a statement binds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Who {
    /// The server only.
    Server,
    /// The client only.
    Client,
    /// Each for its part.
    Both,
}

/// Why no test shows a statement, by id.
pub type Reasons<'a> = BTreeMap<&'a str, &'a str>;

impl Version {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V311, Self::V5];

    /// What its ids begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::V311 => "MQTT311-",
            Self::V5 => "MQTT-",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}

impl<'a> Statement<'a> {
    /// Whether our broker must obey it.
    pub fn binds_server(&self) -> bool {
        match self.who {
            Who::Server | Who::Both => true,
            Who::Client => false,
        }
    }

    /// The first two numbers of its id: `3.1` of `MQTT-3.1.2-22`.
    pub fn section(&self) -> &'a str {
        let numbers = self.id.strip_prefix(self.version.prefix()).unwrap_or(self.id);
        let section = numbers.split('-').next().unwrap_or(numbers);
        match section.match_indices('.').nth(1) {
            Some((end, _)) => &section[..end],
            None => section,
        }
    }
}

/// Reads the table of statements.
///
/// # Errors
///
/// The first line that is not as it should be, and why.
pub fn parse_statements(table: &str) -> Result<Vec<Statement<'_>>, String> {
    let mut statements: Vec<Statement<'_>> = Vec::new();
    for (number, row) in rows(table, "id\tversion\twho\tstatement")? {
        let wrong = |what: &str| format!("statements.tsv:{number}: {what}: {row}");
        let &[id, version, who, text] = row.split('\t').collect::<Vec<_>>().as_slice() else {
            return Err(wrong("not four columns"));
        };
        let version = Version::ALL.into_iter().find(|known| known.to_string() == version);
        let version = version.ok_or_else(|| wrong("no such version"))?;
        if !id.starts_with(version.prefix()) {
            return Err(wrong("the id is not of this version"));
        }
        if statements.iter().any(|other| other.id == id) {
            return Err(wrong("an id that was there already"));
        }
        let who = match who {
            "server" => Who::Server,
            "client" => Who::Client,
            "both" => Who::Both,
            _ => return Err(wrong("neither server nor client nor both")),
        };
        statements.push(Statement { id, version, who, text });
    }
    Ok(statements)
}

/// Reads the reasons.
///
/// # Errors
///
/// The first line that is not as it should be, and why.
pub fn parse_reasons(table: &str) -> Result<Reasons<'_>, String> {
    let mut reasons = Reasons::new();
    for (number, row) in rows(table, "id\treason")? {
        let wrong = |what: &str| format!("untestable.tsv:{number}: {what}: {row}");
        let (id, reason) = row.split_once('\t').ok_or_else(|| wrong("not two columns"))?;
        if reason.trim().is_empty() || reason.contains('\t') {
            return Err(wrong("not one reason"));
        }
        if reasons.insert(id, reason).is_some() {
            return Err(wrong("an id that was there already"));
        }
    }
    Ok(reasons)
}

fn rows<'a>(table: &'a str, head: &str) -> Result<impl Iterator<Item = (usize, &'a str)>, String> {
    let mut lines = table.lines().enumerate().map(|(index, line)| (index + 1, line));
    match lines.next() {
        Some((_, line)) if line == head => Ok(lines),
        other => Err(format!("a table begins with {:?} instead of {head:?}", other.map(|(_, line)| line))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_the_first_two_numbers() {
        let section = |id, version| Statement { id, version, who: Who::Both, text: "" }.section();
        assert_eq!(section("MQTT-3.1.2-22", Version::V5), "3.1");
        assert_eq!(section("MQTT311-3.10.4-6", Version::V311), "3.10");
        assert_eq!(section("MQTT-4.2-1", Version::V5), "4.2");
    }

    #[test]
    fn a_row_that_is_wrong_is_told_with_its_line() {
        let head = "id\tversion\twho\tstatement\nMQTT-1.5.4-1\t5.0\tboth\ta\n";
        for (row, what) in [
            ("MQTT-1.5.4-2\t5.0\tboth", "not four columns"),
            ("MQTT-1.5.4-2\t4.0\tboth\ta", "no such version"),
            ("MQTT-1.5.4-2\t3.1.1\tboth\ta", "the id is not of this version"),
            ("MQTT-1.5.4-1\t5.0\tboth\ta", "an id that was there already"),
            ("MQTT-1.5.4-2\t5.0\tall\ta", "neither server nor client nor both"),
        ] {
            let error = parse_statements(&format!("{head}{row}\n")).unwrap_err();
            assert_eq!(error, format!("statements.tsv:3: {what}: {row}"));
        }
        assert!(parse_statements("id\n").is_err());
        for (row, what) in [
            ("MQTT-1", "not two columns"),
            ("MQTT-1\t ", "not one reason"),
            ("MQTT-0\tb", "an id that was there already"),
        ] {
            let error = parse_reasons(&format!("id\treason\nMQTT-0\ta\n{row}\n")).unwrap_err();
            assert_eq!(error, format!("untestable.tsv:3: {what}: {row}"));
        }
    }
}
