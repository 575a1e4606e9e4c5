//! Finds citations in Rust source, and the tests they stand at.

use std::collections::BTreeSet;

use crate::token::{Token, tokens};

/// The citations of one file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Citations<'a> {
    /// Tests that cite something, in their order: those with the same name are told once.
    pub tests: Vec<Test<'a>>,
    /// All ids that are cited anywhere in the file.
    pub everywhere: BTreeSet<&'a str>,
    /// The ids that a range begins with, `[a] to [b]`.
    pub ranges: BTreeSet<&'a str>,
}

/// One test, or one table of cases, with what it cites.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Test<'a> {
    /// Of the function or the table, or the title of its row.
    pub name: &'a str,
    /// Ids without brackets.
    pub cites: BTreeSet<&'a str>,
}

/// Reads one file. All of a test file is test code; of another one what `#[test]` and `#[cfg(test)]` mark.
pub fn citations<'a>(path: &str, text: &'a str) -> Citations<'a> {
    let mut found = Citations::default();
    for (id, is_range) in ids(text) {
        found.everywhere.insert(id);
        if is_range {
            found.ranges.insert(id);
        }
    }
    let tokens = tokens(text);
    let mut reader = Reader { tokens: &tokens, at: 0, found };
    reader.items(is_test_file(path));
    reader.found
}

/// Files that are compiled for tests only.
fn is_test_file(path: &str) -> bool {
    let mut names = path.split('/');
    let within = |name| matches!(name, "tests" | "tests.rs" | "selftest");
    names.any(within)
}

/// The ids in a text, and whether each begins a range.
fn ids(text: &str) -> impl Iterator<Item = (&str, bool)> {
    text.match_indices("[MQTT").filter_map(|(at, _)| {
        let inside = &text[at + 1..];
        let id = &inside[..inside.find(']')?];
        let numbers = id.strip_prefix("MQTT311-").or_else(|| id.strip_prefix("MQTT-"))?;
        let (section, number) = numbers.split_once('-')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_id = section.split('.').all(is_number) && is_number(number);
        let is_range = inside[id.len() + 1..].trim_start().starts_with("to [MQTT");
        is_id.then_some((id, is_range))
    })
}

/// What was read before an item and belongs to it.
#[derive(Default)]
struct Lead<'a> {
    cites: BTreeSet<&'a str>,
    is_test: bool,
    is_for_tests: bool,
}

struct Reader<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    found: Citations<'a>,
}

impl<'a> Reader<'_, 'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token
    }

    fn peek(&self, ahead: usize) -> Option<Token<'a>> {
        self.tokens.get(self.at + ahead).copied()
    }

    /// Items up to the brace that closes what they stand in.
    fn items(&mut self, is_test_code: bool) {
        let mut lead = Lead::default();
        while let Some(token) = self.next() {
            match token {
                Token::Mark('}') => return,
                Token::Mark('{') => {
                    let lead = std::mem::take(&mut lead);
                    self.items(is_test_code || lead.is_for_tests);
                }
                Token::Mark(';') => lead = Lead::default(),
                Token::Mark('#') => self.attribute(&mut lead),
                // What stands inside a module or a file says what that is for.
                Token::Comment(text) if text.starts_with("//!") || text.starts_with("/*!") => {}
                Token::Comment(text) => lead.cites.extend(ids(text).map(|(id, _)| id)),
                Token::Word("fn") => {
                    if let Some(Token::Word(name)) = self.peek(0) {
                        let lead = std::mem::take(&mut lead);
                        let cites = self.function(lead.cites);
                        if lead.is_test {
                            self.note(name, cites);
                        }
                    }
                }
                Token::Word("const" | "static") => {
                    if let (Some(Token::Word(name)), Some(Token::Mark(':'))) = (self.peek(0), self.peek(1)) {
                        let lead = std::mem::take(&mut lead);
                        let cites = self.table(lead.cites);
                        if is_test_code || lead.is_for_tests {
                            self.note(name, cites);
                        }
                    }
                }
                Token::Word(_) | Token::Text(_) | Token::Mark(_) => {}
            }
        }
    }

    /// `#[test]`, `#[cfg(test)]`, or another one, read behind its `#`.
    fn attribute(&mut self, lead: &mut Lead<'a>) {
        if self.peek(0) != Some(Token::Mark('[')) {
            return;
        }
        let start = self.at + 1;
        let mut depth = 0_usize;
        while let Some(token) = self.next() {
            match token {
                Token::Mark('[') => depth += 1,
                Token::Mark(']') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        let inside = &self.tokens[start.min(self.tokens.len())..(self.at - 1).min(self.tokens.len())];
        lead.is_test |= inside == [Token::Word("test")];
        let cfg_test = [Token::Word("cfg"), Token::Mark('('), Token::Word("test"), Token::Mark(')')];
        lead.is_for_tests |= inside == cfg_test;
    }

    /// The rest of a function, from its name on: what it cites, with what was cited before.
    fn function(&mut self, cites: BTreeSet<&'a str>) -> BTreeSet<&'a str> {
        self.until(cites, |depth, token, in_body| {
            depth == 0 && (token == Token::Mark('}') && in_body || token == Token::Mark(';') && !in_body)
        })
    }

    /// The rest of a constant, from its name on. Rows that begin with their citations and their title, `"[…]", "…"`, are
    /// tests by themselves.
    fn table(&mut self, cites: BTreeSet<&'a str>) -> BTreeSet<&'a str> {
        let start = self.at;
        let mut cites = self.until(cites, |depth, token, _| depth == 0 && token == Token::Mark(';'));
        let tokens = &self.tokens[start..self.at.min(self.tokens.len())];
        let rows = tokens.windows(3).filter_map(|window| match window {
            &[Token::Text(proves), Token::Mark(','), Token::Text(title)] => {
                let of_row: BTreeSet<_> = ids(proves).map(|(id, _)| id).collect();
                let is_row = !of_row.is_empty() && ids(title).next().is_none();
                is_row.then_some((title, of_row))
            }
            _ => None,
        });
        for (title, of_row) in rows.collect::<Vec<_>>() {
            cites.retain(|id| !of_row.contains(id));
            self.note(title, of_row);
        }
        cites
    }

    /// Reads on until `is_end` says so of the depth in brackets, the token, and whether a brace was opened.
    fn until(
        &mut self,
        mut cites: BTreeSet<&'a str>,
        is_end: impl Fn(usize, Token<'a>, bool) -> bool,
    ) -> BTreeSet<&'a str> {
        let (mut depth, mut in_body) = (0_usize, false);
        while let Some(token) = self.next() {
            match token {
                Token::Mark('{') => {
                    in_body = true;
                    depth += 1;
                }
                Token::Mark('(' | '[') => depth += 1,
                Token::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
                Token::Comment(text) | Token::Text(text) => cites.extend(ids(text).map(|(id, _)| id)),
                Token::Word(_) | Token::Mark(_) => {}
            }
            if is_end(depth, token, in_body) {
                break;
            }
        }
        cites
    }

    fn note(&mut self, name: &'a str, cites: BTreeSet<&'a str>) {
        if cites.is_empty() {
            return;
        }
        match self.found.tests.iter_mut().find(|test| test.name == name) {
            Some(test) => test.cites.extend(cites),
            None => self.found.tests.push(Test { name, cites }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and ids of the tests that are found.
    fn found(path: &str, text: &str) -> Vec<String> {
        let tests = citations(path, text).tests;
        let line = |test: &Test<'_>| {
            let cites: Vec<_> = test.cites.iter().copied().collect();
            format!("{}: {}", test.name, cites.join(" "))
        };
        tests.iter().map(line).collect()
    }

    #[test]
    fn a_citation_counts_at_a_test() {
        for text in [
            "#[test] // [MQTT-1.2.3-4]\nfn a() {}",
            "/// [MQTT-1.2.3-4]\n#[test]\nfn a() {}",
            "#[test]\nfn a() { check(1); // [MQTT-1.2.3-4]\n }",
            "#[test]\nfn a() { if x { check(\"[MQTT-1.2.3-4]\") } }",
            "#[cfg(test)] mod tests { #[test] #[allow(unused)] fn a() { let x = '}'; /* [MQTT-1.2.3-4] */ } }",
            "proptest! { #![config(x)] #[test] fn a(x in any::<[u8; 2]>()) { } // y\n#[test] // [MQTT-1.2.3-4]\nfn a() {} }",
        ] {
            assert_eq!(found("crates/x/src/x.rs", text), ["a: MQTT-1.2.3-4"], "{text}");
        }
    }

    #[test]
    fn a_citation_elsewhere_proves_nothing() {
        for text in [
            "//! [MQTT-1.2.3-4]\n#[test] fn a() {}",
            "/// [MQTT-1.2.3-4]\nfn a() {} // [MQTT-1.2.3-4]\nfn b() {} #[test] fn c() {}",
            "fn a() { /* [MQTT-1.2.3-4] */ } #[test] fn b() {}",
            "#[test] fn a() {}\nconst A: &str = \"[MQTT-1.2.3-4]\";",
            "#[cfg(test)] mod tests { /// [MQTT-1.2.3-4]\nfn helper() {}\n#[test] fn a() { helper(); } }",
            "#[cfg(test)] mod tests;\nconst A: u8 = 1; // [MQTT-1.2.3-4]",
            "trait A { /// [MQTT-1.2.3-4]\nfn a(); #[test] fn b() {} }",
        ] {
            assert_eq!(found("crates/x/src/x.rs", text), [""; 0], "{text}");
            assert_eq!(citations("x.rs", text).everywhere.len(), 1, "{text}");
        }
    }

    #[test]
    fn a_row_of_a_table_of_test_code_counts() {
        let text =
            "const CASES: &[(u8, u8)] = &[\n(1, 2), // [MQTT-1.2.3-4]\n(2, { 3; 4 }), // [MQTT311-4.2-1]\n];";
        let expected = ["CASES: MQTT-1.2.3-4 MQTT311-4.2-1"];
        assert_eq!(found("crates/x/tests/x.rs", text), expected);
        assert_eq!(found("crates/x/src/y/tests.rs", text), expected);
        assert_eq!(found("crates/selftest/src/case/connect.rs", text), expected);
        assert_eq!(found("x/src/y.rs", &format!("#[cfg(test)]\nmod tests {{ {text} }}")), expected);
        assert_eq!(found("x/src/y.rs", text), [""; 0]);
    }

    #[test]
    fn a_row_with_a_title_is_a_test_by_itself() {
        let text = r#"const CASES: &[Case] = &[
            Case::both("[MQTT-1.2.3-4] [MQTT311-1.2.3-5]", "what it does", |test| { test.client("x")?; Ok(()) }),
            Case::v5("[MQTT-1.2.3-4]", "what else it does", |test| Ok(())).slow(),
            ("[MQTT-1.2.3-6]", 7), // [MQTT-1.2.3-7]
        ];"#;
        let expected = [
            "what it does: MQTT-1.2.3-4 MQTT311-1.2.3-5",
            "what else it does: MQTT-1.2.3-4",
            "CASES: MQTT-1.2.3-6 MQTT-1.2.3-7",
        ];
        assert_eq!(found("crates/selftest/src/sections/connect.rs", text), expected);
    }

    #[test]
    fn what_is_no_id_is_no_citation() {
        let text =
            "// [MQTT-3.1.4] [MQTT-3.1.4-] [MQTT-x.y.z-n] [MQTT MQTT-3.1.4-1 [MQTT5-1.1.1-1] [MQTT-4.2-1]";
        assert_eq!(citations("x.rs", text).everywhere, BTreeSet::from(["MQTT-4.2-1"]));
    }

    #[test]
    fn ranges_are_found() {
        let text = "// [MQTT-1.1.1-1] to [MQTT-1.1.1-3], [MQTT-1.1.1-4]";
        assert_eq!(citations("x.rs", text).ranges, BTreeSet::from(["MQTT-1.1.1-1"]));
    }
}
