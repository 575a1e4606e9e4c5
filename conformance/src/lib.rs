//! Which test proves which normative statement of MQTT 3.1.1 and 5.0.
//!
//! Tests cite the statements they prove: `[MQTT-3.1.2-22]` is 5.0, `[MQTT311-3.1.2-24]` is 3.1.1. This package reads
//! those citations ([`citation`]), holds them against the table of all statements ([`statement`]), tells what is wrong
//! ([`coverage`]), and writes `docs/conformance.md` ([`page`]).
//!
//! A citation proves something only where a test stands:
//! - at a function with `#[test]`: in its documentation, in a comment behind its attribute, in its body;
//! - in a `const` or `static` table of test code: a table of cases. A row that begins with its citations and its title, as
//!   in `crates/selftest`, is a test by itself.
//!
//! A citation in production code tells a reader why the code is as it is, and proves nothing; nor does one in a helper of
//! tests or above a module. Each statement is written out: there are no ranges. Every citation, wherever it stands, must name
//! a statement that exists.

pub mod citation;
pub mod coverage;
pub mod page;
pub mod source;
pub mod statement;
pub mod token;

/// The workspace this package was built in.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// The page, from the root.
pub const PAGE: &str = "docs/conformance.md";
