//! Cuts a file into settings: the line's number, the name, and the text behind it.
//!
//! The rules are Mosquitto's. A comment's `#` is the very first byte of its line; only blanks (0x20) separate,
//! tabs do not; a line ends with LF or CRLF. Nothing is decoded here: a line may hold any bytes.

/// One setting as it stands in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Line<'a> {
    /// Counted from 1 over all lines, comments too.
    pub number: u32,
    /// The first word.
    pub name: &'a [u8],
    /// All behind the blank that ends the name. May begin and end with blanks; may be empty.
    pub rest: &'a [u8],
}

/// The settings of a file, without its comments and empty lines.
pub fn lines(source: &[u8]) -> impl Iterator<Item = Line<'_>> {
    source.split(|byte| *byte == b'\n').zip(1u32..).filter_map(|(line, number)| {
        if line.first() == Some(&b'#') {
            return None;
        }
        let line = &line[..line.len() - line.iter().rev().take_while(|byte| **byte == b'\r').count()];
        let (name, rest) = next_word(line)?;
        Some(Line { number, name, rest })
    })
}

fn next_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = text.iter().position(|byte| *byte != b' ')?;
    let text = &text[start..];
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    Some((&text[..end], text.get(end + 1..).unwrap_or_default()))
}

/// The words behind a name, one by one.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    /// The words of this text.
    pub fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// What was not taken yet, without the blanks around it.
    pub fn rest(self) -> &'a str {
        self.0.trim_matches(' ')
    }

    /// What is left apart from a comment: text that nothing takes.
    pub fn left_over(self) -> Option<&'a str> {
        Some(self.rest()).filter(|rest| !rest.is_empty() && !rest.starts_with('#'))
    }

    /// The next word unless a comment begins there.
    pub fn next_or_comment(&mut self) -> Option<&'a str> {
        if self.rest().starts_with('#') { None } else { self.next() }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start_matches(' ');
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        self.0 = rest;
        Some(word).filter(|word| !word.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[(u32, &str, &str)]) {
        let found: Vec<_> = lines(source.as_bytes())
            .map(|line| (line.number, str::from_utf8(line.name).unwrap(), str::from_utf8(line.rest).unwrap()))
            .collect();
        assert_eq!(found, expected, "{source:?}");
    }

    #[test]
    fn a_line_is_a_name_and_the_rest() {
        check("listener 1883", &[(1, "listener", "1883")]);
        check("listener", &[(1, "listener", "")]);
        check("  listener   1883  0.0.0.0 ", &[(1, "listener", "  1883  0.0.0.0 ")]);
        check("a 1\nb 2\n", &[(1, "a", "1"), (2, "b", "2")]);
        check("a 1\r\n\r\nb 2\r\r\n", &[(1, "a", "1"), (3, "b", "2")]);
    }

    #[test]
    fn a_comment_begins_in_column_one() {
        check("# listener 1\n#\n#x", &[]);
        check(" # listener", &[(1, "#", "listener")]);
        check("a 1 # why", &[(1, "a", "1 # why")]);
    }

    #[test]
    fn blank_lines_count_but_say_nothing() {
        check("", &[]);
        check("\n\n   \n\r\n", &[]);
        check("\n\na 1", &[(3, "a", "1")]);
    }

    #[test]
    fn a_tab_is_no_separator() {
        check("listener\t1883", &[(1, "listener\t1883", "")]);
        check("\tlistener 1", &[(1, "\tlistener", "1")]);
    }

    #[test]
    fn words_are_cut_at_blanks_only() {
        let mut words = Words::new(" 1883  a\tb  # why");
        assert_eq!(words.next(), Some("1883"));
        assert_eq!(words.rest(), "a\tb  # why");
        assert_eq!(words.left_over(), Some("a\tb  # why"));
        assert_eq!(words.next_or_comment(), Some("a\tb"));
        assert_eq!(words.next_or_comment(), None);
        assert_eq!(words.left_over(), None);
        assert_eq!(words.next(), Some("#"));
        assert_eq!(words.by_ref().count(), 1);
        assert_eq!(words.next(), None);
    }
}
