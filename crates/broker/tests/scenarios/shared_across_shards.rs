//! Shared subscriptions whose group belongs to one shard and whose members are on others. Clients are dealt to the shards
//! in turn.

use noctule_broker::metric::Metric;
use noctule_protocol::property::Property;

use crate::desk::*;

const SESSION_ENDS: Property<'static> = Property::SessionExpiryInterval(0);
const FILTER: &str = "$share/g/t";

/// Three shards, and a group of the first one with no member yet: who made it only holds it.
struct Scene {
    desk: Desk,
    keeper: Client,
}

impl Scene {
    fn new(change: impl FnOnce(&mut noctule_broker::Settings)) -> Self {
        let desk = Desk::sharded(3, change);
        let mut keeper = desk.client("keeper of the group");
        keeper.subscribe(FILTER, 0);
        Self { desk, keeper }
    }

    /// A member on the next shard.
    fn member(hello: &Hello, level: u8) -> Client {
        let mut member = hello.connect();
        member.subscribe(FILTER, level);
        member
    }

    /// Who made the group leaves it to the others.
    fn begin(&self) {
        self.keeper.send(unsubscribe(1, [FILTER]));
        self.keeper.take();
    }

    /// Messages `1` to `n` of a client that is dealt to the next shard.
    fn publish(&self, n: u16) -> Client {
        let publisher = self.desk.client("publisher");
        publisher.send_all((1..=n).map(|n| publish("t", n.to_string()).qos1(n)));
        assert_eq!(publisher.take().len(), usize::from(n));
        publisher
    }
}

/// Payloads of QoS 1, with Packet Identifiers.
fn again(payloads: &[u16]) -> Vec<Wire> {
    payloads.iter().map(|&n| publish("t", n.to_string()).qos1(n).dup()).collect()
}

#[test] // [MQTT-4.4.0-1]
fn the_only_connected_member_keeps_what_it_did_not_acknowledge() {
    for with_absent in [false, true] {
        let scene = Scene::new(|_| {});
        let hello = scene.desk.hello("a").lasting();
        let a = Scene::member(&hello, 1);
        if with_absent {
            Scene::member(&scene.desk.hello("absent").lasting(), 1).lose();
        }
        scene.begin();
        scene.publish(4);
        a.expect_payloads(["1", "2", "3", "4"]);
        a.send(puback(2));
        a.lose();
        let a = hello.connect();
        assert_eq!(a.take(), again(&[1, 3, 4]));
        a.send_all([puback(1), puback(3), puback(4)]);
        assert_eq!(scene.desk.drops(), []);
        assert!(scene.desk.disk(Stored::is_settled));
    }
}

#[test] // Section 4.8.2
fn what_a_member_leaves_goes_to_one_that_is_connected() {
    let scene = Scene::new(|_| {});
    let hello = scene.desk.hello("a").lasting().receive_maximum(2);
    let a = Scene::member(&hello, 1);
    scene.begin();
    let _publisher = scene.publish(4);
    a.expect_payloads(["1", "2"]);
    a.send(puback(1));
    a.expect_payloads(["3"]);
    let b = Scene::member(&scene.desk.hello("b"), 1);
    a.lose();
    b.expect([publish("t", "2").qos1(1), publish("t", "3").qos1(2), publish("t", "4").qos1(3)]);
    b.send_all([puback(1), puback(2), puback(3)]);
    hello.connect().expect_nothing();
    assert_eq!(scene.desk.drops(), []);
    assert!(scene.desk.disk(Stored::is_settled));
}

#[test] // [MQTT-4.4.0-1]
fn what_others_have_no_room_for_keeps_its_identifier() {
    let scene = Scene::new(|settings| settings.max_queued_messages = 1);
    let hello = scene.desk.hello("a").lasting();
    let a = Scene::member(&hello, 1);
    scene.begin();
    let _publisher = scene.publish(3);
    a.expect_payloads(["1", "2", "3"]);
    let b = Scene::member(&scene.desk.hello("b").receive_maximum(1), 1);
    a.lose();
    assert_eq!(b.acknowledge_all().iter().map(Wire::text).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(hello.connect().take(), again(&[3]));
    assert_eq!(scene.desk.drops(), []);
}

#[test] // [MQTT-4.8.2-4] [MQTT-4.8.2-5]
fn a_qos_2_message_that_was_sent_stays_whatever_the_owner_asks_for() {
    let scene = Scene::new(|_| {});
    let hello = scene.desk.hello("a").lasting().receive_maximum(1);
    let a = Scene::member(&hello, 2);
    scene.begin();
    let publisher = scene.desk.client("publisher");
    publisher.send_all((1..=2).flat_map(|n| [publish("t", n.to_string()).qos2(n), pubrel(n)]));
    a.expect_payloads(["1"]);
    let b = Scene::member(&scene.desk.hello("b"), 2);
    a.lose();
    b.expect_payloads(["2"]);
    hello.connect().expect([publish("t", "1").qos2(1).dup()]);
}

#[test]
fn who_is_back_before_its_owner_asks_keeps_everything() {
    let scene = Scene::new(|_| {});
    let hello = scene.desk.hello("a").lasting();
    let a = Scene::member(&hello, 1);
    scene.begin();
    let _publisher = scene.publish(3);
    a.take();
    let b = Scene::member(&scene.desk.hello("b"), 1);
    scene.desk.hold_mail_to(1);
    a.lose();
    // Its session is on the shard that hears nothing; so it comes there by itself.
    while scene.desk.next_shard() != 1 {
        scene.desk.open(noctule_protocol::ProtocolVersion::V5);
    }
    let a = hello.connect();
    assert_eq!(a.take(), again(&[1, 2, 3]));
    scene.desk.deliver_mail();
    a.send_all([puback(1), puback(2), puback(3)]);
    b.expect_nothing();
    assert_eq!(scene.desk.drops(), []);
    assert!(scene.desk.disk(Stored::is_settled));
}

#[test]
fn nothing_is_lost_when_all_come_and_go_at_once() {
    // Which of the three shards hears the others last.
    for deaf in 0..3 {
        for first in ["a", "b"] {
            let scene = Scene::new(|_| {});
            let hellos = ["a", "b"].map(|id| scene.desk.hello(id).lasting());
            let members = hellos.each_ref().map(|hello| Scene::member(hello, 1));
            scene.begin();
            scene.publish(6);
            scene.desk.hold_mail_to(deaf);
            let order = if first == "a" { [0, 1] } else { [1, 0] };
            for index in order {
                members[index].take();
                members[index].lose();
            }
            scene.desk.deliver_mail();
            let mut got: Vec<String> = Vec::new();
            for hello in &hellos {
                got.extend(hello.connect().acknowledge_all().iter().map(Wire::text));
            }
            got.sort();
            assert_eq!(got, ["1", "2", "3", "4", "5", "6"], "{deaf} {first}");
            assert_eq!(scene.desk.drops(), []);
            assert!(scene.desk.disk(Stored::is_settled));
        }
    }
}

#[test]
fn what_is_recalled_comes_a_part_at_a_time() {
    let scene = Scene::new(|settings| {
        settings.mail_bytes_max = 2000;
        settings.max_inflight_messages = 0;
    });
    let hello = scene.desk.hello("a").lasting();
    let a = Scene::member(&hello, 1);
    scene.begin();
    let publisher = scene.desk.client("publisher");
    let text = |n: u16| format!("{n:0300}");
    (1..=40).for_each(|n| publisher.send(publish("t", text(n)).qos1(n)));
    assert_eq!(a.take().len(), 40);
    let b = Scene::member(&scene.desk.hello("b"), 1);
    scene.desk.hold_mail_to(0);
    a.lose();
    scene.desk.read_parcel(0);
    scene.desk.hold_mail();
    scene.desk.read_parcel(1);
    assert!(scene.desk.mail_bytes() < 2000, "{}", scene.desk.mail_bytes());
    scene.desk.deliver_mail();
    let got: Vec<String> = b.acknowledge_all().iter().map(Wire::text).collect();
    assert_eq!(got, (1..=40).map(text).collect::<Vec<_>>());
    assert!(scene.desk.disk(Stored::is_settled));
}

#[test]
fn a_full_member_elsewhere_is_passed_over() {
    for in_flight in [false, true] {
        let scene = Scene::new(|settings| settings.outbox_bytes_max = 500);
        let slow = Scene::member(&scene.desk.hello("slow"), 0);
        let quick = Scene::member(&scene.desk.hello("quick"), 0);
        scene.begin();
        let publisher = scene.desk.client("publisher");
        slow.stop_reading();
        let packet = || publish("t", "x".repeat(100));
        if in_flight {
            // Its owner hears too late that it is full.
            (0..8).for_each(|_| publisher.send(packet()));
            scene.desk.hold_mail_to(0);
            publisher.send_all((0..8).map(|_| packet()));
            scene.desk.deliver_mail();
        } else {
            (0..16).for_each(|_| publisher.send(packet()));
        }
        assert_eq!(scene.desk.drops(), [], "{in_flight}");
        let got = quick.take().len();
        slow.read_on();
        assert_eq!((got, slow.take().len()), (11, 5));
        // It has room again, and gets its share.
        (0..10).for_each(|_| publisher.send(publish("t", "more")));
        assert_eq!([slow.take().len(), quick.take().len()], [5, 5]);
    }
}

#[test]
fn what_no_member_has_room_for_is_dropped_and_counted() {
    let scene = Scene::new(|settings| settings.outbox_bytes_max = 500);
    let members = ["a", "b"].map(|id| Scene::member(&scene.desk.hello(id), 0));
    scene.begin();
    members.iter().for_each(Client::stop_reading);
    let publisher = scene.desk.client("publisher");
    let text = "x".repeat(100);
    (0..40).for_each(|_| publisher.send(publish("t", text.clone())));
    let got: usize = members
        .iter()
        .map(|member| {
            member.read_on();
            member.take().len()
        })
        .sum();
    assert_eq!(scene.desk.drops(), [(Metric::DroppedOutboxFull, 40 - got as u64)]);
    assert!((8..=12).contains(&got), "{got}");
}

#[test]
fn mail_of_groups_is_read_a_part_a_turn() {
    // Five messages a turn.
    let scene = Scene::new(|settings| settings.fan_out_bytes_max = 300);
    let hello = scene.desk.hello("m").expiry(0);
    let member = Scene::member(&hello, 1);
    scene.begin();
    let heir = scene.desk.client("2");
    let publisher = scene.desk.client("on the owner's shard");
    scene.desk.hold_mail();
    publisher.send_all((1..=20).map(|n| publish("t", n.to_string()).qos1(n)));
    scene.desk.read_parcel(1);
    let some = member.take().len();
    assert!((1..=5).contains(&some), "{some}");
    scene.desk.deliver_mail();
    assert_eq!(member.take().len(), 20 - some);

    // And on the way back.
    let mut heir = heir;
    heir.subscribe(FILTER, 1);
    scene.desk.hold_mail();
    member.lose();
    scene.desk.read_parcel(0);
    scene.desk.read_parcel(2);
    let some = heir.take().len();
    assert!((1..=5).contains(&some), "{some}");
    scene.desk.deliver_mail();
    assert_eq!(some + heir.acknowledge_all().len(), 20);
    assert_eq!(scene.desk.drops(), []);
}

#[test]
fn who_joins_and_leaves_all_the_time_is_not_read_while_the_owner_is_behind() {
    let desk = Desk::sharded(2, |settings| settings.mail_bytes_max = 2000);
    let mut keeper = desk.client("keeper of the group");
    keeper.subscribe(FILTER, 0);
    let restless = desk.client("on the other shard");
    desk.hold_mail_to(0);
    for n in 1..=100 {
        restless.send_all([subscribe(2 * n - 1, FILTER, 0), unsubscribe(2 * n, [FILTER])]);
    }
    assert!(restless.is_paused());
    let answered = restless.take().len();
    assert!(answered < 30, "{answered}");
    desk.deliver_mail();
    assert!(!restless.is_paused());
    assert_eq!(answered + restless.take().len(), 200);
}

#[test] // Section 4.8.2
fn what_a_lasting_group_has_outlives_a_member_whose_session_is_to_end() {
    for shards in [1, 3] {
        let desk = Desk::sharded(shards, |_| {});
        let hellos = ["a", "b"].map(|id| desk.hello(id).lasting().receive_maximum(2));
        let a = Scene::member(&hellos[0], 2);
        Scene::member(&hellos[1], 2).lose();
        let publisher = desk.client("publisher");
        publisher.send_all([publish("t", "sent").qos2(1), pubrel(1)]);
        publisher.send_all((2..=4).map(|n| publish("t", n.to_string()).qos1(n)));
        a.expect([publish("t", "sent").qos2(1), publish("t", "2").qos1(2)]);
        a.lose();
        // It goes on with its session, which will end with this connection.
        let a = desk.hello("a").resume().expiry(0).receive_maximum(2).connect();
        assert_eq!(a.take().len(), 2);
        desk.restart();
        // The QoS 2 message was sent, and goes to nobody else [MQTT-4.8.2-5].
        let b = hellos[1].connect();
        assert_eq!(b.acknowledge_all().iter().map(Wire::text).collect::<Vec<_>>(), ["2", "3", "4"]);
        assert!(desk.disk(Stored::is_settled));
    }
}

#[test] // Section 4.8.2
fn a_crash_while_messages_of_an_ended_session_are_under_way_leaves_them_to_the_group() {
    let scene = Scene::new(|_| {});
    let hellos = ["a", "b"].map(|id| scene.desk.hello(id).lasting());
    let a = Scene::member(&hellos[0], 1);
    Scene::member(&hellos[1], 1).lose();
    scene.begin();
    scene.publish(3);
    a.expect_payloads(["1", "2", "3"]);
    scene.desk.hold_mail_to(0);
    a.send(disconnect().with(SESSION_ENDS));
    scene.desk.restart();
    let b = hellos[1].connect();
    assert_eq!(b.acknowledge_all().iter().map(Wire::text).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert!(scene.desk.disk(Stored::is_settled));
}

#[test]
fn who_got_back_what_it_gave_up_when_it_was_there_again_is_asked_the_next_time() {
    let scene = Scene::new(|settings| {
        settings.max_queued_messages = 1;
        settings.fan_out_bytes_max = 1;
    });
    let hello = scene.desk.hello("a").lasting();
    let a = Scene::member(&hello, 1);
    let mut b = scene.desk.hello("b").receive_maximum(1).connect();
    scene.begin();
    let publisher = scene.publish(3);
    a.expect_payloads(["1", "2", "3"]);
    b.subscribe(FILTER, 1);
    scene.desk.hold_mail();
    a.lose();
    scene.desk.read_parcel(0);
    // What the other had room for is gone.
    publisher.send_all((4..=5).map(|n| publish("t", n.to_string()).qos1(n)));
    scene.desk.read_parcel(1);
    let a = hello.connect();
    // Its owner learns that it is back before it reads all that was given up.
    scene.desk.deliver_mail();
    assert_eq!(a.take().len(), 3);
    assert_eq!(b.acknowledge_all().iter().map(Wire::text).collect::<Vec<_>>(), ["4", "5"]);
    a.lose();
    assert_eq!(b.acknowledge_all().len(), 2);
    assert_eq!(scene.desk.drops(), []);
}

#[test]
fn sessions_that_end_do_not_fill_the_queue_of_an_absent_member_beyond_its_bound() {
    for shards in [1, 3] {
        let desk = Desk::sharded(shards, |settings| settings.max_queued_messages = 3);
        let mut keeper = desk.client("keeper of the group");
        keeper.subscribe(FILTER, 0);
        let hello = desk.hello("absent").lasting();
        Scene::member(&hello, 1).lose();
        keeper.send(unsubscribe(1, [FILTER]));
        let publisher = desk.client("publisher");
        for _ in 0..5 {
            let passing = Scene::member(&desk.hello("passing"), 1);
            publisher.send_all((1..=4).map(|n| publish("t", n.to_string()).qos1(n)));
            assert_eq!(passing.take().len(), 4);
            passing.lose();
        }
        assert_eq!(hello.connect().acknowledge_all().len(), 3, "{shards}");
        assert_eq!(desk.drops(), [(Metric::DroppedQueueFull, 17)]);
        assert!(desk.disk(Stored::is_settled));
    }
}

#[test]
fn sessions_that_end_do_not_fill_the_queue_of_a_stuck_member_beyond_its_bound_in_bytes() {
    for shards in [1, 3] {
        let desk = Desk::sharded(shards, |settings| {
            settings.max_queued_messages = 0;
            settings.max_queued_bytes = 30;
        });
        let mut keeper = desk.client("keeper of the group");
        keeper.subscribe(FILTER, 0);
        let hello = desk.hello("stuck").lasting().receive_maximum(1);
        let stuck = Scene::member(&hello, 1);
        keeper.send(unsubscribe(1, [FILTER]));
        let publisher = desk.client("publisher");
        for _ in 0..5 {
            let passing = Scene::member(&desk.hello("passing"), 1);
            publisher.send_all((1..=4).map(|n| publish("t", [b'x'; 10]).qos1(n)));
            passing.lose();
        }
        // One is under way, and three wait.
        assert_eq!(stuck.acknowledge_all().len(), 4, "{shards}");
        assert_eq!(desk.drops(), [(Metric::DroppedQueueFull, 16)]);
    }
}

#[test] // [MQTT-3.3.4-3]
fn what_a_full_member_refused_and_takes_after_all_has_its_subscription_identifier() {
    let scene = Scene::new(|settings| {
        settings.outbox_bytes_max = 500;
        settings.fan_out_bytes_max = 1;
    });
    let slow = scene.desk.client("slow");
    slow.send(subscribe(1, FILTER, 0).with(Property::SubscriptionIdentifier(7)));
    slow.take();
    scene.begin();
    slow.stop_reading();
    scene.desk.hold_mail_to(0);
    scene.keeper.send_all((0..8).map(|_| publish("t", [b'x'; 100])));
    slow.read_on();
    // Its owner learns that it has room before it reads what was refused.
    scene.desk.deliver_mail();
    let got = slow.take();
    assert!(got.iter().all(|packet| packet.properties.subscription_identifier() == Some(7)), "{got:?}");
    assert_eq!((got.len(), scene.desk.drops()), (8, vec![]));
}

#[test]
fn who_has_no_room_leaves_a_message_to_one_that_has() {
    // Whether the owner hears in time that the full one lost its connection.
    for absent in [false, true] {
        let scene = Scene::new(|settings| settings.max_queued_messages = 2);
        let mut full = Scene::member(&scene.desk.hello("full").lasting().receive_maximum(2), 1);
        full.subscribe("own", 1);
        let idle = Scene::member(&scene.desk.hello("idle"), 1);
        scene.begin();
        let publisher = scene.desk.client("publisher");
        publisher.send_all((1..=4).map(|n| publish("own", n.to_string()).qos1(n)));
        full.expect_payloads(["1", "2"]);
        assert_eq!(publisher.take().len(), 4);
        scene.desk.hold_mail_to(0);
        if absent {
            full.lose();
        }
        publisher.send_all((1..=6).map(|n| publish("t", n.to_string()).qos1(n)));
        scene.desk.deliver_mail();
        let mut got: Vec<String> = idle.acknowledge_all().iter().map(Wire::text).collect();
        got.sort();
        assert_eq!(got, ["1", "2", "3", "4", "5", "6"], "{absent}");
        assert_eq!(scene.desk.drops(), []);
    }
}

#[test]
fn a_member_that_has_nothing_is_not_asked_for_it() {
    let scene = Scene::new(|_| {});
    let hello = scene.desk.hello("a").lasting();
    let mut a = hello.connect();
    let mut b = scene.desk.hello("b").receive_maximum(1).connect();
    let filters: Vec<String> = (0..20).map(|n| format!("$share/g/{n}")).collect();
    let mut keeper = scene.keeper;
    for filter in &filters {
        keeper.subscribe(filter, 0);
        a.subscribe(filter, 1);
        keeper.send(unsubscribe(1, [filter]));
        keeper.take();
    }
    keeper.send(publish("7", "x").qos1(1));
    a.expect_payloads(["x"]);
    filters.iter().for_each(|filter| b.subscribe(filter, 1));
    scene.desk.hold_mail();
    a.lose();
    scene.desk.read_parcel(0);
    assert!((1..500).contains(&scene.desk.mail_bytes()), "{}", scene.desk.mail_bytes());
    scene.desk.deliver_mail();
    b.expect_payloads(["x"]);
}

#[test]
fn a_member_is_full_no_more_when_what_filled_it_turns_out_too_large() {
    let scene = Scene::new(|settings| settings.outbox_bytes_max = 300);
    let hello = scene.desk.hello("m").lasting().maximum_packet_size(60);
    let mut member = Scene::member(&hello, 0);
    member.subscribe("own", 2);
    scene.begin();
    let publisher = scene.desk.client("publisher");
    scene.desk.hold_batches();
    (1..=5).for_each(|n| publisher.send_all([publish("own", [b'x'; 100]).qos2(n), pubrel(n)]));
    // They wait for the disk.
    scene.keeper.send(publish("t", "finds no room"));
    scene.desk.write_at_once();
    scene.desk.durable();
    assert_eq!(scene.desk.drops(), [(Metric::DroppedOutboxFull, 1), (Metric::DroppedTooLarge, 5)]);
    scene.keeper.send(publish("t", "finds room"));
    member.expect_payloads(["finds room"]);
}

#[test] // [MQTT-3.10.4-2]
fn what_is_under_way_to_a_member_that_leaves_goes_to_the_others() {
    for level in 0..=2 {
        for how in ["unsubscribes", "is lost", "ends"] {
            let scene = Scene::new(|_| {});
            let leaver = Scene::member(&scene.desk.hello("leaver").lasting(), level);
            let other = Scene::member(&scene.desk.hello("other"), level);
            scene.begin();
            scene.desk.hold_mail_to(1);
            scene.keeper.send_all((1..=4).map(|n| {
                let message = publish("t", n.to_string());
                if level == 0 { message } else { message.qos1(n) }
            }));
            match how {
                "unsubscribes" => {
                    leaver.send(unsubscribe(9, [FILTER]));
                    leaver.expect([unsuback(9, [0])]);
                }
                "is lost" => leaver.lose(),
                _ => leaver.send(disconnect().with(SESSION_ENDS)),
            }
            scene.desk.deliver_mail();
            leaver.expect_nothing();
            let mut got: Vec<String> = other.acknowledge_all().iter().map(Wire::text).collect();
            got.sort();
            assert_eq!(got, ["1", "2", "3", "4"], "{level} {how}");
            assert_eq!(scene.desk.drops(), []);
            assert!(scene.desk.disk(Stored::is_settled));
        }
    }
}

#[test]
fn what_an_owner_counts_is_right_again_whatever_became_of_a_message() {
    for became in ["dropped", "refused", "given up"] {
        let scene = Scene::new(|settings| settings.max_queued_messages = 1);
        let [hello, other] = ["a", "b"].map(|id| scene.desk.hello(id).lasting().receive_maximum(1));
        let mut a = Scene::member(&hello, 1);
        let mut b = other.connect();
        scene.begin();
        let publish_all = |topic| {
            scene.keeper.send_all((1..=2).map(|n| publish(topic, "x").qos1(n)));
            scene.keeper.take();
        };
        if became != "given up" {
            a.subscribe("own", 1);
            publish_all("own");
        }
        if became == "refused" {
            b.subscribe(FILTER, 1);
        }
        publish_all("t");
        if became != "refused" {
            b.subscribe(FILTER, 1);
        }
        if became == "given up" {
            a.lose();
            a = hello.connect();
        }
        let got = [&a, &b].map(|member| member.acknowledge_all().len());
        assert_eq!(
            got,
            if became == "dropped" {
                [2, 0]
            } else if became == "refused" {
                [2, 2]
            } else {
                [0, 2]
            }
        );
        // Both can take one, and do so in turn.
        let mut got = [0, 0];
        for n in 1..=4 {
            scene.keeper.send(publish("t", "even").qos1(n));
            got[0] += a.acknowledge_all().len();
            got[1] += b.acknowledge_all().len();
        }
        assert_eq!(got, [2, 2], "{became}");
    }
}

#[test]
fn what_a_member_elsewhere_has_is_known_after_a_restart() {
    let desk = Desk::sharded(3, |_| {});
    Scene::member(&desk.hello("on the owner's shard").lasting(), 1).lose();
    let hello = desk.hello("busy").lasting().receive_maximum(1);
    let busy = Scene::member(&hello, 1);
    desk.client("publisher").send(publish("t", "1").qos1(1));
    busy.expect_payloads(["1"]);
    desk.restart();
    let busy = hello.connect();
    busy.expect_payloads(["1"]);
    let free = Scene::member(&desk.hello("free"), 1);
    desk.client("publisher").send_all((2..=3).map(|n| publish("t", n.to_string()).qos1(n)));
    free.expect_payloads(["2", "3"]);
}

#[test]
fn who_was_full_has_room_by_a_new_connection() {
    let scene = Scene::new(|settings| settings.outbox_bytes_max = 500);
    let hello = scene.desk.hello("m").lasting();
    let member = Scene::member(&hello, 0);
    scene.begin();
    member.stop_reading();
    (0..8).for_each(|_| scene.keeper.send(publish("t", "x".repeat(100))));
    assert_eq!(scene.desk.drops(), [(Metric::DroppedOutboxFull, 3)]);
    member.lose();
    let member = hello.connect();
    scene.keeper.send(publish("t", "new"));
    member.expect_payloads(["new"]);
}

#[test]
fn who_comes_with_many_groups_is_not_read_while_their_owner_is_behind() {
    let desk = Desk::sharded(2, |settings| settings.mail_bytes_max = 2000);
    let mut keeper = desk.client("keeper of the groups");
    let hello = desk.hello("m").lasting();
    let mut member = hello.connect();
    for n in 0..50 {
        let filter = format!("$share/g/{n}");
        keeper.subscribe(&filter, 0);
        member.subscribe(&filter, 0);
    }
    desk.hold_mail_to(0);
    member.lose();
    assert_eq!(desk.next_shard(), 0);
    desk.client("so that it comes to its own shard");
    let member = hello.connect();
    assert!(member.is_paused());
    desk.deliver_mail();
    assert!(!member.is_paused());
}
