//! The part of the topic tree that a listener's clients see as the whole (`mount_point`).

use noctule_protocol::{SubscriptionFilter, TopicFilter, TopicName};

/// What stands in front of every topic of a listener's clients: put there before anything is decided about the topic, and
/// taken away where it is written to a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MountPoint(Box<str>);

impl MountPoint {
    /// Any text without wildcards; a slash at its end makes it a level of its own.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Writes into `out` what a client's topic is called in the broker; `None` if that is no Topic Name: too long, or of
    /// too many levels.
    pub(crate) fn topic<'a>(&self, topic: &str, out: &'a mut String) -> Option<&'a str> {
        out.clear();
        out.push_str(&self.0);
        out.push_str(topic);
        TopicName::parse(out).is_ok().then_some(out)
    }

    /// The same of a Topic Filter. A shared subscription's Share Name stays in front.
    pub(crate) fn filter(&self, filter: SubscriptionFilter<'_>) -> Option<String> {
        let (text, inner) = (filter.as_str(), filter.filter.as_str());
        let share = &text[..text.len() - inner.len()];
        let mounted = format!("{}{inner}", self.0);
        TopicFilter::parse(&mounted).is_ok().then(|| format!("{share}{mounted}"))
    }

    /// What a client calls a topic of the broker; `None` if it is outside.
    #[inline]
    pub(crate) fn strip<'a>(&self, topic: &'a str) -> Option<&'a str> {
        topic.strip_prefix(&*self.0).filter(|rest| !rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_put_in_and_taken_out() {
        let mount = MountPoint::new("house/1/");
        let mut out = "before".to_owned();
        assert_eq!(mount.topic("lamp", &mut out), Some("house/1/lamp"));
        assert_eq!(mount.topic("$SYS/x", &mut out), Some("house/1/$SYS/x"));
        for (topic, seen) in [
            ("house/1/lamp", Some("lamp")),
            ("house/1//", Some("/")),
            ("house/1/", None),
            ("house/1", None),
            ("house/2/lamp", None),
        ] {
            assert_eq!(mount.strip(topic), seen, "{topic}");
        }
    }

    #[test]
    fn a_share_name_stays_in_front() {
        let mount = MountPoint::new("house/1/");
        for (filter, mounted) in [
            ("#", Some("house/1/#")),
            ("+/lamp", Some("house/1/+/lamp")),
            ("$share/g/lamp", Some("$share/g/house/1/lamp")),
            ("$SYS/#", Some("house/1/$SYS/#")),
        ] {
            let filter = SubscriptionFilter::parse(filter).unwrap();
            assert_eq!(mount.filter(filter).as_deref(), mounted);
        }
        // Its wildcard would not fill a level.
        assert_eq!(MountPoint::new("house").filter(SubscriptionFilter::parse("#").unwrap()), None);
    }

    #[test]
    fn what_becomes_too_long_is_no_topic() {
        let mount = MountPoint::new("m/");
        let mut out = String::new();
        for (bytes, fits) in [(65533, true), (65534, false)] {
            let text = "x".repeat(bytes);
            assert_eq!(mount.topic(&text, &mut out).is_some(), fits);
            assert_eq!(mount.filter(SubscriptionFilter::parse(&text).unwrap()).is_some(), fits);
        }
    }
}
