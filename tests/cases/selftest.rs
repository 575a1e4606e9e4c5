//! `noctule selftest`: our broker keeps to the standard, case by case; and what Debian's Mosquitto is known to do
//! otherwise, the cases find, all of it and no more.

use e2e::Broker;
use e2e::clients::noctule;
use e2e::port::Port;
use e2e::program::Finished;

/// What does not apply to our broker, and why.
const NOT_APPLICABLE: &[&str] = &[
    // They are about a broker that offers less.
    "not applicable: 1 case: the server supports every will",
    "not applicable: 1 case: the server supports every QoS",
];

/// The known deviations of Mosquitto 2.0.11, as the heads of what `selftest` prints.
const OF_DEBIANS_MOSQUITTO: &[&str] = &[
    // It closes the older connection without a word.
    "MQTT 5.0  connect: a client with an identifier that is connected takes its place; the older one is told 0x8E",
    // It does not look at the data of a method it was not given.
    "MQTT 5.0  connect properties: Authentication Data without Authentication Method is refused",
    // It checks neither the values of Will Properties, nor whether one stands twice.
    "MQTT 5.0  connect properties: Will Properties with a mistake are refused",
    // It forgets a will that waits, when Clean Start ends the session.
    "MQTT 5.0  will: the will is published when the session ends before the Will Delay Interval has passed",
    // It takes them as if DUP were not set.
    "MQTT 3.1.1  publish: PUBLISH of QoS 0 with DUP ends the connection",
    "MQTT 5.0  publish: PUBLISH of QoS 0 with DUP ends the connection",
    // It ignores the property.
    "MQTT 5.0  publish properties: PUBLISH with a Subscription Identifier ends the connection",
    // It does not look into them, and passes them on.
    "MQTT 5.0  publish properties: a Response Topic with a wildcard ends the connection",
    "MQTT 5.0  publish properties: Payload Format Indicator is 0 or 1",
    // It takes the second one for a mistake.
    "MQTT 3.1.1  qos received: a message of QoS 2 that comes again before PUBREL is acknowledged again, and delivered once",
    "MQTT 5.0  qos received: a message of QoS 2 that comes again before PUBREL is acknowledged again, and delivered once",
    // It looks at neither the flags nor the codes of acknowledgements.
    "MQTT 3.1.1  qos received: PUBACK, PUBREC or PUBCOMP with reserved bits in its first byte ends the connection",
    "MQTT 5.0  qos received: PUBACK, PUBREC or PUBCOMP with reserved bits in its first byte ends the connection",
    "MQTT 5.0  qos received: an acknowledgement with a Reason Code that it does not have ends the connection",
    // It drops it.
    "MQTT 5.0  qos sent: a message of QoS 2 that was sent comes again on the next connection even if it has expired",
    // Without `allow_duplicate_messages` it delivers for the first subscription it finds, not for the highest QoS.
    "MQTT 3.1.1  subscribe: overlapping subscriptions: the message comes at the highest QoS of them",
    // It accepts the subscription, and ignores No Local.
    "MQTT 5.0  subscribe: No Local on a shared subscription is a Protocol Error",
    // It answers PINGREQ without looking at its flags and length.
    "MQTT 3.1.1  ping: PINGREQ with a reserved bit in its first byte ends the connection",
    "MQTT 5.0  ping: PINGREQ with a reserved bit in its first byte ends the connection",
    "MQTT 3.1.1  ping: PINGREQ with a body ends the connection",
    "MQTT 5.0  ping: PINGREQ with a body ends the connection",
    // Its bridges receive PINGRESP, and so it takes it from everybody.
    "MQTT 3.1.1  ping: a packet that only servers send ends the connection",
    "MQTT 5.0  ping: a packet that only servers send ends the connection",
    // Any code will do.
    "MQTT 5.0  disconnect: DISCONNECT with a code that does not exist ends the connection as a mistake: the will is published",
    // It takes an empty one.
    "MQTT 5.0  shared subscription: SUBSCRIBE with a ShareName that is none ends the connection",
    // After an acknowledgement it sends one message too many.
    "MQTT 5.0  flow control: no more messages of QoS 1 are in flight to a client than its Receive Maximum; an acknowledgement makes room for the next",
    // What is too large for a client stays in flight to it for ever, and takes room.
    "MQTT 5.0  flow control: a message that is larger than the client's Maximum Packet Size is not sent to it, and counts as delivered",
    // It forgets to count the first byte.
    "MQTT 5.0  flow control: a message of exactly the client's Maximum Packet Size is sent, one byte more is not",
    // It reads them.
    "MQTT 5.0  malformed: a Remaining Length with more bytes than it needs ends the connection",
];

fn selftest(port: u16, args: &str) -> Finished {
    noctule("selftest", port, args).run()
}

/// The lines that begin so.
fn lines(finished: &Finished, begin: &str) -> Vec<String> {
    finished.lines().into_iter().filter(|line| line.starts_with(begin)).collect()
}

fn is_clean(config: &str) {
    let broker = Broker::start(config);
    let finished = selftest(broker.port(), "--timeout 20");
    finished.succeeds();
    assert_eq!(lines(&finished, "not applicable"), NOT_APPLICABLE);
}

#[test]
fn our_broker_keeps_to_the_standard_with_one_shard() {
    is_clean("worker_threads 1");
}

#[test]
fn our_broker_keeps_to_the_standard_with_two_shards() {
    is_clean("worker_threads 2");
}

/// The cases believe a broker that says what it does not offer.
#[test]
fn a_broker_that_offers_less_is_clean_too() {
    let broker = Broker::start(
        "max_qos 0\nretain_available false\nmax_topic_alias 0\nmax_packet_size 1000\nallow_zero_length_clientid false",
    );
    let finished = selftest(broker.port(), "--timeout 20");
    finished.succeeds();
    let reasons = lines(&finished, "not applicable");
    for reason in [
        "announces Maximum QoS 0",
        "announces Retain Available 0",
        "announces no Topic Alias Maximum",
        "announces a smaller Maximum Packet Size",
        "wants a Client Identifier",
    ] {
        assert!(reasons.iter().any(|line| line.contains(reason)), "{reason}: {reasons:#?}");
    }
}

/// Cases that send more than the server takes have nothing to say about it.
#[test]
fn a_broker_that_takes_small_packets_is_clean_too() {
    for size in [300, 100] {
        let broker = Broker::start(&format!("max_packet_size {size}"));
        let finished = selftest(broker.port(), "--timeout 20");
        finished.succeeds();
        let reason = format!("the server announces Maximum Packet Size {size}, the case needs");
        let reasons = lines(&finished, "not applicable");
        assert!(reasons.iter().any(|line| line.contains(&reason)), "{size}: {reasons:#?}");
    }
}

#[test]
fn a_broker_with_little_room_is_clean_too() {
    let broker = Broker::start("max_inflight_messages 1\nmax_qos 1");
    selftest(broker.port(), "--timeout 6").succeeds();
}

#[test]
fn what_debians_mosquitto_does_otherwise_is_found() {
    let broker = Broker::debian("");
    let finished = selftest(broker.port(), "--timeout 6");
    finished.exits_with(1);
    assert_eq!(lines(&finished, "MQTT "), OF_DEBIANS_MOSQUITTO);
}

#[test]
fn a_run_leaves_nothing_behind() {
    let broker = Broker::start("");
    selftest(broker.port(), "--timeout 20 --only 3.3 --only will").succeeds();
    let subscriber = broker.subscriber("-t # -C 1");
    broker.mosquitto_pub("-t marker -m x").run().succeeds();
    subscriber.receives(&["marker 0 0 x"]);
}

#[test]
fn cases_can_be_chosen_and_read_by_programs() {
    let broker = Broker::start("");
    let finished = selftest(broker.port(), "--timeout 20 --only 3.12.4 --json");
    finished.prints(&[
        r#"{"mqtt":"3.1.1","outcome":"passed","section":"ping","statements":["MQTT311-3.12.4-1"],"title":"PINGREQ is answered by PINGRESP, each one"}"#,
        r#"{"mqtt":"5.0","outcome":"passed","section":"ping","statements":["MQTT-3.12.4-1"],"title":"PINGREQ is answered by PINGRESP, each one"}"#,
        r#"{"summary":{"cases":2,"deviates":0,"not_applicable":0,"passed":2}}"#,
    ]);
    selftest(broker.port(), "--mqtt 5.0 --only MQTT-3.12.4-1 --list")
        .prints(&["MQTT 5.0  ping: PINGREQ is answered by PINGRESP, each one  [MQTT-3.12.4-1]"]);
}

#[test]
fn without_a_broker_or_a_case_there_is_nothing_to_run() {
    let nobody = Port::reserve();
    selftest(nobody.number(), "").exits_with(2).complains("cannot connect to localhost");
    selftest(nobody.number(), "--only nothing-is-called-so").exits_with(2).complains("--list` shows all");
    selftest(nobody.number(), "--no-such-flag").exits_with(2).complains("unexpected argument");
    let closed = Broker::with_config("listener PORT 127.0.0.1\nallow_anonymous false");
    selftest(closed.port(), "").exits_with(2).complains("does it need -u and -P?");
}
