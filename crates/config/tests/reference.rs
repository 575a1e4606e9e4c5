//! The reference page is made from the directive table.

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");

#[test]
fn the_reference_page_is_what_the_table_says() {
    let expected = noctule_config::directive::reference_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &expected).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        found == expected,
        "docs/configuration.md differs from the directive table; write it anew with \
         UPDATE_DOCS=1 cargo test -p noctule-config --test reference"
    );
}
