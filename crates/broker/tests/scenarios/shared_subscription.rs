//! Shared subscriptions.

use noctule_broker::metric::Metric;
use noctule_protocol::ProtocolVersion::V311;
use noctule_protocol::ReasonCode as Reason;
use noctule_protocol::property::Property;

use crate::desk::*;

/// Members `0` to `n - 1` of `$share/g/t`.
fn members(desk: &Desk, n: usize, level: u8) -> Vec<Client> {
    (0..n).map(|n| member(&desk.hello(&n.to_string()), level)).collect()
}

fn member(hello: &Hello, level: u8) -> Client {
    let mut client = hello.connect();
    client.subscribe("$share/g/t", level);
    client
}

#[test] // [MQTT-4.8.2-3]
fn each_member_gets_messages_at_its_own_qos() {
    let desk = Desk::new();
    let members: Vec<_> = (0..3).map(|level| member(&desk.hello(&format!("m{level}")), level)).collect();
    let publisher = desk.client("p");
    publisher.send_all((1..=3).flat_map(|n| [publish("t", n.to_string()).qos2(n), pubrel(n)]));
    members[0].expect([publish("t", "1")]);
    members[1].expect([publish("t", "2").qos1(1)]);
    members[2].expect([publish("t", "3").qos2(1)]);
}

#[test]
fn each_message_goes_to_one_member_in_turn() {
    for version in VERSIONS {
        let desk = Desk::new();
        let members: Vec<_> =
            (0..3).map(|n| member(&desk.hello(&n.to_string()).version(version), 1)).collect();
        let publisher = desk.client("p");
        for n in 0..9 {
            publisher.send(publish("t", n.to_string()).at(noctule_protocol::QoS::AtLeastOnce, 1));
        }
        for (n, member) in members.iter().enumerate() {
            let payloads: Vec<_> = member.acknowledge_all().iter().map(Wire::text).collect();
            assert_eq!(payloads, [n, n + 3, n + 6].map(|n| n.to_string()));
        }
    }
}

#[test]
fn groups_and_plain_subscriptions_are_apart() {
    let desk = Desk::new();
    let [mut a, mut b, mut c] = ["a", "b", "c"].map(|id| desk.client(id));
    a.subscribe("$share/g/t", 0);
    a.subscribe("t", 0);
    b.subscribe("$share/h/t", 0);
    b.subscribe("$share/g/+", 0); // The same name with another filter is another group.
    c.subscribe("$share/g/other", 0);
    desk.client("p").send(publish("t", "x"));
    assert_eq!([&a, &b, &c].map(|client| client.take().len()), [2, 2, 0]);
}

#[test] // [MQTT-3.8.4-3]
fn subscribing_again_changes_the_member() {
    let desk = Desk::new();
    let mut a = desk.client("a");
    a.subscribe("$share/g/t", 2);
    a.subscribe("$share/g/t", 0);
    let publisher = desk.client("p");
    publisher.send_all([publish("t", "1").qos1(1), publish("t", "2").qos1(2)]);
    a.expect([publish("t", "1"), publish("t", "2")]);
}

#[test] // [MQTT-3.10.4-1] [MQTT-3.10.4-2]
fn who_unsubscribes_is_no_member_any_more() {
    let desk = Desk::new();
    let members = members(&desk, 2, 0);
    members[0].send(unsubscribe(1, ["t", "$share/h/t", "$share/g/t"]));
    let nothing = Reason::NoSubscriptionExisted.code();
    members[0].expect([unsuback(1, [nothing, nothing, 0])]);
    let publisher = desk.client("p");
    publisher.send_all([publish("t", "1"), publish("t", "2")]);
    members[0].expect_nothing();
    members[1].expect_payloads(["1", "2"]);
    members[1].lose();
    assert_eq!(desk.subscription_count(), 0);
    publisher.send(publish("t", "3").qos1(1));
    publisher.expect([puback(1).reason(Reason::NoMatchingSubscribers)]);
}

#[test]
fn a_member_whose_window_is_full_does_not_hold_the_group_up() {
    let desk = Desk::new();
    let slow = member(&desk.hello("slow").receive_maximum(1), 1);
    let fast = member(&desk.hello("fast"), 1);
    let publisher = desk.client("p");
    for n in 0..10_u16 {
        publisher.send(publish("t", n.to_string()).qos1(n + 1));
        fast.acknowledge_all();
    }
    assert_eq!(slow.take().len(), 1);
    // None is starved: when it is free again it takes its turn.
    slow.send(puback(1));
    publisher.send_all([publish("t", "x").qos1(1), publish("t", "y").qos1(2)]);
    assert_eq!((slow.take().len(), fast.take().len()), (1, 1));
}

#[test]
fn when_all_are_busy_the_one_with_the_least_waiting_takes_it() {
    let desk = Desk::new();
    let members: Vec<_> = (0..2).map(|n| member(&desk.hello(&n.to_string()).receive_maximum(1), 1)).collect();
    let publisher = desk.client("p");
    publisher.send_all((1..=10).map(|n| publish("t", n.to_string()).qos1(n)));
    assert_eq!(members.iter().map(|member| member.acknowledge_all().len()).collect::<Vec<_>>(), [5, 5]);
}

#[test] // Section 4.8.2
fn unacknowledged_qos_1_messages_go_to_other_members() {
    for lasting in [false, true] {
        let desk = Desk::new();
        let hello = |id: &str| if lasting { desk.hello(id).lasting() } else { desk.hello(id) };
        let a = member(&hello("a").receive_maximum(2), 1);
        let publisher = desk.client("p");
        publisher.send_all((1..=4).map(|n| publish("t", n.to_string()).qos1(n)));
        a.expect_payloads(["1", "2"]);
        a.send(puback(1));
        a.expect_payloads(["3"]);
        let b = member(&hello("b"), 1);
        a.lose();
        // As new messages, in their order.
        b.expect([publish("t", "2").qos1(1), publish("t", "3").qos1(2), publish("t", "4").qos1(3)]);
        b.send_all([puback(1), puback(2), puback(3)]);
        if lasting {
            hello("a").connect().expect_nothing();
        }
        assert!(desk.disk(Stored::is_settled));
        assert_eq!(desk.drops(), []);
    }
}

#[test] // [MQTT-4.8.2-4] [MQTT-4.8.2-5]
fn a_qos_2_message_that_was_sent_goes_to_nobody_else() {
    let desk = Desk::new();
    let a = member(&desk.hello("a").lasting().receive_maximum(1), 2);
    let publisher = desk.client("p");
    publisher.send_all((1..=2).flat_map(|n| [publish("t", n.to_string()).qos2(n), pubrel(n)]));
    a.expect_payloads(["1"]);
    let b = member(&desk.hello("b").lasting(), 2);
    a.lose();
    b.expect_payloads(["2"]); // It was not sent yet.
    let a = desk.hello("a").lasting().connect();
    a.expect([publish("t", "1").qos2(1).dup()]);
    a.lose();
    desk.client("a"); // Its session ends.
    b.expect_nothing();
    assert_eq!(desk.drops(), [(Metric::DroppedSessionEnded, 1)]);
}

#[test] // [MQTT-4.8.2-6]
fn a_refused_message_is_discarded_for_all() {
    let desk = Desk::new();
    let members = members(&desk, 2, 2);
    let publisher = desk.client("p");
    publisher.send_all([publish("t", "1").qos1(1), publish("t", "2").qos2(2), pubrel(2)]);
    members[0].expect([publish("t", "1").qos1(1)]);
    members[1].expect([publish("t", "2").qos2(1)]);
    members[0].send(puback(1).reason(Reason::ImplementationSpecificError));
    members[1].send(pubrec(1).reason(Reason::QuotaExceeded));
    for member in &members {
        member.expect_nothing();
        member.lose();
    }
    assert_eq!(desk.drops(), [(Metric::DroppedRefused, 2)]);
}

#[test]
fn nobody_connected_queues_for_a_lasting_member() {
    let desk = Desk::new();
    let hello = ["a", "b"].map(|id| desk.hello(id).lasting());
    for hello in &hello {
        member(hello, 1).lose();
    }
    let publisher = desk.client("p");
    publisher.send_all((1..=4).map(|n| publish("t", n.to_string()).qos1(n)));
    publisher.send(publish("t", "0"));
    assert_eq!(desk.drops(), [(Metric::DroppedNoMember, 1)]);
    let payloads: Vec<usize> = hello.iter().map(|hello| hello.connect().acknowledge_all().len()).collect();
    assert_eq!(payloads.iter().sum::<usize>(), 4);
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn connected_members_come_before_absent_ones() {
    let desk = Desk::new();
    member(&desk.hello("away").lasting(), 1).lose();
    let here = member(&desk.hello("here").receive_maximum(1), 1);
    let publisher = desk.client("p");
    publisher.send_all((1..=3).map(|n| publish("t", n.to_string()).qos1(n)));
    assert_eq!(here.acknowledge_all().len(), 3);
}

#[test]
fn the_last_member_takes_its_messages_with_it() {
    let desk = Desk::new();
    let a = member(&desk.hello("a"), 1);
    desk.client("p").send(publish("t", "x").qos1(1));
    a.lose();
    assert_eq!(desk.drops(), [(Metric::DroppedNoMember, 1)]);
    assert_eq!((desk.session_count(), desk.subscription_count()), (1, 0));
}

#[test]
fn a_message_of_a_group_that_ended_never_reaches_another_group() {
    let desk = Desk::new();
    let a = member(&desk.hello("a"), 1);
    desk.client("p").send(publish("t", "secret").qos1(1));
    a.send(unsubscribe(1, ["$share/g/t"])); // The group ends; its message is in flight.
    let mut b = desk.client("b");
    b.subscribe("$share/other/x", 1);
    let mut c = desk.client("a"); // Takes over: the old session ends.
    c.subscribe("$share/other/x", 1);
    b.expect_nothing();
    c.expect_nothing();
    assert_eq!(desk.drops().len(), 1);
}

#[test]
fn too_large_for_one_member_leaves_the_record_to_the_others() {
    let desk = Desk::new();
    let mut plain = desk.hello("plain").lasting().connect();
    plain.subscribe("t", 1);
    let a = member(&desk.hello("a").lasting(), 1);
    let b = member(&desk.hello("b").lasting().maximum_packet_size(50), 1);
    let payload = "x".repeat(100);
    desk.client("p").send(publish("t", &payload).qos1(1));
    assert_eq!(a.take().len(), 1);
    a.lose(); // b should have it, and cannot.
    b.expect_nothing();
    assert_eq!(desk.drops(), [(Metric::DroppedTooLarge, 1)]);
    // One recipient is left.
    assert_eq!(desk.disk(|disk| disk.messages.clone()), [1]);
    assert_eq!(plain.acknowledge_all().len(), 1);
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn members_of_old_versions_share_too() {
    let desk = Desk::new();
    let a = member(&desk.hello("a").version(V311), 0);
    let b = member(&desk.hello("b"), 0);
    desk.client("p").send_all([publish("t", "1"), publish("t", "2")]);
    a.expect_payloads(["1"]);
    b.expect_payloads(["2"]);
}

#[test] // [MQTT-3.3.2-5]
fn what_expired_is_not_given_to_another_member() {
    let desk = Desk::new();
    let a = member(&desk.hello("a").receive_maximum(1), 1);
    let expiring = |n, seconds| {
        publish("t", format!("{seconds}")).qos1(n).with(Property::MessageExpiryInterval(seconds))
    };
    desk.client("p").send_all([expiring(1, 5), expiring(2, 5), expiring(3, 50)]);
    let b = member(&desk.hello("b"), 1);
    desk.sleep(6.0);
    a.lose();
    b.expect([publish("t", "50").qos1(1).with(Property::MessageExpiryInterval(44))]);
    assert_eq!(desk.drops(), [(Metric::DroppedExpired, 2)]);
}

#[test]
fn upgrade_outgoing_qos_holds_for_members_too() {
    let desk = Desk::with(|settings| settings.upgrade_outgoing_qos = true);
    let hello = desk.hello("a").lasting();
    member(&hello, 1).lose();
    desk.client("p").send(publish("t", "x"));
    hello.connect().expect([publish("t", "x").qos1(1)]);
}

#[test]
fn what_no_other_member_has_room_for_stays_with_the_one_that_left() {
    let desk = Desk::with(|settings| settings.max_queued_messages = 2);
    let hello = desk.hello("a").lasting().receive_maximum(3);
    let a = member(&hello, 1);
    let publisher = desk.client("p");
    publisher.send_all((1..=5).map(|n| publish("t", n.to_string()).qos1(n)));
    a.expect_payloads(["1", "2", "3"]);
    let b = member(&desk.hello("b").receive_maximum(1), 1);
    a.lose();
    // One in flight, two waiting.
    assert_eq!(b.acknowledge_all().len(), 3);
    let a = hello.connect();
    let rest: Vec<_> = a.take();
    assert_eq!(rest, [publish("t", "4").qos1(4), publish("t", "5").qos1(5)]);
    a.send_all([puback(4), puback(5)]);
    assert_eq!(desk.drops(), []);
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn what_is_in_flight_and_finds_no_room_keeps_its_identifier() {
    let desk = Desk::with(|settings| settings.max_queued_messages = 1);
    let hello = desk.hello("a").lasting();
    let a = member(&hello, 1);
    desk.client("p").send_all((1..=3).map(|n| publish("t", n.to_string()).qos1(n)));
    a.expect_payloads(["1", "2", "3"]);
    let b = member(&desk.hello("b").receive_maximum(1), 1);
    a.lose();
    assert_eq!(b.acknowledge_all().iter().map(Wire::text).collect::<Vec<_>>(), ["1", "2"]);
    hello.connect().expect([publish("t", "3").qos1(3).dup()]); // [MQTT-4.4.0-1]
    assert_eq!(desk.drops(), []);
}
