//! The flags, and the plan they and the scenario's preset make together.

use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, value_parser};
use noctule_client::Endpoint;
use noctule_client::protocol::{ProtocolVersion, QoS};

use super::fault::Fault;
use super::plan::Plan;
use super::scenario::{CUSTOM, End, Kind, SCENARIOS, Scenario, Shape};
use crate::connect_args::{Server, bytes, qos, switch, text, value};

const EXAMPLES: &str = "\
Examples:
  noctule bench p2p0                            how fast are ten pairs at QoS 0
  noctule bench p2p1 -V 5 --broker-pid 1234     the same at QoS 1 with MQTT 5, and what the broker spends on it
  noctule bench latency --rate 20000            how long messages take at 20 000 a second
  noctule bench idle --items 50000 --broker-pid 1234
  noctule bench --shape fan-out --subscribers 300 --payload 1000 --seconds 30
  noctule bench p2p0 | jq .deliveries_per_second

Every delivery is checked: a message that is lost, doubled, out of order or misrouted fails the run.
With -P other users of this machine can see the password in the process list.

Exit status: 0 all arrived, once and in order; 1 could not be run; 2 wrong flags; 3 some did not arrive as they should.";

/// A million connections need more memory than a machine for tests has.
const CONNECTIONS_MAX: u64 = 1_000_000;
/// So many the numbers in them tell apart.
const TOPICS_MAX: u64 = 1_000_000;
/// More publishes a second than that, no machine makes.
const RATE_MAX: u64 = 100_000_000;
/// MQTT allows 256 MiB with everything.
const PAYLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) fn define(command: clap::Command) -> clap::Command {
    command
        .disable_help_flag(true)
        .long_about(format!(
            "Load a broker and measure it.\n\nA scenario is a preset of the flags below, and each flag overrides it; without a \
             scenario the flags say it all.\n\n{}",
            scenario_list()
        ))
        .after_help(EXAMPLES)
        .arg(Arg::new("scenario").value_name("SCENARIO").help("One of the above"))
        .next_help_heading("Connection")
        .args(Server::args())
        .arg(
            value("protocol", Some('V'), "VERSION", "MQTT version: 3.1.1 or 5 [default: 3.1.1]")
                .value_parser(["3.1.1", "311", "mqttv311", "5", "5.0", "mqttv5"])
                .hide_possible_values(true)
                .visible_alias("protocol-version"),
        )
        .next_help_heading("Traffic")
        .arg(
            value("shape", None, "SHAPE", "Who hears whom: pairs, fan-out, fan-in, all or shared")
                .value_parser(Shape::ALL.map(Shape::name))
                .hide_possible_values(true),
        )
        .arg(number("publishers", "N", "How many publish", 1..=CONNECTIONS_MAX))
        .arg(number("subscribers", "N", "How many subscribe", 1..=CONNECTIONS_MAX))
        .arg(number("window", "N", "Messages published and not yet delivered, for each publisher", 1..=65_535))
        .arg(
            number("rate", "N", "Publish so many a second in all, however long they take, instead of --window", 1..=RATE_MAX)
                .conflicts_with("window"),
        )
        .arg(number("payload", "BYTES", "Length of each payload", 0..=PAYLOAD_BYTES_MAX))
        .arg(qos("QoS of messages and subscriptions"))
        .arg(
            value("subscribe-qos", None, "QOS", "QoS of subscriptions, if it is another")
                .value_parser(value_parser!(u8).range(0..=2)),
        )
        .arg(number("churn", "N", "Beside it, make and drop so many subscriptions a second", 1..=1_000_000))
        .arg(number("topics", "N", "Topics that each publisher goes round, in pairs; from 2 on subscribed to with a wildcard, and their order is checked across them", 1..=TOPICS_MAX))
        .next_help_heading("Amount")
        .arg(number("messages", "N", "Publish enough for so many deliveries", 1..=u64::MAX))
        .arg(
            number("seconds", "N", "Publish for so long; with idle, hold the connections so long", 1..=31_536_000)
                .conflicts_with("messages"),
        )
        .arg(number("items", "N", "Connections, filters, retained or queued messages of a scenario that is about those", 1..=100_000_000))
        .arg(number("connections", "N", "That hold the filters, or are offline", 1..=CONNECTIONS_MAX))
        .arg(switch("keep", None, "With retained and offline: store, then leave it all with the broker instead of reading it"))
        .next_help_heading("Measuring")
        .arg(number("broker-pid", "PID", "Measure CPU and memory of this process too", 1..=u64::from(u32::MAX)))
        .arg(number("stall-timeout", "SECONDS", "Give up when nothing has come for so long [default: 10]", 1..=86_400))
        .arg(value("topic-prefix", None, "TOPIC", "Begin all topics with this [default: bench]"))
        .arg(switch("json", None, "A line of JSON for each phase; without, if standard output is no terminal"))
        .arg(Arg::new("help").long("help").action(clap::ArgAction::Help).help("Show this help"))
}

fn number(
    name: &'static str,
    value_name: &'static str,
    help: &'static str,
    range: std::ops::RangeInclusive<u64>,
) -> Arg {
    value(name, None, value_name, help).value_parser(value_parser!(u64).range(range))
}

fn scenario_list() -> String {
    let mut list = "Scenarios:".to_owned();
    for scenario in SCENARIOS {
        list.push_str(&format!("\n  {:<18} {}", scenario.name, scenario.about));
    }
    list
}

/// What the command line asks for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) endpoint: Endpoint,
    pub(super) user_name: Option<String>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) plan: Plan,
    pub(super) broker_pid: Option<u32>,
    pub(super) json: bool,
}

impl Request {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, Fault> {
        let server = Server::read(matches).map_err(|failure| Fault::Usage(failure.sentence()))?;
        let plan = plan(matches)?;
        plan.check()?;
        let password = bytes(matches, "pw").or(server.password.map(String::into_bytes));
        if password.is_some() && server.user_name.is_none() && plan.protocol != ProtocolVersion::V5 {
            // [MQTT311-3.1.2-22]
            return Err(Fault::Usage(
                "-P needs a user name; give -u too, or -V 5, which knows a password without".to_owned(),
            ));
        }
        Ok(Self {
            endpoint: server.endpoint,
            user_name: server.user_name,
            password,
            plan,
            broker_pid: get(matches, "broker-pid").and_then(|pid| u32::try_from(pid).ok()),
            json: matches.get_flag("json"),
        })
    }
}

fn get(matches: &ArgMatches, name: &str) -> Option<u64> {
    matches.get_one::<u64>(name).copied()
}

fn size(matches: &ArgMatches, name: &str) -> Option<usize> {
    get(matches, name).and_then(|number| usize::try_from(number).ok())
}

fn level(matches: &ArgMatches, name: &str) -> Option<QoS> {
    matches.get_one::<u8>(name).and_then(|level| QoS::from_level(*level))
}

fn scenario(matches: &ArgMatches) -> Result<Scenario, Fault> {
    let Some(name) = matches.get_one::<String>("scenario") else { return Ok(CUSTOM) };
    Scenario::named(name).ok_or_else(|| {
        let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        Fault::Usage(format!("there is no scenario '{name}'; there are {}", names.join(", ")))
    })
}

/// Flags that mean nothing for a kind of scenario.
const fn idle_flags(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Traffic => &["items", "connections", "keep"],
        Kind::Idle => &[
            "shape",
            "publishers",
            "subscribers",
            "window",
            "rate",
            "payload",
            "churn",
            "topics",
            "messages",
            "connections",
            "keep",
        ],
        Kind::Connect => &[
            "shape",
            "publishers",
            "subscribers",
            "window",
            "rate",
            "payload",
            "churn",
            "topics",
            "messages",
            "seconds",
            "connections",
            "keep",
        ],
        Kind::Filters(_) => &["shape", "subscribers", "churn", "topics", "keep"],
        Kind::Retained => {
            &["shape", "subscribers", "rate", "churn", "topics", "messages", "seconds", "connections"]
        }
        Kind::Offline => &["shape", "subscribers", "rate", "churn", "topics", "messages", "seconds"],
    }
}

fn plan(matches: &ArgMatches) -> Result<Plan, Fault> {
    let preset = scenario(matches)?;
    let given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    if let Some(flag) = idle_flags(preset.kind).iter().find(|flag| given(flag)) {
        return Err(Fault::Usage(format!("--{flag} means nothing to the scenario {preset}")));
    }
    let shape = matches.get_one::<String>("shape").map(String::as_str);
    let shape = Shape::ALL.into_iter().find(|known| Some(known.name()) == shape).unwrap_or(preset.shape);
    let (publishers, subscribers) = match (size(matches, "publishers"), size(matches, "subscribers")) {
        (publishers, subscribers) if shape == Shape::Pairs => {
            let one = publishers.or(subscribers);
            (one.unwrap_or(preset.publishers), subscribers.or(one).unwrap_or(preset.subscribers))
        }
        (publishers, subscribers) => (
            publishers.unwrap_or(if shape == Shape::FanOut { 1 } else { preset.publishers }),
            subscribers.unwrap_or(if shape == Shape::FanIn { 1 } else { preset.subscribers }),
        ),
    };
    let qos = level(matches, "qos").unwrap_or(preset.qos);
    let rate = get(matches, "rate").or(preset.rate).filter(|_| !given("window"));
    let end = match (get(matches, "messages"), get(matches, "seconds")) {
        (Some(messages), _) => End::Messages(messages),
        (None, Some(seconds)) => End::Seconds(seconds),
        (None, None) => preset.end,
    };
    Ok(Plan {
        scenario: preset.name,
        kind: preset.kind,
        protocol: match matches.get_one::<String>("protocol").map(String::as_str) {
            Some("5" | "5.0" | "mqttv5") => ProtocolVersion::V5,
            // The parser knows no others.
            _ => ProtocolVersion::V311,
        },
        qos,
        subscribe_qos: level(matches, "subscribe-qos").or(preset.subscribe_qos).unwrap_or(qos),
        shape,
        publishers,
        subscribers,
        window: get(matches, "window").unwrap_or(preset.window),
        rate,
        payload_bytes: size(matches, "payload").unwrap_or(preset.payload_bytes),
        churn: get(matches, "churn").or(preset.churn),
        topics: get(matches, "topics").unwrap_or(preset.topics),
        end,
        items: get(matches, "items").unwrap_or(preset.items),
        connections: size(matches, "connections").unwrap_or(preset.connections),
        is_kept: matches.get_flag("keep"),
        topic_prefix: text(matches, "topic-prefix").unwrap_or_else(|| "bench".to_owned()),
        stall_max: Duration::from_secs(get(matches, "stall-timeout").unwrap_or(10)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Request, String> {
        let words = [&["bench"], words].concat();
        let matches = define(clap::Command::new("bench")).try_get_matches_from(words);
        Request::read(&matches.map_err(|error| error.to_string())?).map_err(|fault| fault.to_string())
    }

    fn plan(words: &[&str]) -> Plan {
        read(words).unwrap().plan
    }

    #[test]
    fn a_name_is_a_preset_that_flags_override() {
        let preset = plan(&["p2p1"]);
        assert_eq!((preset.publishers, preset.window, preset.qos), (10, 100, QoS::AtLeastOnce));
        assert_eq!(preset.subscribe_qos, QoS::AtLeastOnce);
        let flags = ["p2p1", "--publishers", "3", "--window", "7", "-q", "2", "--payload", "99"];
        let changed = plan(&flags);
        assert_eq!((changed.publishers, changed.subscribers, changed.window), (3, 3, 7));
        assert_eq!((changed.qos, changed.subscribe_qos), (QoS::ExactlyOnce, QoS::ExactlyOnce));
        assert_eq!((changed.payload_bytes, changed.end), (99, End::Messages(2_000_000)));
    }

    #[test]
    fn the_same_can_be_said_without_a_name() {
        let named = plan(&["fanout1"]);
        let mut free =
            plan(&["--shape", "fan-out", "--subscribers", "100", "-q", "1", "--messages", "5000000"]);
        free.scenario = named.scenario;
        assert_eq!(named, free);
        assert_eq!(plan(&["--shape", "fan-in", "--publishers", "5"]).subscribers, 1);
        assert_eq!(plan(&["--subscribers", "4"]).publishers, 4);
    }

    #[test]
    fn an_open_loop_is_turned_on_and_off() {
        assert_eq!(plan(&["latency"]).rate, Some(5000));
        assert_eq!(plan(&["latency", "--window", "3"]).rate, None);
        assert_eq!(plan(&["p2p0", "--rate", "77"]).rate, Some(77));
        assert!(read(&["p2p0", "--rate", "77", "--window", "3"]).is_err());
        assert_eq!(plan(&["p2p0", "--seconds", "3"]).end, End::Seconds(3));
    }

    #[test]
    fn versions_have_mosquittos_names_too() {
        for (name, version) in [
            ("3.1.1", ProtocolVersion::V311),
            ("311", ProtocolVersion::V311),
            ("mqttv311", ProtocolVersion::V311),
            ("5", ProtocolVersion::V5),
            ("mqttv5", ProtocolVersion::V5),
        ] {
            assert_eq!(plan(&["-V", name]).protocol, version);
            assert_eq!(plan(&["--protocol", name]).protocol, version);
        }
        assert!(read(&["-V", "4"]).is_err());
    }

    #[test]
    fn where_the_broker_is() {
        let request = read(&["p2p0", "--url", "mqtt://joe:secret@there:99"]).unwrap();
        assert_eq!(request.endpoint, Endpoint::new("there", 99));
        assert_eq!(request.user_name.as_deref(), Some("joe"));
        assert_eq!(request.password.as_deref(), Some(&b"secret"[..]));
        let request = read(&["-h", "::1", "-p", "1884", "--broker-pid", "5"]).unwrap();
        assert_eq!((request.endpoint, request.broker_pid), (Endpoint::new("::1", 1884), Some(5)));
        assert!(read(&["-P", "secret"]).unwrap_err().contains("user name"));
    }

    #[test]
    fn mistakes_are_told() {
        let message = |words: &[&str]| read(words).unwrap_err();
        let unknown = message(&["p2p3"]);
        for scenario in SCENARIOS {
            assert!(unknown.contains(scenario.name), "{unknown}");
        }
        assert!(message(&["p2p0", "--payload", "23"]).contains("24"));
        assert!(message(&["many0", "--payload", "67108864"]).contains("1000 clients"));
        assert_eq!(plan(&["p2p0", "--payload", "67108864"]).payload_bytes, 64 << 20);
        assert!(
            message(&["idle", "--payload", "99"]).contains("--payload means nothing to the scenario idle")
        );
        assert!(message(&["filters", "--topics", "9"]).contains("--topics"));
        assert!(message(&["fanout0", "--topics", "9"]).contains("pairs"));
        assert!(message(&["p2p0", "--items", "9"]).contains("--items"));
        assert!(message(&["--publishers", "2", "--subscribers", "3"]).contains("as many"));
        assert!(message(&["filters", "--connections", "2"]).contains("3"));
        assert!(message(&["filters", "--items", "2000001"]).contains("2000000"));
        assert!(message(&["p2p0", "--topic-prefix", "a/#"]).contains("a/#"));
        assert!(message(&["offline", "--connections", "9", "--publishers", "10"]).contains("sessions"));
    }
}
