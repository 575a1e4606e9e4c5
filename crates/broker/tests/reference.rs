//! The page of `$SYS` topics is made from their table.

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sys-topics.md");

#[test]
#[expect(clippy::disallowed_methods, reason = "the page is a file of the repository")]
fn the_page_of_sys_topics_is_what_the_table_says() {
    let expected = noctule_broker::sys_topics::reference_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &expected).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        found == expected,
        "docs/sys-topics.md differs from the table of topics; write it anew with \
         UPDATE_DOCS=1 cargo test -p noctule-broker --test reference"
    );
}
