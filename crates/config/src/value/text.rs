//! Text values: a word, or the rest of the line.

use crate::lexer::Words;
use crate::problem::{Problem, word};

/// Bytes of a text value, as MQTT strings.
pub(super) const BYTES_MAX: usize = 65535;
/// Bytes of what made client identifiers begin with.
pub(super) const ID_PREFIX_BYTES_MAX: usize = 50;
/// Levels of a topic: what the broker accepts from clients too.
const TOPIC_SLASHES_MAX: usize = 200;

/// The next word.
pub(super) fn word<'a>(name: &str, words: &mut Words<'a>) -> Result<&'a str, Problem> {
    words.next().ok_or_else(|| word::empty(name))
}

/// All that stands behind the name, trimmed; a `#` in it is part of it.
pub(super) fn rest(name: &str, rest: &str, bytes_max: usize) -> Result<String, Problem> {
    let text = rest.trim_matches(|c: char| matches!(c, ' ' | '\t'..='\r'));
    if text.is_empty() {
        return Err(word::empty(name));
    }
    checked(name, text, bytes_max)
}

/// The text for a plugin's option. Blanks behind it are part of it.
pub(super) fn plugin_option(name: &str, rest: &str) -> Result<String, Problem> {
    let text = rest.trim_start_matches([' ', '\t']);
    if text.is_empty() {
        return Err(word::empty(name));
    }
    checked(name, text, BYTES_MAX)
}

/// The rest of the line as what all topics of a listener begin with.
pub(super) fn topic_prefix(name: &str, text: &str) -> Result<String, Problem> {
    let prefix = rest(name, text, BYTES_MAX)?;
    if !is_topic(&prefix) {
        return Err(word::mount_point(&prefix));
    }
    Ok(prefix)
}

fn checked(name: &str, text: &str, bytes_max: usize) -> Result<String, Problem> {
    if text.len() > bytes_max {
        return Err(word::too_long(name, text.len(), bytes_max));
    }
    if text.contains(is_forbidden) {
        return Err(word::control_character(name, text));
    }
    Ok(text.to_owned())
}

/// What Mosquitto does not accept as UTF-8: control characters and what Unicode says is no character.
fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}

/// Whether this can stand in a PUBLISH: no wildcard, not too deep.
pub(super) fn is_topic(text: &str) -> bool {
    text.len() <= BYTES_MAX
        && !text.contains(['+', '#'])
        && text.bytes().filter(|byte| *byte == b'/').count() <= TOPIC_SLASHES_MAX
}

/// Whether this can stand in a SUBSCRIBE: wildcards only as whole levels, `#` only as the last one
/// [MQTT-4.7.1-1] [MQTT-4.7.1-2].
pub(crate) fn is_topic_filter(text: &str) -> bool {
    let without_last = text.rsplit_once('/').map_or("", |(head, _)| head);
    !text.is_empty()
        && text.len() <= BYTES_MAX
        && text.bytes().filter(|byte| *byte == b'/').count() <= TOPIC_SLASHES_MAX
        && text.split('/').all(|level| matches!(level, "+" | "#") || !level.contains(['+', '#']))
        && without_last.split('/').all(|level| level != "#")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_trimmed_and_keeps_what_is_inside() {
        assert_eq!(rest("user", "  a b # c \t", BYTES_MAX).as_deref(), Ok("a b # c"));
        assert_eq!(rest("user", "\u{1f409}", BYTES_MAX).as_deref(), Ok("\u{1f409}"));
        assert_eq!(rest("user", "   ", BYTES_MAX), Err(word::empty("user")));
        assert_eq!(plugin_option("plugin_opt_x", "\t a  ").as_deref(), Ok("a  "));
        assert_eq!(plugin_option("plugin_opt_x", " "), Err(word::empty("plugin_opt_x")));
    }

    #[test]
    fn text_is_bounded() {
        let longest = "x".repeat(BYTES_MAX);
        assert_eq!(rest("user", &longest, BYTES_MAX), Ok(longest.clone()));
        let longer = longest + "x";
        assert_eq!(rest("user", &longer, BYTES_MAX), Err(word::too_long("user", 65536, 65535)));
    }

    #[test]
    fn control_characters_are_no_text() {
        for text in ["a\tb", "a\0", "\u{7f}", "\u{85}", "\u{ffff}", "\u{1fffe}", "\u{fdd0}"] {
            assert_eq!(rest("user", text, BYTES_MAX), Err(word::control_character("user", text)), "{text:?}");
        }
    }

    #[test]
    fn filters() {
        for good in ["a", "/", "+", "#", "a/#", "+/+/#", "/+", "a//b", "$SYS/#"] {
            assert!(is_topic_filter(good), "{good:?}");
        }
        for bad in ["", "a#", "a/#/b", "#/", "+a", "a/b+", "##"] {
            assert!(!is_topic_filter(bad), "{bad:?}");
        }
        assert!(is_topic_filter(&"/".repeat(200)) && !is_topic_filter(&"/".repeat(201)));
        assert!(is_topic(&"/".repeat(200)) && !is_topic(&"/".repeat(201)));
        assert!(is_topic("a/") && !is_topic("+") && !is_topic("a/#"));
    }
}
