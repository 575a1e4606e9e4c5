//! `acl_file`: what each client may publish and gets to see. Every question is asked of Debian's Mosquitto too.

use std::collections::BTreeMap;
use std::path::Path;

use e2e::packet::{self, Version};
use e2e::{Broker, Wire, environment};

const CONFIG: &str = "listener PORT 127.0.0.1\nallow_anonymous true\nacl_file DIR/acl";

/// `end` is for everybody, so that it can be told when nothing more comes.
const RULES: &str = "\
# Who gives no name.
topic read open/#
topic deny open/secret

user root
topic readwrite #

user alice
topic a/#
topic read r/+
topic write w/#
topic deny a/deny/#
topic read blank/with a blank

user bob smith
topic read #
topic deny a/#
topic write $SYS/none

user nobody

pattern readwrite own/%u/#
pattern write id/%c
pattern read both/%c/%u/+
pattern readwrite end
";

const USERS: [Option<&str>; 5] = [None, Some("alice"), Some("bob smith"), Some("nobody"), Some("stranger")];

const TOPICS: [&str; 20] = [
    "open/x",
    "open",
    "open/secret",
    "a/x",
    "a",
    "a/deny/x",
    "a/deny",
    "b",
    "r/x",
    "r/x/y",
    "w/x",
    "blank/with a blank",
    "own/alice/x",
    "own/alice",
    "own/bob smith/x",
    "own/stranger/x",
    "id/asks",
    "id/other",
    "both/asks/alice/x",
    "both/asks/alice/x/y",
];

/// CONNECT of a clean session, with a User Name and a Will (topic) if given.
fn connect(version: Version, client_id: &str, user: Option<&str>, will: Option<&str>) -> Vec<u8> {
    let flags = 2 | if user.is_some() { 0x80 } else { 0 } | if will.is_some() { 0x0c } else { 0 };
    let is_v5 = version == Version::V5;
    let properties = || is_v5.then_some(0).into_iter();
    let mut body = packet::string("MQTT");
    body.extend([version as u8, flags, 0, 60]);
    body.extend(properties());
    body.extend(packet::string(client_id));
    if let Some(topic) = will {
        body.extend(properties());
        body.extend(packet::string(topic));
        body.extend(packet::string("will"));
    }
    body.extend(user.map(packet::string).unwrap_or_default());
    packet::packet(0x10, &body)
}

#[track_caller]
fn client(
    broker: &Broker,
    version: Version,
    client_id: &str,
    user: Option<&str>,
    will: Option<&str>,
) -> Wire {
    let mut wire = Wire::open(broker, version, &connect(version, client_id, user, will));
    let (first_byte, body) = wire.packet();
    assert!(first_byte == 0x20 && body[1] == 0, "CONNACK refuses {user:?}");
    wire
}

/// The topics of the messages that come before the one to `end`.
fn topics_until_end(wire: &mut Wire) -> Vec<String> {
    let mut topics = Vec::new();
    loop {
        let (first_byte, body) = wire.packet();
        assert_eq!(first_byte >> 4, 3, "a PUBLISH");
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8_lossy(&body[2..2 + length]).into_owned();
        if topic == "end" {
            return topics;
        }
        topics.push(topic);
    }
}

/// What a broker answered: the question, and what came of it.
type Answers = BTreeMap<String, String>;

/// Every user asks for every topic, in every way.
fn answers(broker: &Broker, wills: bool) -> Answers {
    let mut answers = Answers::new();
    let mut root = client(broker, Version::V4, "root", Some("root"), None);
    let mut watcher = client(broker, Version::V4, "watcher", Some("root"), None);
    watcher.subscribe("#", 0);
    for version in [Version::V4, Version::V5] {
        for user in USERS {
            let mut tell = |topic: &str, what: &str, answer: String| {
                answers.insert(format!("{version:?} {user:?} {topic} {what}"), answer);
            };
            let mut asks = client(broker, version, "asks", user, None);
            for (topic, id) in TOPICS.iter().zip(1..) {
                // Published with QoS 1: the answer, and whether it arrives.
                asks.send(&packet::publish(version, topic, 1, id, b"x"));
                let (first_byte, body) = asks.packet();
                assert_eq!(first_byte, 0x40, "PUBACK");
                // 0x10 says that nobody has subscribed, which is so for what is dropped.
                let code = body.get(2).copied().unwrap_or(0) & !0x10;
                asks.publish("end", b"");
                let arrives = !topics_until_end(&mut watcher).is_empty();
                tell(topic, "write", format!("{code:#04x} arrives: {arrives}"));
            }
            asks.subscribe("#", 0);
            for topic in TOPICS {
                root.publish(topic, b"x");
            }
            root.publish("end", b"");
            let read = topics_until_end(&mut asks);
            topics_until_end(&mut watcher);
            for topic in TOPICS {
                tell(topic, "read", read.iter().any(|read| read == topic).to_string());
            }
            drop(asks);
            // Retained by somebody who may: what comes with the subscription.
            for topic in TOPICS {
                root.send(&retained(topic, b"x"));
            }
            root.ping();
            let mut asks = client(broker, version, "asks", user, None);
            asks.subscribe("#", 0);
            // What is retained comes behind the SUBACK, and in no time.
            root.publish("end", b"");
            let read = topics_until_end(&mut asks);
            topics_until_end(&mut watcher);
            for topic in TOPICS {
                tell(topic, "retained", read.iter().any(|read| read == topic).to_string());
                root.send(&retained(topic, b""));
            }
            root.publish("end", b"");
            topics_until_end(&mut watcher);
            topics_until_end(&mut asks);
            drop(asks);
            for topic in TOPICS.iter().filter(|_| wills) {
                let mortal = client(broker, version, "asks", user, Some(topic));
                drop(mortal);
                // Its successor takes over what is left, so by then the will is out.
                client(broker, version, "asks", user, None).publish("end", b"");
                let arrives = !topics_until_end(&mut watcher).is_empty();
                tell(topic, "will", arrives.to_string());
            }
        }
    }
    answers
}

fn retained(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = packet::publish(Version::V4, topic, 0, 0, payload);
    bytes[0] |= 1;
    bytes
}

fn started(program: &Path, more: &str) -> Broker {
    Broker::with_files(program, &format!("{CONFIG}\n{more}"), &[("acl", RULES)])
}

#[test]
fn rules_mean_what_they_mean_to_debians_broker() {
    let theirs = answers(&started(&environment::debian_mosquitto(), ""), true);
    let ours = answers(&started(environment::broker(), "worker_threads 1"), true);
    agree(&theirs, &ours);
    // Of several shards nobody is bound to publish a will before another client's next message.
    let ours_of_three = answers(&started(environment::broker(), "worker_threads 3"), false);
    agree(
        &theirs.clone().into_iter().filter(|(question, _)| !question.ends_with(" will")).collect(),
        &ours_of_three,
    );
    // That both say the same is worth nothing if both say nothing.
    for (question, answer) in [
        ("V4 None open/x read", "true"),
        ("V4 None open/secret retained", "false"),
        ("V5 Some(\"alice\") a/x write", "0x00 arrives: true"),
        ("V5 Some(\"alice\") a/deny/x write", "0x87 arrives: false"),
        ("V4 Some(\"alice\") b write", "0x00 arrives: false"),
        ("V4 Some(\"alice\") r/x write", "0x00 arrives: false"),
        ("V5 Some(\"alice\") r/x read", "true"),
        ("V4 Some(\"alice\") w/x will", "true"),
        ("V4 Some(\"alice\") a/deny/x will", "false"),
        ("V5 Some(\"bob smith\") b read", "true"),
        ("V5 Some(\"bob smith\") own/bob smith/x write", "0x00 arrives: true"),
        ("V5 Some(\"stranger\") own/stranger/x retained", "true"),
        ("V5 Some(\"stranger\") id/asks write", "0x00 arrives: true"),
        ("V5 Some(\"stranger\") a/x read", "false"),
    ] {
        assert_eq!(ours.get(question).map(String::as_str), Some(answer), "{question}");
    }
}

#[track_caller]
fn agree(theirs: &Answers, ours: &Answers) {
    let differences: Vec<_> = theirs
        .iter()
        .filter(|(question, answer)| ours.get(*question) != Some(answer))
        .map(|(question, answer)| format!("{question}: theirs {answer}, ours {:?}", ours.get(question)))
        .collect();
    assert!(differences.is_empty() && ours.len() == theirs.len(), "{}", differences.join("\n"));
}

#[test]
fn a_reload_gives_and_takes_rights_of_who_is_connected() {
    let broker = started(environment::broker(), "worker_threads 3");
    let mut alice = client(&broker, Version::V5, "alice", Some("alice"), None);
    let mut stranger = client(&broker, Version::V5, "stranger", Some("stranger"), None);
    let mut root = client(&broker, Version::V4, "root", Some("root"), None);
    alice.subscribe("#", 0);
    stranger.subscribe("#", 0);
    let mut sees = |who: &mut Wire, topic: &str| {
        root.publish(topic, b"x");
        root.publish("end", b"");
        topics_until_end(who) == [topic]
    };
    assert!(sees(&mut alice, "a/x"));
    topics_until_end(&mut stranger);
    assert!(!sees(&mut stranger, "a/x"));
    topics_until_end(&mut alice);

    broker
        .write("acl", "user root\ntopic readwrite #\nuser stranger\ntopic readwrite a/#\npattern read end\n");
    broker.hang_up();
    assert!(sees(&mut stranger, "a/x"));
    topics_until_end(&mut alice);
    assert!(!sees(&mut alice, "a/x"));
    topics_until_end(&mut stranger);
    for (who, code) in [(&mut alice, 0x87), (&mut stranger, 0)] {
        who.send(&packet::publish(Version::V5, "a/y", 1, 1, b"x"));
        loop {
            let (first_byte, body) = who.packet();
            if first_byte == 0x40 {
                assert_eq!(body.get(2).copied().unwrap_or(0), code);
                break;
            }
        }
    }

    // A mistake leaves everything as it is, and without the file everybody may do everything.
    broker.write("acl", "user root\ntopic readwrite #/\n");
    assert!(broker.hang_up().contains("acl:2: `#/` is no topic filter"));
    broker.rewrite("listener PORT 127.0.0.1\nallow_anonymous true");
    broker.hang_up();
    stranger.send(&packet::publish(Version::V5, "b", 1, 2, b"x"));
    let codes = std::iter::from_fn(|| Some(stranger.packet()));
    let (_, body) = codes.into_iter().find(|(first_byte, _)| *first_byte == 0x40).expect("a PUBACK");
    assert_eq!(body.get(2).copied().unwrap_or(0), 0);
}

#[test]
fn the_log_tells_what_surprises() {
    let broker = Broker::with_config("listener PORT 127.0.0.1");
    let told = broker.process().errors();
    for part in
        ["Every client is refused at port ", "broker.conf:1", "'password_file'", "'allow_anonymous true'"]
    {
        assert!(told.contains(part), "{part:?} is missing in {told}");
    }
    broker.write("acl", "pattern readwrite #\n");
    broker.rewrite("listener PORT 127.0.0.1\nallow_anonymous true\nacl_file DIR/acl");
    let told = broker.hang_up();
    for part in ["`pattern #` has neither `%c` nor `%u`", "Every user of this machine can read"] {
        assert!(told.contains(part), "{part:?} is missing in {told}");
    }
    assert!(!told.contains("Every client is refused"), "{told}");
}
