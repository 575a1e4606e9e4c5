//! A level of a pattern with names to be put in.

use super::Names;

/// A level that has `%c` or `%u` in it. With names that have a `/` it stands for several levels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Template(Box<[Part]>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(Box<str>),
    ClientId,
    UserName,
}

impl Template {
    /// `None` if there is nothing to put in.
    pub(super) fn parse(level: &str) -> Option<Self> {
        let (mut parts, mut rest) = (Vec::new(), level);
        let placeholders = [("%c", Part::ClientId), ("%u", Part::UserName)];
        let next = |text: &str| {
            let found =
                placeholders.iter().filter_map(|(sign, part)| Some((text.find(sign)?, sign.len(), part)));
            found.min_by_key(|(at, ..)| *at)
        };
        while let Some((at, length, part)) = next(rest) {
            if at > 0 {
                parts.push(Part::Text(rest[..at].into()));
            }
            parts.push(part.clone());
            rest = &rest[at + length..];
        }
        if parts.is_empty() {
            return None;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Some(Self(parts.into()))
    }

    /// What is left of the levels of a topic behind this one: `Some(None)` at its end. `None` if it begins otherwise, or
    /// the client has no such name.
    pub(super) fn strip<'a>(&self, levels: &'a str, names: Names<'_>) -> Option<Option<&'a str>> {
        let mut rest = levels;
        for part in &self.0 {
            rest = rest.strip_prefix(match part {
                Part::Text(text) => text,
                Part::ClientId => names.client_id,
                Part::UserName => names.user_name?,
            })?;
        }
        if rest.is_empty() { Some(None) } else { rest.strip_prefix('/').map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_in_anywhere_in_a_level() {
        let named = Names { client_id: "me", user_name: Some("a/b") };
        let anonymous = Names { client_id: "me", user_name: None };
        let table = [
            ("%c", "me", Some(None)),
            ("%c", "me/x/y", Some(Some("x/y"))),
            ("%c", "me/", Some(Some(""))),
            ("%c", "men", None),
            ("%u", "a/b/c", Some(Some("c"))),
            ("a%cb%u.%%u", "ameb", None),
            ("a%cb%u.%%u", "ameba/b.%a/b", Some(None)),
        ];
        for (level, levels, expected) in table {
            let template = Template::parse(level).expect("there is something to put in");
            assert_eq!(template.strip(levels, named), expected, "{level} {levels}");
        }
        assert_eq!(Template::parse("%u").and_then(|template| template.strip("a/b", anonymous)), None);
        assert_eq!(["", "%", "%%", "c%d"].map(Template::parse), [const { None }; 4]);
    }
}
