//! Rust source in the few kinds of tokens that matter for finding tests.

/// One token. Numbers and lifetimes come out as words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Token<'a> {
    /// A keyword, a name, a number, a lifetime.
    Word(&'a str),
    /// What stands between quotes, escapes as they are written.
    Text(&'a str),
    /// A comment with its slashes.
    Comment(&'a str),
    /// Any other character that is no white space.
    Mark(char),
}

/// Cuts source into tokens. What does not end goes to the end.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = token(rest, first);
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The token `rest` begins with, and its length.
fn token(rest: &str, first: char) -> (Token<'_>, usize) {
    if rest.starts_with("//") {
        let end = rest.find('\n').unwrap_or(rest.len());
        return (Token::Comment(&rest[..end]), end);
    }
    if rest.starts_with("/*") {
        let end = block_comment(rest);
        return (Token::Comment(&rest[..end]), end);
    }
    if let Some((text, length)) = raw_text(rest) {
        return (Token::Text(text), length);
    }
    if first == '"' || rest.starts_with("b\"") || rest.starts_with("c\"") {
        let start = if first == '"' { 1 } else { 2 };
        let end = closing_quote(rest, start, '"');
        return (Token::Text(&rest[start..end]), (end + 1).min(rest.len()));
    }
    if rest.starts_with("b'") {
        let end = closing_quote(rest, 2, '\'');
        return (Token::Text(&rest[2..end]), (end + 1).min(rest.len()));
    }
    if first == '\'' {
        let mut following = rest[1..].chars();
        let is_text = match following.next() {
            Some('\\') => true,
            Some(_) => following.next() == Some('\''),
            None => false,
        };
        if is_text {
            let end = closing_quote(rest, 1, '\'');
            return (Token::Text(&rest[1..end]), (end + 1).min(rest.len()));
        }
        let length = 1 + word_length(&rest[1..]);
        return (Token::Word(&rest[..length]), length);
    }
    match word_length(rest) {
        0 => (Token::Mark(first), first.len_utf8()),
        length => (Token::Word(&rest[..length]), length),
    }
}

fn word_length(rest: &str) -> usize {
    rest.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(rest.len())
}

/// Where the block comment at the start ends; they nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The raw string at the start, and its length with all that is around it.
fn raw_text(rest: &str) -> Option<(&str, usize)> {
    let raw = ["r", "br", "cr"].into_iter().find_map(|prefix| {
        let behind = rest.strip_prefix(prefix)?;
        (behind.starts_with('"') || behind.starts_with('#')).then_some(behind)
    })?;
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    let inside = raw[hashes..].strip_prefix('"')?; // `r#match` is a word.
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inside.find(&close).unwrap_or(inside.len());
    let start = rest.len() - inside.len();
    Some((&inside[..end], (start + end + close.len()).min(rest.len())))
}

fn closing_quote(rest: &str, from: usize, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest[from..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return from + at,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Token::{Comment, Mark, Text, Word};

    #[test]
    fn braces_in_texts_and_comments_are_no_marks() {
        let cases: &[(&str, &[Token<'_>])] = &[
            (r#"f("{\"}") // {"#, &[Word("f"), Mark('('), Text(r#"{\"}"#), Mark(')'), Comment("// {")]),
            (r##"r#"{"}"# b"{" x"##, &[Text(r#"{"}"#), Text("{"), Word("x")]),
            ("'{' b'}' '\\'' 'a", &[Text("{"), Text("}"), Text("\\'"), Word("'a")]),
            ("/* { /* } */ { */ x", &[Comment("/* { /* } */ { */"), Word("x")]),
            ("r#fn", &[Word("r"), Mark('#'), Word("fn")]),
            ("\"never closed", &[Text("never closed")]),
            ("/* never", &[Comment("/* never")]),
            ("'ä' ü", &[Text("ä"), Word("ü")]),
            ("'", &[Word("'")]),
        ];
        for (source, expected) in cases {
            assert_eq!(tokens(source), *expected, "{source}");
        }
    }
}
