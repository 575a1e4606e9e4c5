//! `docs/conformance.md`.

use std::fmt::Write as _;

use crate::PAGE;
use crate::coverage::{Coverage, Proof, Row};
use crate::statement::Version;

/// What a section is about.
fn title(version: Version, section: &str) -> &'static str {
    match (version, section) {
        (_, "1.5") => "Data representation",
        (_, "2.1") | (Version::V311, "2.2") => "Fixed header",
        (_, "2.2") => "Packet Identifier, Properties",
        (_, "2.3") => "Packet Identifier",
        (_, "3.1") => "CONNECT",
        (_, "3.2") => "CONNACK",
        (_, "3.3") => "PUBLISH",
        (_, "3.4") => "PUBACK",
        (_, "3.5") => "PUBREC",
        (_, "3.6") => "PUBREL",
        (_, "3.7") => "PUBCOMP",
        (_, "3.8") => "SUBSCRIBE",
        (_, "3.9") => "SUBACK",
        (_, "3.10") => "UNSUBSCRIBE",
        (_, "3.11") => "UNSUBACK",
        (_, "3.12") => "PINGREQ",
        (_, "3.14") => "DISCONNECT",
        (_, "3.15") => "AUTH",
        (_, "4.1") => "Session state",
        (_, "4.2" | "7.1") => "Transport",
        (_, "4.3") => "Quality of Service",
        (_, "4.4") => "Redelivery",
        (_, "4.5") => "Receipt of messages",
        (_, "4.6") => "Order of messages",
        (_, "4.7") => "Topic Names and Topic Filters",
        (Version::V311, "4.8") | (_, "4.13") => "Errors",
        (_, "4.8") => "Shared Subscriptions",
        (_, "4.9") => "Flow control",
        (_, "4.12") => "Enhanced authentication",
        (_, "6.0") => "WebSocket",
        (_, "7.0") => "Conformance",
        _ => "",
    }
}

const HEAD: &str = "\
# Conformance

Every normative statement of MQTT 3.1.1 and 5.0, in our words, with the tests that prove it, or the reason why none can.
This page is made from the citations in the tests; do not edit it, write it anew with

    UPDATE_DOCS=1 cargo test -p conformance --test page

A citation counts where it stands at a test: at its head, in its body, or in a row of a table of cases. The same test fails if
a statement has neither test nor reason, if one has both, if a citation names what does not exist, and if this page is
outdated. What binds the server is proven by tests of the broker; tests of our client do not count for it.
";

/// All that is wrong, one line each: the mistakes, and that the page that was found is not what they would make of it.
pub fn problems(coverage: &Coverage<'_>, found: &str) -> Vec<String> {
    let mut problems: Vec<String> = coverage.mistakes.iter().map(ToString::to_string).collect();
    if found != page(coverage) {
        problems.push(format!(
            "{PAGE} is not what the citations say; write it anew with UPDATE_DOCS=1 cargo test -p conformance --test page"
        ));
    }
    problems
}

const KINDS: &str = "
Where the tests are: `selftest/` are cases for any broker, which run against the real binary and as `noctule selftest`;
`tests/` are programs and bare sockets at the real binary; `simulation/` has crashes and lost connections under a seed;
`scenarios/` are the broker's core with a virtual clock; all others stand beside the code.
";

/// The page for these statements.
pub fn page(coverage: &Coverage<'_>) -> String {
    let mut page = HEAD.to_owned();
    figures(&mut page, &coverage.rows);
    page.push_str(KINDS);
    for (title, binds_server) in [("What binds the server", true), ("What binds the client", false)] {
        let _ = write!(page, "\n## {title}\n");
        if !binds_server {
            page.push_str(
                "\nTests of `crates/client`, `crates/cli` and of the client role in `crates/protocol` show that our client \
                 obeys;\nthe others show what the broker does with a client that does not.\n",
            );
        }
        for version in Version::ALL {
            let of_version = |row: &&Row<'_>| {
                row.statement.version == version && row.statement.binds_server() == binds_server
            };
            part(&mut page, version, coverage.rows.iter().filter(of_version));
        }
    }
    page
}

/// How many there are, per version and side.
fn figures(page: &mut String, rows: &[Row<'_>]) {
    page.push_str(
        "\n| | statements | proven by tests | at the real binary | with a reason |\n|---|---|---|---|---|\n",
    );
    for version in Version::ALL {
        for (side, binds_server) in [("server", true), ("client", false)] {
            let rows: Vec<_> = rows
                .iter()
                .filter(|row| {
                    row.statement.version == version && row.statement.binds_server() == binds_server
                })
                .collect();
            let reasons = rows.iter().filter(|row| row.reason.is_some()).count();
            let proven = rows.iter().filter(|row| row.reason.is_none() && !row.proofs.is_empty()).count();
            let outside =
                rows.iter().filter(|row| row.proofs.iter().any(|proof| rank(proof.path) < 2)).count();
            let _ =
                writeln!(page, "| {version}, {side} | {} | {proven} | {outside} | {reasons} |", rows.len());
        }
    }
}

/// All tables of one version.
fn part<'a>(page: &mut String, version: Version, rows: impl Iterator<Item = &'a Row<'a>>) {
    let mut last = None;
    for row in rows {
        let section = row.statement.section();
        if last != Some(section) {
            let title = title(version, section);
            let _ = write!(
                page,
                "\n### {version}: {section} {title}\n\n| statement | says | proof |\n|---|---|---|\n"
            );
            last = Some(section);
        }
        let _ = writeln!(page, "| {} | {} | {} |", row.statement.id, cell(row.statement.text), proof(row));
    }
}

fn proof(row: &Row<'_>) -> String {
    match row.reason {
        Some(reason) if row.proofs.is_empty() => format!("No test: {}", cell(reason)),
        Some(reason) => format!("{}<br>For the broker no test: {}", files(&row.proofs), cell(reason)),
        None if row.proofs.is_empty() => "**missing**".to_owned(),
        None => files(&row.proofs),
    }
}

/// Each file with its tests, from the outside of the broker to its inside.
fn files(proofs: &[Proof<'_>]) -> String {
    let mut proofs: Vec<_> = proofs.iter().collect();
    proofs.sort_by_key(|proof| rank(proof.path));
    let mut text = String::new();
    let mut last = "";
    for proof in proofs {
        if proof.path == last {
            text.push_str(", ");
        } else {
            if !text.is_empty() {
                text.push_str("<br>");
            }
            let _ = write!(text, "[{}](../{}): ", label(proof.path), proof.path);
            last = proof.path;
        }
        // A title is a sentence, the others are names.
        let _ = match proof.name.contains(' ') {
            true => write!(text, "“{}”", cell(proof.name)),
            false => write!(text, "`{}`", proof.name),
        };
    }
    text
}

/// Cases for any broker, cases with the real binary, the simulation, the core, and what lies below.
fn rank(path: &str) -> usize {
    let places = ["crates/selftest/", "tests/", "simulation/", "crates/broker/tests/", "crates/broker/"];
    places.iter().position(|place| path.starts_with(place)).unwrap_or(places.len())
}

/// A path in few words.
fn label(path: &str) -> String {
    const FOLDERS: [(&str, &str); 4] = [
        ("crates/selftest/src/sections/", "selftest/"),
        ("tests/cases/", "tests/"),
        ("crates/broker/tests/scenarios/", "scenarios/"),
        ("crates/", ""),
    ];
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let short =
        FOLDERS.iter().find_map(|(folder, name)| Some(format!("{name}{}", path.strip_prefix(folder)?)));
    short.unwrap_or_else(|| path.to_owned())
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Mistake;
    use crate::statement::{Statement, Who};

    #[test]
    fn an_outdated_page_is_a_problem() {
        let statement = Statement { id: "MQTT-3.1.0-1", version: Version::V5, who: Who::Both, text: "so" };
        let with = |proofs: &[Proof<'static>]| Coverage {
            rows: vec![Row { statement, proofs: proofs.to_vec(), reason: None }],
            mistakes: Vec::new(),
        };
        let before = page(&with(&[Proof { path: "tests/a.rs", name: "x" }]));
        let after = with(&[Proof { path: "tests/a.rs", name: "y" }]);
        let problems_with = |found: &str| problems(&after, found);
        assert_eq!(problems_with(&page(&after)), [""; 0]);
        for found in [&before, ""] {
            assert!(problems_with(found)[0].starts_with("docs/conformance.md is not what the citations say"));
        }
        let unknown = Mistake::UnknownReason { id: "MQTT-9.9.9-9".into() };
        let wrong = Coverage { mistakes: vec![unknown.clone()], ..with(&[]) };
        assert_eq!(problems(&wrong, &page(&wrong)), [unknown.to_string()]);
    }

    #[test]
    fn a_row_shows_tests_by_file_or_the_reason() {
        let statement = Statement { id: "MQTT-3.1.0-1", version: Version::V5, who: Who::Both, text: "a|b" };
        let proofs = vec![
            Proof { path: "crates/a/src/a.rs", name: "x" },
            Proof { path: "crates/a/src/a.rs", name: "y" },
            Proof { path: "tests/cases/b.rs", name: "z is so" },
        ];
        let row = |proofs: &[Proof<'static>], reason| Row { statement, proofs: proofs.to_vec(), reason };
        let rows =
            vec![row(&proofs, None), row(&[], Some("never")), row(&[], None), row(&proofs[..1], Some("no"))];
        let page = page(&Coverage { rows, mistakes: Vec::new() });
        let expected = "
### 5.0: 3.1 CONNECT

| statement | says | proof |
|---|---|---|
| MQTT-3.1.0-1 | a\\|b | [tests/b](../tests/cases/b.rs): “z is so”<br>[a/src/a](../crates/a/src/a.rs): `x`, `y` |
| MQTT-3.1.0-1 | a\\|b | No test: never |
| MQTT-3.1.0-1 | a\\|b | **missing** |
| MQTT-3.1.0-1 | a\\|b | [a/src/a](../crates/a/src/a.rs): `x`<br>For the broker no test: no |
";
        assert!(page.contains(expected), "{page}");
        assert!(page.contains("| 5.0, server | 4 | 1 | 1 | 2 |"), "{page}");
    }
}
