//! Many wildcard filters over a few connections, made so that it is known which connections a topic reaches.

use super::topic_pattern::{Number, Part, TopicPattern};

/// What the filters look like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FilterKind {
    /// Four forms with `+` in several places or `#`, of 100 × 1000 × 10 names; three match a topic.
    Mixed,
    /// One name of its own in each, as devices have: `v1/devices/dev-0000042/cmd/+`; one matches a topic.
    Device,
}

#[derive(Clone, Debug)]
pub(super) struct FilterSet {
    kind: FilterKind,
    filters: u64,
    connections: usize,
}

/// A mixed topic is numbered by three names: of 100, of 1000 and of 10. The first stands there once more, digit by digit.
const A: Part<'_> = number(1, 100, 2);
const B: Part<'_> = number(100, 1000, 3);
const C: Part<'_> = number(100_000, 10, 1);
const A_HIGH: Part<'_> = number(10, 10, 1);
const A_LOW: Part<'_> = number(1, 10, 1);
const DEVICE: Part<'_> = number(1, 10_000_000, 7);

/// Topics of the mixed kind that three filters match.
const MATCHES: u64 = 3;

const fn number(divisor: u64, modulus: u64, width: usize) -> Part<'static> {
    Part::Number(Number { divisor, modulus, width })
}

impl FilterSet {
    /// More filters would be the same again.
    pub(super) const fn filters_max(kind: FilterKind) -> u64 {
        match kind {
            FilterKind::Mixed => 2_000_000,
            FilterKind::Device => 10_000_000,
        }
    }

    /// Fewer connections would have one get two copies of a message, which brokers may merge.
    pub(super) const fn connections_min(kind: FilterKind) -> usize {
        match kind {
            FilterKind::Mixed => MATCHES as usize,
            FilterKind::Device => 1,
        }
    }

    pub(super) const fn new(kind: FilterKind, filters: u64, connections: usize) -> Self {
        Self { kind, filters, connections }
    }

    pub(super) const fn connections(&self) -> usize {
        self.connections
    }

    /// How many filters match each topic.
    pub(super) const fn matches(&self) -> u32 {
        match self.kind {
            FilterKind::Mixed => MATCHES as u32,
            FilterKind::Device => 1,
        }
    }

    /// How many topics there are with that many matches.
    const fn topic_count(&self) -> u64 {
        match self.kind {
            FilterKind::Mixed => self.filters / 4,
            FilterKind::Device => self.filters,
        }
    }

    /// The filters of one connection.
    pub(super) fn of_connection<'a>(
        &'a self,
        prefix: &str,
        connection: usize,
    ) -> impl Iterator<Item = String> + use<'a> {
        let forms = self.forms(prefix);
        (0..self.filters).filter_map(move |filter| {
            let (form, topic) = match self.kind {
                FilterKind::Mixed => (filter % 4, filter / 4),
                FilterKind::Device => (0, filter),
            };
            // The fourth form is of other names, so that it stands in the way without matching.
            let named = if form == MATCHES { topic + self.topic_count() } else { topic };
            (self.holder(topic, form) == connection).then(|| forms[form as usize].text(named))
        })
    }

    /// Which connection holds the filter of this form for this topic: another one for each form.
    #[inline]
    const fn holder(&self, topic: u64, form: u64) -> usize {
        ((topic + form) % self.connections as u64) as usize
    }

    fn forms(&self, prefix: &str) -> Vec<TopicPattern> {
        let (root, slash, plus) = (Part::Text(prefix), Part::Text("/"), Part::Text("/+"));
        match self.kind {
            FilterKind::Mixed => vec![
                TopicPattern::new(&[root, slash, A, plus, slash, B, slash, C, plus]),
                TopicPattern::new(&[root, slash, A, slash, A_HIGH, slash, B, slash, C, Part::Text("/#")]),
                TopicPattern::new(&[root, plus, slash, A_HIGH, slash, B, slash, C, slash, A_LOW]),
                TopicPattern::new(&[root, slash, A, plus, slash, B, slash, C, Part::Text("/#")]),
            ],
            FilterKind::Device => {
                vec![TopicPattern::new(&[root, Part::Text("/v1/devices/dev-"), DEVICE, Part::Text("/cmd/+")])]
            }
        }
    }

    pub(super) fn topics(&self, prefix: &str) -> TopicPattern {
        let (root, slash) = (Part::Text(prefix), Part::Text("/"));
        match self.kind {
            FilterKind::Mixed => {
                TopicPattern::new(&[root, slash, A, slash, A_HIGH, slash, B, slash, C, slash, A_LOW])
            }
            FilterKind::Device => {
                TopicPattern::new(&[root, Part::Text("/v1/devices/dev-"), DEVICE, Part::Text("/cmd/set")])
            }
        }
    }

    /// A topic that looks chosen at random, and is the same for everybody who asks.
    #[inline]
    pub(super) const fn random_topic(&self, publisher: u64, sequence: u64) -> u64 {
        // The finisher of SplitMix64: neighbours become strangers.
        let mut mixed = (sequence << 16 | publisher).wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % self.topic_count()
    }

    /// Whether this connection holds a filter that matches the topic.
    #[inline]
    pub(super) const fn is_matched_by(&self, topic: u64, connection: usize) -> bool {
        let connections = self.connections as u64;
        (connection as u64 + connections - topic % connections) % connections < self.matches() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_client::protocol::{TopicFilter, TopicName};
    use std::collections::BTreeSet;

    fn check(set: &FilterSet, connections: usize) {
        let filters: Vec<Vec<String>> =
            (0..connections).map(|c| set.of_connection("t", c).collect()).collect();
        let distinct: BTreeSet<_> = filters.iter().flatten().collect();
        assert_eq!(distinct.len() as u64, set.filters);
        let topics = set.topics("t");
        for sequence in 0..300 {
            let number = set.random_topic(3, sequence);
            let topic = topics.text(number);
            let topic = TopicName::parse(&topic).unwrap();
            for (connection, filters) in filters.iter().enumerate() {
                let matching = filters
                    .iter()
                    .filter(|filter| TopicFilter::parse(filter).unwrap().matches(topic))
                    .count();
                let expected = usize::from(set.is_matched_by(number, connection));
                assert_eq!(matching, expected, "{} on {connection}", topic.as_str());
            }
        }
    }

    #[test]
    fn a_topic_reaches_the_connections_it_is_said_to() {
        check(&FilterSet::new(FilterKind::Mixed, 4000, 10), 10);
        check(&FilterSet::new(FilterKind::Mixed, 400, 3), 3);
        check(&FilterSet::new(FilterKind::Device, 500, 4), 4);
    }

    #[test]
    fn forms_look_as_documented() {
        let mixed = FilterSet::new(FilterKind::Mixed, 1_000_000, 20);
        let forms: Vec<_> = mixed.forms("b").iter().map(|form| form.text(123_456)).collect();
        assert_eq!(forms, ["b/56/+/234/1/+", "b/56/5/234/1/#", "b/+/5/234/1/6", "b/56/+/234/1/#"]);
        assert_eq!(mixed.topics("b").text(123_456), "b/56/5/234/1/6");
        let device = FilterSet::new(FilterKind::Device, 100, 1);
        assert_eq!(device.of_connection("b", 0).nth(42).unwrap(), "b/v1/devices/dev-0000042/cmd/+");
    }
}
