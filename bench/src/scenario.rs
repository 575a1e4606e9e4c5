//! THE table of what is measured and of the bars it is held to. `noctule bench` knows how each one is made.

use std::fmt;
use std::str::FromStr;

/// One pattern of load.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What the load does, for the table.
    pub(crate) about: &'static str,
    pub(crate) group: Group,
    /// Whether the relay can do it.
    pub(crate) has_ceiling: bool,
    pub(crate) bars: &'static [Bar],
}

/// Scenarios that are shown in one table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Group {
    /// Messages on their way: CPU per delivery.
    Traffic,
    /// Open loop: how late they come.
    Latency,
    /// What the broker holds: bytes and CPU per item.
    State,
    /// The same, for brokers that keep it on a disk.
    Durable,
}

/// What ours is held to in one phase.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) phase: &'static str,
    pub(crate) limit: Limit,
}

/// CPU is seconds per million deliveries, which is also microseconds per item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    /// Times the relay's CPU in the same run.
    TimesCeiling(f64),
    /// CPU.
    Cpu(f64),
    /// Resident bytes per item.
    Bytes(f64),
    /// Times the CPU of another scenario with the same broker in the same run.
    TimesScenario(&'static str, f64),
    /// Times the CPU of one shard, for several shards on the same core.
    TimesOneShard(f64),
    /// Neither p50 nor p99 worse than Mosquitto's in the same run.
    LatencyOfMosquitto,
    /// p50 at most this many microseconds above one shard's, for several shards.
    AboveOneShard(f64),
}

use Group::{Durable, Latency, State, Traffic};
use Limit::{AboveOneShard, Bytes, Cpu, LatencyOfMosquitto, TimesCeiling, TimesOneShard, TimesScenario};

const fn bar(phase: &'static str, limit: Limit) -> Bar {
    Bar { phase, limit }
}

const fn row(
    name: &'static str,
    about: &'static str,
    group: Group,
    has_ceiling: bool,
    bars: &'static [Bar],
) -> Scenario {
    Scenario { name, about, group, has_ceiling, bars }
}

/// What `noctule bench churn` does unless told otherwise.
const CHURNED_PER_SECOND: f64 = 5000.0;

/// In the order of the tables.
pub(crate) const SCENARIOS: &[Scenario] = &[
    row(
        "p2p0",
        "10 pairs, window 1000, QoS 0",
        Traffic,
        true,
        &[bar("traffic", TimesCeiling(3.5)), bar("traffic", TimesOneShard(1.15))],
    ),
    row("p2p1", "10 pairs, 100 in flight, QoS 1", Traffic, true, &[bar("traffic", TimesCeiling(2.5))]),
    row("p2p2", "10 pairs, 100 in flight, QoS 2", Traffic, true, &[bar("traffic", TimesCeiling(2.2))]),
    row(
        "many0",
        "500 pairs, window 4, QoS 0",
        Traffic,
        true,
        &[bar("traffic", TimesCeiling(1.25)), bar("traffic", TimesOneShard(1.4))],
    ),
    row(
        "one0",
        "500 pairs, window 1, QoS 0",
        Traffic,
        true,
        &[bar("traffic", TimesCeiling(1.2)), bar("traffic", TimesOneShard(1.6))],
    ),
    row(
        "fanout0",
        "1 to 100, window 100, QoS 0",
        Traffic,
        true,
        &[bar("traffic", TimesCeiling(1.6)), bar("traffic", TimesOneShard(1.15))],
    ),
    row("fanout0-1000", "1 to 1000, window 20, QoS 0", Traffic, true, &[bar("traffic", TimesCeiling(1.6))]),
    row("fanout1", "1 to 100, QoS 1", Traffic, true, &[bar("traffic", TimesCeiling(1.6))]),
    row("fanin0", "100 to 1, window 100, QoS 0", Traffic, true, &[bar("traffic", TimesCeiling(3.0))]),
    row("big0", "10 pairs, 16 KiB, window 64, QoS 0", Traffic, true, &[bar("traffic", TimesCeiling(1.3))]),
    row(
        "shared0",
        "100 to a shared subscription of 10, window 100",
        Traffic,
        false,
        &[bar("traffic", Cpu(0.3))],
    ),
    row(
        "churn",
        "`p2p0` beside 5000 subscriptions made and dropped a second",
        Traffic,
        false,
        &[bar("traffic", TimesScenario("p2p0", 1.5))],
    ),
    row(
        "topics0",
        "`p2p0`, each publisher going round 16 topics, its subscriber with a wildcard",
        Traffic,
        false,
        &[],
    ),
    row(
        "latency",
        "50 pairs, 5000 messages a second in all, QoS 0",
        Latency,
        true,
        &[bar("traffic", LatencyOfMosquitto), bar("traffic", AboveOneShard(60.0))],
    ),
    row("idle", "10 000 connections with a subscription each", State, false, &[bar("idle", Bytes(700.0))]),
    row("connect", "connect and subscribe", State, false, &[bar("connect", Cpu(25.0))]),
    row(
        "filters",
        "100 000 mixed wildcard filters",
        State,
        false,
        &[bar("subscribe", Bytes(200.0)), bar("subscribe", Cpu(2.0)), bar("deliver", Cpu(0.8))],
    ),
    row(
        "filters-1m",
        "1 000 000 mixed wildcard filters",
        State,
        false,
        &[bar("subscribe", Bytes(200.0)), bar("subscribe", Cpu(2.0)), bar("deliver", Cpu(0.8))],
    ),
    row(
        "filters-device",
        "100 000 filters, a device each",
        State,
        false,
        &[bar("subscribe", Bytes(350.0)), bar("subscribe", Cpu(2.0)), bar("deliver", Cpu(0.8))],
    ),
    row(
        "filters-device-1m",
        "1 000 000 filters, a device each",
        State,
        false,
        &[bar("subscribe", Bytes(350.0)), bar("subscribe", Cpu(2.0)), bar("deliver", Cpu(0.8))],
    ),
    row(
        "retained",
        "200 000 retained messages, QoS 1",
        State,
        false,
        &[bar("store", Bytes(250.0)), bar("store", Cpu(1.5)), bar("deliver", Cpu(0.7))],
    ),
    row(
        "offline",
        "100 sessions, 1000 messages each, QoS 1",
        State,
        false,
        &[bar("queue", Bytes(200.0)), bar("queue", Cpu(0.8)), bar("drain", Cpu(0.5))],
    ),
    row("offline-fanout", "100 messages for each of 1000 sessions, QoS 1", Durable, false, &[]),
];

impl Scenario {
    /// Whether it can be told how many deliveries to make; other scenarios of state deliver what they have stored.
    pub(crate) fn has_messages(&self) -> bool {
        !matches!(self.group, State | Durable) || self.name.starts_with("filters")
    }
}

/// Options that leave a scenario what its bars were set for.
const HARMLESS: &[&str] = &["protocol", "messages", "seconds"];

/// A scenario with flags for `noctule bench`, as the user names it.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) scenario: &'static Scenario,
    /// Without their dashes.
    pub(crate) flags: Vec<(String, String)>,
}

/// One scenario, or all of a group.
#[derive(Clone, Debug)]
pub(crate) struct Choice(pub(crate) Vec<Chosen>);

impl FromStr for Choice {
    type Err = String;

    /// `NAME` or `NAME:FLAG=VALUE,…`; `traffic`, `state` and `all` are many.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let mut flags = Vec::new();
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option
                .split_once('=')
                .ok_or_else(|| format!("`{option}` is no option: write FLAG=VALUE behind the colon"))?;
            flags.push((key.to_owned(), value.to_owned()));
        }
        let chosen: Vec<_> = SCENARIOS
            .iter()
            .filter(|scenario| match name {
                "all" => scenario.group != Durable,
                "traffic" => scenario.group == Traffic,
                "state" => scenario.group == State,
                _ => scenario.name == name,
            })
            .map(|scenario| Chosen { scenario, flags: flags.clone() })
            .collect();
        if chosen.is_empty() {
            let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            return Err(format!("no such scenario; there are all, traffic, state, {}", names.join(", ")));
        }
        Ok(Self(chosen))
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scenario.name)?;
        for (key, value) in &self.flags {
            match key.as_str() {
                "protocol" => write!(f, ", MQTT {value}")?,
                _ => write!(f, ", {key} {value}")?,
            }
        }
        Ok(())
    }
}

impl Chosen {
    pub(crate) fn flag(&self, key: &str) -> Option<&str> {
        self.flags.iter().find(|(flag, _)| flag == key).map(|(_, value)| value.as_str())
    }

    /// Subscriptions that the load makes and drops beside its messages, if it does.
    pub(crate) fn churned_per_second(&self) -> Option<f64> {
        match self.flag("churn") {
            Some(flag) => flag.parse().ok(),
            None => (self.scenario.name == "churn").then_some(CHURNED_PER_SECOND),
        }
    }

    pub(crate) fn protocol_level(&self) -> u8 {
        if self.flag("protocol").is_some_and(|value| value.trim_start_matches("mqttv").starts_with('5')) {
            5
        } else {
            4
        }
    }

    /// Its bars in a phase; none for a load they were not set for.
    pub(crate) fn limits(&self, phase: &str) -> impl Iterator<Item = Limit> {
        let changed = self.flags.iter().any(|(key, _)| !HARMLESS.contains(&key.as_str()));
        self.scenario
            .bars
            .iter()
            .filter(move |bar| bar.phase == phase && (!changed || matches!(bar.limit, AboveOneShard(_))))
            .map(|bar| bar.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_a_name_with_flags() {
        let Choice(chosen) = "p2p1:protocol=5,seconds=1".parse().unwrap();
        let [p2p1] = &chosen[..] else { panic!("{chosen:?}") };
        assert_eq!(p2p1.to_string(), "p2p1, MQTT 5, seconds 1");
        assert_eq!(p2p1.protocol_level(), 5);
        assert_eq!(p2p1.limits("traffic").collect::<Vec<_>>(), [TimesCeiling(2.5)]);
        assert!("p2p3".parse::<Choice>().is_err());
        let durable = SCENARIOS.iter().filter(|scenario| scenario.group == Durable).count();
        assert_eq!("all".parse::<Choice>().unwrap().0.len(), SCENARIOS.len() - durable);
    }

    #[test]
    fn another_load_has_no_bar() {
        let Choice(chosen) = "p2p0:payload=1000".parse().unwrap();
        assert_eq!(chosen[0].limits("traffic").count(), 0);
    }
}
