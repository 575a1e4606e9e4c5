//! The tests of this workspace prove every statement, and the page says so.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::path::Path;

use conformance::coverage::coverage;
use conformance::statement::{REASONS, STATEMENTS, Who, parse_reasons, parse_statements};
use conformance::{PAGE, ROOT, page, source};

#[test]
fn the_page_is_up_to_date_and_has_no_gap() {
    let sources = source::read(Path::new(ROOT)).unwrap();
    let (statements, reasons) = (parse_statements(STATEMENTS).unwrap(), parse_reasons(REASONS).unwrap());
    let coverage = coverage(&statements, &reasons, &sources);
    let path = Path::new(ROOT).join(PAGE);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page::page(&coverage)).unwrap();
    }
    let problems = page::problems(&coverage, &std::fs::read_to_string(&path).unwrap_or_default());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The standards have so many; none may be lost.
#[test]
fn the_table_has_every_statement() {
    let statements = parse_statements(STATEMENTS).unwrap();
    let count = |version: &str, who| {
        let same = statements.iter().filter(|one| one.version.to_string() == version && one.who == who);
        same.count()
    };
    assert_eq!([Who::Server, Who::Client, Who::Both].map(|who| count("3.1.1", who)), [69, 29, 43]);
    assert_eq!([Who::Server, Who::Client, Who::Both].map(|who| count("5.0", who)), [119, 45, 87]);
}
