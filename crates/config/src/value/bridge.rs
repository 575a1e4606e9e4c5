//! What only bridges are told.

use std::time::Duration;

use super::{number, text};
use crate::lexer::Words;
use crate::problem::{Problem, bridge, word};

/// A broker to connect to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BridgeAddress {
    /// A host name or address.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

/// Which messages pass a bridge, and under which topics.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BridgeTopic {
    /// A topic filter; `None` if only the prefixes make the topic.
    pub pattern: Option<String>,
    /// Which way they pass.
    pub direction: Direction,
    /// 0, 1 or 2.
    pub qos: u8,
    /// In front of `pattern` on this broker.
    pub local_prefix: Option<String>,
    /// In front of `pattern` on the other broker.
    pub remote_prefix: Option<String>,
}

/// Which way messages pass a bridge.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Direction {
    /// From here to the other broker.
    #[default]
    Out,
    /// From the other broker to here.
    In,
    /// Both ways.
    Both,
}

/// How long a bridge waits before it connects again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RestartTimeout {
    /// Always as long.
    Constant(Duration),
    /// Longer each time.
    Backoff {
        /// The first wait.
        base: Duration,
        /// The longest wait.
        cap: Duration,
        /// A connection that lasted so long makes the next wait `base` again.
        stable: Duration,
    },
}

/// When a silent TCP connection is given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TcpKeepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Between two probes.
    pub interval: Duration,
    /// Probes without an answer.
    pub count: u32,
}

/// `host[:port] ...`. An IPv6 address needs its port: what follows the last colon is one.
pub(super) fn addresses(words: &mut Words<'_>) -> Result<Vec<BridgeAddress>, Problem> {
    let mut addresses = Vec::new();
    while let Some(found) = words.next_or_comment() {
        let (host, port) = match found.rsplit_once(':') {
            None => (found, 1883),
            Some((host, port)) => match port.parse::<u16>() {
                Ok(port @ 1..) => (host, port),
                _ => return Err(bridge::invalid_port(port)),
            },
        };
        if host.is_empty() {
            return Err(bridge::address_without_host(found));
        }
        addresses.push(BridgeAddress { host: host.to_owned(), port });
    }
    if addresses.is_empty() {
        return Err(bridge::empty_address());
    }
    Ok(addresses)
}

/// `pattern [direction [qos [local-prefix [remote-prefix]]]]`.
pub(super) fn topic(name: &str, words: &mut Words<'_>) -> Result<BridgeTopic, Problem> {
    let pattern = pattern(name, words)?;
    let direction = match words.next().map(str::to_ascii_lowercase).as_deref() {
        None | Some("out") => Direction::Out,
        Some("in") => Direction::In,
        Some("both") => Direction::Both,
        Some(other) => return Err(bridge::invalid_direction(other)),
    };
    let qos = match words.next_or_comment() {
        None | Some("0") => 0,
        Some("1") => 1,
        Some("2") => 2,
        Some(other) => return Err(bridge::invalid_qos(other)),
    };
    let mut prefix = || words.next_or_comment().filter(|prefix| *prefix != "\"\"").map(str::to_owned);
    let topic = BridgeTopic { pattern, direction, qos, local_prefix: prefix(), remote_prefix: prefix() };
    check(&topic)?;
    Ok(topic)
}

/// The pattern may stand in quotes, and then hold blanks; `""` is none.
fn pattern(name: &str, words: &mut Words<'_>) -> Result<Option<String>, Problem> {
    let Some(quoted) = words.rest().strip_prefix('"') else {
        return Ok(Some(text::word(name, words)?.to_owned()));
    };
    let Some((pattern, rest)) = quoted.split_once('"') else {
        return Err(bridge::missing_quote(quoted));
    };
    *words = Words::new(rest);
    Ok(Some(pattern.to_owned()).filter(|pattern| !pattern.is_empty()))
}

fn check(topic: &BridgeTopic) -> Result<(), Problem> {
    let sides = [("local", &topic.local_prefix), ("remote", &topic.remote_prefix)];
    if topic.pattern.is_none() && sides.iter().any(|(_, prefix)| prefix.is_none()) {
        return Err(bridge::nothing_to_map());
    }
    let pattern = topic.pattern.as_deref().unwrap_or_default();
    for (side, prefix) in sides {
        let prefix = prefix.as_deref().unwrap_or_default();
        if !text::is_topic(prefix) {
            return Err(bridge::invalid_prefix(side, prefix));
        }
        let filter = format!("{prefix}{pattern}");
        if !text::is_topic_filter(&filter) {
            return Err(bridge::invalid_pattern(side, &filter));
        }
    }
    Ok(())
}

/// `seconds`, or `base cap [stable]`.
pub(super) fn restart_timeout(
    name: &str,
    words: &mut Words<'_>,
    notes: &mut Vec<Problem>,
) -> Result<RestartTimeout, Problem> {
    const BASE_MAX: i64 = 3600;
    const CAP_MAX: i64 = 7200;

    let found = number::parse(name, text::word(name, words)?)?;
    let base = found.clamp(1, BASE_MAX);
    if found < base {
        notes.push(word::too_low(name, found, base));
    } else if found > base {
        notes.push(word::too_high(name, found, base));
    }
    let Some(cap) = words.next_or_comment() else {
        return Ok(RestartTimeout::Constant(seconds(base)));
    };
    let found = number::parse(name, cap)?;
    if found < base {
        return Err(bridge::backoff_cap_below_base(found, base));
    }
    let cap = found.min(CAP_MAX);
    if found > cap {
        notes.push(bridge::backoff_cap_too_high(found, cap));
    }
    let stable = words.next_or_comment().map_or(Ok(0), |stable| number::parse(name, stable))?;
    if stable < 0 {
        return Err(bridge::negative_stable(stable));
    }
    Ok(RestartTimeout::Backoff { base: seconds(base), cap: seconds(cap), stable: seconds(stable) })
}

/// `idle interval count`.
pub(super) fn tcp_keepalive(words: &mut Words<'_>) -> Result<TcpKeepalive, Problem> {
    let mut positive = |what: &str| {
        let name = format!("bridge_tcp_keepalive_{what}");
        match number::parse(&name, text::word(&name, words)?)? {
            number @ 1.. => Ok(number),
            number => Err(bridge::invalid_tcp_keepalive(what, number)),
        }
    };
    let (idle, interval, count) = (positive("idle")?, positive("interval")?, positive("counter")?);
    Ok(TcpKeepalive {
        idle: seconds(idle),
        interval: seconds(interval),
        count: u32::try_from(count).unwrap_or(u32::MAX),
    })
}

/// A count of seconds that was checked not to be negative.
fn seconds(count: i64) -> Duration {
    Duration::from_secs(count.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<BridgeTopic, Problem> {
        topic("topic", &mut Words::new(line))
    }

    fn check_topic(line: &str, pattern: &str, direction: Direction, qos: u8, local: &str, remote: &str) {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (local_prefix, remote_prefix) = (text(local), text(remote));
        let expected = BridgeTopic { pattern: text(pattern), direction, qos, local_prefix, remote_prefix };
        assert_eq!(parsed(line), Ok(expected), "{line:?}");
    }

    #[test]
    fn topics() {
        check_topic("#", "#", Direction::Out, 0, "", "");
        check_topic("a/b  both", "a/b", Direction::Both, 0, "", "");
        check_topic("# IN 2 local/ remote/", "#", Direction::In, 2, "local/", "remote/");
        check_topic("# out 1 \"\" remote/ # why", "#", Direction::Out, 1, "", "remote/");
        check_topic("# out 1 local/ # remote/", "#", Direction::Out, 1, "local/", "");
        check_topic("# out # 1", "#", Direction::Out, 0, "", "");
        check_topic("\"a b/#\" in 1", "a b/#", Direction::In, 1, "", "");
        check_topic("\"a\"", "a", Direction::Out, 0, "", "");
        check_topic("\"\" out 0 from to", "", Direction::Out, 0, "from", "to");
    }

    #[test]
    fn no_topics() {
        assert_eq!(parsed(""), Err(word::empty("topic")));
        assert_eq!(parsed("\"a b"), Err(bridge::missing_quote("a b")));
        assert_eq!(parsed("a sideways"), Err(bridge::invalid_direction("sideways")));
        assert_eq!(parsed("a out 3"), Err(bridge::invalid_qos("3")));
        assert_eq!(parsed("a out x"), Err(bridge::invalid_qos("x")));
        assert_eq!(parsed("\"\" out 0 from"), Err(bridge::nothing_to_map()));
        assert_eq!(parsed("a out 0 +/ b"), Err(bridge::invalid_prefix("local", "+/")));
        assert_eq!(parsed("a out 0 b #/x"), Ok(parsed("a out 0 b").unwrap()));
        assert_eq!(parsed("a out 0 b c/#"), Err(bridge::invalid_prefix("remote", "c/#")));
        assert_eq!(parsed("# out 0 b"), Err(bridge::invalid_pattern("local", "b#")));
        assert_eq!(parsed("a#"), Err(bridge::invalid_pattern("local", "a#")));
    }

    #[test]
    fn address_lists() {
        let parsed = |line| addresses(&mut Words::new(line));
        let address = |host: &str, port| BridgeAddress { host: host.to_owned(), port };
        assert_eq!(
            parsed("a b:1  ::1:8883 # c"),
            Ok(vec![address("a", 1883), address("b", 1), address("::1", 8883)])
        );
        assert_eq!(parsed(""), Err(bridge::empty_address()));
        assert_eq!(parsed("# a"), Err(bridge::empty_address()));
        assert_eq!(parsed("a:0"), Err(bridge::invalid_port("0")));
        assert_eq!(parsed("a b:c"), Err(bridge::invalid_port("c")));
        assert_eq!(parsed(":1"), Err(bridge::address_without_host(":1")));
    }

    #[test]
    fn restart_timeouts() {
        let check = |line, expected: Result<RestartTimeout, Problem>, told: &[Problem]| {
            let mut notes = Vec::new();
            assert_eq!(
                restart_timeout("restart_timeout", &mut Words::new(line), &mut notes),
                expected,
                "{line:?}"
            );
            assert_eq!(notes, told, "{line:?}");
        };
        let constant = |count| Ok(RestartTimeout::Constant(seconds(count)));
        let backoff = |base, cap, stable| {
            Ok(RestartTimeout::Backoff { base: seconds(base), cap: seconds(cap), stable: seconds(stable) })
        };
        check("5", constant(5), &[]);
        check("5 # why", constant(5), &[]);
        check("0", constant(1), &[word::too_low("restart_timeout", 0, 1)]);
        check("4000", constant(3600), &[word::too_high("restart_timeout", 4000, 3600)]);
        check("5 30", backoff(5, 30, 0), &[]);
        check("5 30 60", backoff(5, 30, 60), &[]);
        check("5 8000", backoff(5, 7200, 0), &[bridge::backoff_cap_too_high(8000, 7200)]);
        check("5 4", Err(bridge::backoff_cap_below_base(4, 5)), &[]);
        check("5 30 -1", Err(bridge::negative_stable(-1)), &[]);
        check("", Err(word::empty("restart_timeout")), &[]);
        check("5 x", Err(word::not_a_number("restart_timeout", "x")), &[]);
    }

    #[test]
    fn tcp_keepalives() {
        let parsed = |line| tcp_keepalive(&mut Words::new(line));
        let expected = TcpKeepalive { idle: seconds(10), interval: seconds(20), count: 3 };
        assert_eq!(parsed("10 20 3"), Ok(expected));
        assert_eq!(parsed("10 20"), Err(word::empty("bridge_tcp_keepalive_counter")));
        assert_eq!(parsed("0 20 3"), Err(bridge::invalid_tcp_keepalive("idle", 0)));
        assert_eq!(parsed("1 x 3"), Err(word::not_a_number("bridge_tcp_keepalive_interval", "x")));
    }
}
