//! Access rules: who may publish and receive what.

use noctule_broker::metric::Metric;
use noctule_broker::{LogLevel, LogLevels};
use noctule_protocol::ProtocolVersion::V5;
use noctule_protocol::QoS::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};
use noctule_protocol::ReasonCode as Reason;

use crate::desk::*;

const LEVELS: [QoS; 3] = [AtMostOnce, AtLeastOnce, ExactlyOnce];

/// Those without a name may do everything, `w` may publish below `a`, and `r` may receive from there.
const RULES: &str = "
    topic #
    user w
    topic write a/#
    topic deny a/secret
    user r
    topic read a/#";

fn desk() -> Desk {
    desk_with(RULES)
}

fn desk_with(rules: &str) -> Desk {
    Desk::with(|settings| settings.listeners[0].access = acl(rules))
}

/// From now on these rules hold.
fn reload(desk: &Desk, rules: &str) {
    let access = acl(rules);
    desk.change_settings(|settings| settings.listeners[0].access = access.clone());
}

#[test] // [MQTT311-3.3.5-2]
fn what_may_not_be_published_is_acknowledged_and_reaches_nobody() {
    for version in VERSIONS {
        let denied = |packet: Wire| if version == V5 { packet.reason(Reason::NotAuthorized) } else { packet };
        for qos in LEVELS {
            let desk = desk();
            let mut anybody = desk.client("s");
            anybody.subscribe("#", 2);
            let client = desk.hello("p").version(version).user_name("w").connect();
            for topic in ["b", "a/secret"] {
                client.send(publish(topic, "x").at(qos, 7).retained());
                match qos {
                    AtMostOnce => client.expect_nothing(),
                    AtLeastOnce => client.expect([denied(puback(7))]),
                    ExactlyOnce => {
                        client.expect([denied(pubrec(7))]);
                        // Nothing is held for it.
                        client.send(pubrel(7));
                        client.take();
                    }
                }
            }
            anybody.expect_nothing();
            assert_eq!((desk.drops(), desk.retained_count()), (vec![(Metric::DroppedDenied, 2)], 0));
            client.send(publish("a/1", "y").at(qos, 8));
            client.take();
            client.send(pubrel(8));
            assert_eq!(anybody.acknowledge_all().len(), 1);
        }
    }
}

#[test]
fn a_burst_without_right_is_no_better() {
    for version in VERSIONS {
        for qos in LEVELS {
            let desk = desk();
            let mut anybody = desk.client("s");
            anybody.subscribe("#", 2);
            let client = desk.hello("p").version(version).user_name("w").connect();
            client.send(publish("b", "x"));
            client.send_all((1..=20).map(|id| publish("b", "x").at(qos, id)));
            let answers = client.take().len();
            client.send_all((1..=20).map(pubrel));
            client.take();
            anybody.expect_nothing();
            assert_eq!(answers, if qos == AtMostOnce { 0 } else { 20 });
            assert_eq!(desk.drops(), [(Metric::DroppedDenied, 21)]);
        }
    }
}

#[test]
fn the_log_tells_of_it_as_mosquitto_does() {
    let desk = desk();
    desk.change_settings(|settings| settings.log_levels = LogLevels::NONE.with(LogLevel::Debug));
    let client = desk.hello("p").user_name("w").connect();
    desk.log();
    client.send(publish("b", "hello").qos1(9));
    assert_eq!(desk.log()[0], "Denied PUBLISH from p (d0, q1, r0, m9, 'b', ... (5 bytes))");
}

#[test]
fn a_subscription_is_granted_and_brings_what_may_be_received() {
    for version in VERSIONS {
        for qos in LEVELS {
            let desk = desk();
            let mut reader = desk.hello("r").version(version).user_name("r").connect();
            reader.subscribe("#", 2);
            reader.subscribe("b", 2);
            let mut other = desk.hello("other").user_name("nobody").connect();
            other.subscribe("#", 2);
            let publisher = desk.client("p");
            for topic in ["a/1", "b", "a", "a/1"] {
                publisher.send_all((1..=3).map(|id| publish(topic, topic).at(qos, id)));
                publisher.send_all((1..=3).map(pubrel));
                publisher.take();
            }
            let payloads: Vec<String> = reader.acknowledge_all().iter().map(Wire::text).collect();
            assert_eq!(payloads, ["a/1", "a/1", "a/1", "a", "a", "a", "a/1", "a/1", "a/1"]);
            other.expect_nothing();
            // Twice to each reader's subscriptions to b, and all of it to the other.
            assert_eq!(desk.drops(), [(Metric::DroppedNotReadable, 6 + 12)]);
            assert!(desk.disk(Stored::is_settled));
        }
    }
}

#[test]
fn names_are_put_into_patterns() {
    let desk = desk_with("topic #\npattern readwrite of/%c/%u/#");
    let mut client = desk.hello("c").user_name("u").connect();
    client.subscribe("of/#", 0);
    for topic in ["of/c/u/1", "of/c/v/1", "of/d/u/1", "of/c/u"] {
        desk.client("p").send(publish(topic, topic));
        client.send(publish(topic, "own"));
    }
    client.expect_payloads(["of/c/u/1", "own", "of/c/u", "own"]);
    // Under such a name patterns allow nothing.
    let mut client = desk.hello("+").user_name("u").connect();
    client.subscribe("of/#", 0);
    desk.client("p").send(publish("of/x/u/1", "x"));
    client.expect_nothing();
}

#[test]
fn a_reload_reaches_connected_clients_with_their_next_message() {
    let desk = Desk::new();
    let mut reader = desk.hello("r").user_name("r").connect();
    reader.subscribe("#", 1);
    let writer = desk.hello("w").user_name("w").connect();
    let send = |id: u16| {
        for topic in ["a/1", "b"] {
            writer.send(publish(topic, format!("{topic} {id}")).qos1(id));
        }
        writer.take().iter().map(|puback| puback.code).collect::<Vec<_>>()
    };
    let (good, bad) = (0, Reason::NotAuthorized.code());
    assert_eq!(send(1), [good, good]);
    reload(&desk, RULES);
    assert_eq!(send(2), [good, bad]);
    reload(&desk, "user w\ntopic write #\nuser r\ntopic read b");
    assert_eq!(send(3), [good, good]);
    reload(&desk, "user w\ntopic write b");
    assert_eq!(send(4), [bad, good]);
    desk.change_settings(|settings| settings.listeners[0].access = None);
    assert_eq!(send(5), [good, good]);
    let payloads: Vec<String> = reader.acknowledge_all().iter().map(Wire::text).collect();
    assert_eq!(payloads, ["a/1 1", "b 1", "a/1 2", "b 3", "a/1 5", "b 5"]);
}

/// Seen with Mosquitto 2.0.11.
#[test]
fn what_may_not_be_received_is_not_queued() {
    let desk = desk();
    let mut client = desk.hello("c").v311().resume().user_name("r").connect();
    client.subscribe("#", 1);
    client.lose();
    let publisher = desk.client("p");
    publisher.send(publish("b", "no").qos1(1));
    publisher.send(publish("a", "yes").qos1(2));
    assert_eq!(desk.drops(), [(Metric::DroppedNotReadable, 1)]);
    reload(&desk, "topic #\nuser r\ntopic read #");
    let client = desk.hello("c").v311().resume().user_name("r").connect();
    client.expect_payloads(["yes"]);
    client.send(puback(1));
    assert!(desk.disk(Stored::is_settled));
}

/// Seen with Mosquitto 2.0.11: queued or in flight, it is dropped when the client comes back without the right.
#[test]
fn what_may_not_be_received_any_more_is_dropped_from_the_session() {
    for qos in [1, 2] {
        for user in ["r", "r2"] {
            let desk = desk();
            let hello = desk.hello("c").v311().resume();
            let mut client = hello.clone().user_name("r").connect();
            client.subscribe("#", qos);
            let publisher = desk.client("p");
            let send = |topic: &str, id| {
                publisher.send(publish(topic, topic).qos2(id));
                publisher.send(pubrel(id));
            };
            send("a/in flight", 1);
            client.expect_payloads(["a/in flight"]);
            client.lose();
            send("a/queued", 2);
            if user == "r" {
                reload(&desk, "topic #\nuser r\ntopic read b");
            }
            // Its name decides: r2 has no rules.
            let client = hello.user_name(user).connect();
            client.expect_nothing();
            assert_eq!(desk.drops(), [(Metric::DroppedNotReadable, 2)]);
            assert!(desk.disk(Stored::is_settled));
            if user == "r" {
                send("b", 3);
                client.expect_payloads(["b"]);
            }
        }
    }
}

#[test]
fn an_exchange_that_goes_on_is_finished() {
    let desk = desk();
    let mut client = desk.hello("c").v311().resume().user_name("r").connect();
    client.subscribe("#", 2);
    let publisher = desk.client("p");
    publisher.send_all([publish("a", "x").qos2(1), pubrel(1)]);
    client.expect_payloads(["x"]);
    client.send(pubrec(1));
    client.expect([pubrel(1)]);
    client.lose();
    reload(&desk, "topic #\nuser r\ntopic read b");
    let client = desk.hello("c").v311().resume().user_name("r").connect();
    client.expect([pubrel(1)]);
    client.send(pubcomp(1));
    assert!(desk.disk(Stored::is_settled));
}

/// With another right at PUBREL than at PUBLISH, the later one counts.
#[test]
fn what_is_held_for_pubrel_is_asked_about_again() {
    let desk = desk();
    let mut anybody = desk.client("s");
    anybody.subscribe("#", 2);
    let client = desk.hello("p").v311().user_name("w").connect();
    client.send_all((1..=4).map(|id| publish("a/1", "x").qos2(id)));
    reload(&desk, "topic #");
    client.send_all((1..=4).map(pubrel));
    client.expect([
        pubrec(1),
        pubrec(2),
        pubrec(3),
        pubrec(4),
        pubcomp(1),
        pubcomp(2),
        pubcomp(3),
        pubcomp(4),
    ]);
    anybody.expect_nothing();
    assert_eq!(desk.drops(), [(Metric::DroppedDenied, 4)]);
}

#[test]
fn retained_messages_are_replayed_to_those_who_may_receive_them() {
    for lasts in [false, true] {
        let desk = desk();
        let publisher = desk.client("p");
        for topic in ["a/1", "b", "a/2"] {
            publisher.send(publish(topic, topic).qos1(1).retained());
        }
        let hello = desk.hello("r").user_name("r");
        let mut reader = if lasts { hello.lasting() } else { hello }.connect();
        reader.subscribe("b", 1);
        reader.subscribe("#", 1);
        assert_eq!(reader.acknowledge_all().iter().map(Wire::text).collect::<Vec<_>>(), ["a/1", "a/2"]);
        assert_eq!(desk.drops(), [(Metric::DroppedNotReadable, 2)]);
        assert!(desk.disk(Stored::is_settled));
    }
}

/// Seen with Mosquitto 2.0.11.
#[test]
fn a_retained_message_needs_a_publisher_who_still_may() {
    let desk = desk();
    let writer = desk.hello("w").user_name("w").connect();
    writer.send(publish("a/1", "x").retained());
    writer.lose();
    let mut reader = desk.client("s");
    let mut is_replayed = || {
        reader.subscribe("a/1", 0);
        !reader.take().is_empty()
    };
    assert!(is_replayed());
    reload(&desk, "topic #\nuser w\ntopic read #");
    assert!(!is_replayed());
    // A client of the same name is another one with another User Name.
    desk.hello("w").connect().lose();
    assert!(!is_replayed());
    desk.change_settings(|settings| settings.check_retain_source = false);
    assert!(is_replayed());
    desk.change_settings(|settings| settings.check_retain_source = true);
    reload(&desk, RULES);
    assert!(is_replayed());
}

#[test]
fn a_will_needs_the_right_when_it_is_published() {
    for version in VERSIONS {
        let desk = desk();
        let mut anybody = desk.client("s");
        anybody.subscribe("#", 0);
        let wills = [("b", RULES), ("a/1", RULES), ("a/1", "topic #")];
        for (topic, rules) in wills {
            // It is let in all the same, as by Mosquitto.
            let hello = desk.hello("w").version(version).user_name("w").will(will(topic, "gone").retained());
            let client = hello.connect();
            reload(&desk, rules);
            client.lose();
        }
        anybody.expect_payloads(["gone"]);
        assert_eq!((desk.drops(), desk.retained_count()), (vec![(Metric::DroppedDenied, 2)], 1));
    }
}

#[test]
fn a_session_that_was_restored_has_the_rules_that_all_listeners_share() {
    let desk = desk();
    let hello = desk.hello("w").lasting().user_name("w");
    hello.clone().will(will("a/1", "good").delay(5)).connect().lose();
    desk.hello("w2").lasting().user_name("w").will(will("b", "bad").delay(5)).connect().lose();
    let mut anybody = desk.hello("s").lasting().connect();
    anybody.subscribe("#", 1);
    anybody.lose();
    desk.restart();
    let anybody = desk.hello("s").lasting().connect();
    desk.sleep(6.0);
    anybody.expect_payloads(["good"]);
    assert_eq!(desk.drops(), [(Metric::DroppedDenied, 1)]);
}

#[test]
fn where_listeners_have_different_rules_a_session_that_was_restored_waits_for_its_client() {
    let desk = Desk::with(|settings| {
        settings.listeners[0].access = acl(RULES);
        settings.listeners.push(settings.listeners[0].clone());
        settings.listeners[1].access = acl("topic #");
    });
    let mut reader = desk.hello("r").lasting().user_name("r").will(will("a/1", "x").delay(5)).connect();
    reader.subscribe("#", 1);
    reader.lose();
    desk.restart();
    let publisher = desk.client("p");
    for topic in ["a/1", "b"] {
        publisher.send(publish(topic, topic).qos1(1));
    }
    desk.sleep(6.0);
    assert_eq!(desk.drops(), [(Metric::DroppedDenied, 1)]);
    let reader = desk.hello("r").lasting().user_name("r").connect();
    assert_eq!(reader.acknowledge_all().iter().map(Wire::text).collect::<Vec<_>>(), ["a/1"]);
    assert!(desk.disk(Stored::is_settled));
}

/// Where Mosquitto lets whoever is next swallow the message.
#[test]
fn a_member_that_may_not_receive_a_message_is_passed_over() {
    for qos in LEVELS {
        for lasts in [false, true] {
            let desk = desk();
            let hello = |name: &str, user: &str| {
                let hello = desk.hello(name).user_name(user);
                if lasts { hello.lasting() } else { hello }
            };
            let members = [("m0", "x"), ("m1", "r"), ("m2", "x"), ("m3", "x")];
            let members = members.map(|(name, user)| {
                let mut member = hello(name, user).connect();
                member.subscribe("$share/g/#", 2);
                member
            });
            let publisher = desk.client("p");
            let send = |topic: &str| {
                publisher.send_all((1..=6).map(|id| publish(topic, topic).at(qos, id)));
                publisher.send_all((1..=6).map(pubrel));
                publisher.take();
            };
            send("a/1");
            send("b");
            let received: Vec<usize> = members.iter().map(|member| member.acknowledge_all().len()).collect();
            assert_eq!(received, [0, 6, 0, 0]);
            assert_eq!(desk.drops(), [(Metric::DroppedNoMember, 6)]);
            assert!(desk.disk(Stored::is_settled));
        }
    }
}

/// More than are looked at for one message.
#[test]
fn members_that_may_not_receive_keep_nothing_from_one_that_may() {
    let table = [
        (AtMostOnce, false, false),
        (AtLeastOnce, false, false),
        (ExactlyOnce, true, false),
        (AtLeastOnce, true, true),
    ];
    for (level, lasts, is_away) in table {
        let desk = desk();
        let join = |name: &str, user: &str| {
            let hello = desk.hello(name).user_name(user);
            let mut member = if lasts { hello.lasting() } else { hello }.connect();
            member.subscribe("$share/g/#", level.level());
            member
        };
        let strangers: Vec<Client> = (0..100).map(|number| join(&format!("x{number}"), "x")).collect();
        let reader = join("reader", "r");
        if is_away {
            strangers.iter().chain([&reader]).for_each(Client::lose);
        }
        let publisher = desk.client("p");
        for id in 1..=200 {
            publisher.send_all([publish("a/1", format!("{id}")).at(level, id), pubrel(id)]);
            if !is_away {
                assert_eq!(reader.acknowledge_all().len(), 1, "{id}");
            }
        }
        if is_away {
            let reader = desk.hello("reader").user_name("r").lasting().connect();
            assert_eq!(reader.acknowledge_all().len(), 200);
        }
        assert_eq!(desk.drops(), []);
        assert!(desk.disk(Stored::is_settled));
    }
}

/// Looking through them has a bound, and goes on from there with the next message.
#[test]
fn more_of_them_than_are_passed_over_at_once_do_not_end_the_others_share() {
    let desk = desk();
    let join = |name: &str, user: &str| {
        let mut member = desk.hello(name).user_name(user).connect();
        member.subscribe("$share/g/#", 0);
        member
    };
    let _strangers: Vec<Client> = (0..1200).map(|number| join(&format!("x{number}"), "x")).collect();
    let reader = join("reader", "r");
    let publisher = desk.client("p");
    for id in 0..20 {
        publisher.send(publish("a/1", format!("{id}")));
    }
    let received = reader.acknowledge_all().len();
    assert!((5..20).contains(&received), "{received}");
    let told = desk.drops();
    assert_eq!(told, [(Metric::DroppedNoMember, 20 - received as u64)]);
}

#[test]
fn what_waits_for_a_member_goes_to_one_that_may_receive_it() {
    let desk = desk();
    let busy = |name: &str, user: &str| {
        let mut member = desk.hello(name).lasting().user_name(user).receive_maximum(1).connect();
        member.subscribe("$share/g/#", 1);
        member
    };
    let (first, second) = (busy("m0", "r"), busy("m1", "r2"));
    let publisher = desk.client("p");
    // Only the first may receive it, and has room for one.
    publisher.send_all((1..=3).map(|id| publish("a/1", format!("{id}")).qos1(id)));
    first.expect_payloads(["1"]);
    reload(&desk, "topic #\nuser r2\ntopic read #");
    first.send(puback(1));
    second.expect_payloads(["2"]);
    second.send(puback(1));
    second.expect_payloads(["3"]);
    second.send(puback(2));
    assert_eq!(desk.drops(), []);
    assert!(desk.disk(Stored::is_settled));
}
