//! Several shards: connections that belong elsewhere, messages that cross, and what happens when one cannot keep up.
//! Clients are dealt to the shards in turn.

use noctule_broker::metric::Metric;
use noctule_protocol::ProtocolVersion::V5;
use noctule_protocol::ReasonCode as Reason;

use crate::desk::*;

/// Client ids of clients that are dealt to shards without a meaning of their own.
fn fill(desk: &Desk, count: usize) -> Vec<Client> {
    (0..count).map(|n| desk.client(&format!("filler{n}"))).collect()
}

#[test]
fn who_comes_back_on_another_shard_finds_its_session_and_nothing_of_what_it_sent_is_lost() {
    let desk = Desk::sharded(3, |_| {});
    let mut away = desk.hello("a").lasting().connect();
    away.subscribe("t", 1);
    away.lose();
    let publisher = desk.client("p");
    publisher.send(publish("t", "waited").qos1(1));
    publisher.expect([puback(1)]);
    let listener = {
        let mut listener = desk.client("l");
        listener.subscribe("from/a", 1);
        listener
    };
    // Everything in one write, on a shard that has no such session.
    let back = desk.open(V5);
    let hello = desk.hello("a").lasting();
    back.send_bytes(
        &[hello.bytes(), publish("from/a", "1").encode(V5), publish("from/a", "2").encode(V5)].concat(),
    );
    let got = back.take();
    assert_eq!(got[0].kind.name(), "CONNACK");
    assert_eq!(got[1..], [publish("t", "waited").qos1(1)]);
    listener.expect_payloads(["1", "2"]);
    assert_eq!(desk.drops(), []);
}

#[test] // [MQTT-3.1.4-3]
fn a_session_is_taken_over_across_shards() {
    for clean in [false, true] {
        let desk = Desk::sharded(2, |_| {});
        let old = desk.hello("a").lasting().connect();
        for _ in 0..5 {
            let hello = desk.hello("a").expiry(u32::MAX);
            let new = if clean { hello.connect() } else { hello.resume().connect() };
            assert_eq!(new.session_present, !clean);
            assert_eq!(desk.session_count(), 1);
            new.send(pingreq());
            new.expect([pingresp()]);
        }
        old.expect_end(Reason::SessionTakenOver);
    }
}

#[test] // [MQTT-4.6.0-5] [MQTT-4.6.0-6]
fn order_holds_from_one_publisher_to_each_subscriber_wherever_they_are() {
    let desk = Desk::sharded(3, |_| {});
    let subscribers: Vec<Client> = (0..6)
        .map(|n| {
            let mut client = desk.client(&format!("s{n}"));
            client.subscribe("t/#", 2);
            client
        })
        .collect();
    let publisher = desk.client("p");
    let packets = (1..=300).map(|n| match n % 3 {
        0 => publish("t/a", n.to_string()),
        1 => publish("t/b", n.to_string()).qos1(n),
        _ => publish("t/a/b", n.to_string()),
    });
    publisher.send_all(packets);
    for subscriber in subscribers {
        let numbers: Vec<u16> =
            subscriber.acknowledge_all().iter().map(|packet| packet.text().parse().unwrap()).collect();
        let of =
            |kind: u16| numbers.iter().filter(move |&&n| (n % 3 == 1) == (kind == 1)).collect::<Vec<_>>();
        assert_eq!(numbers.len(), 300);
        assert!(of(0).is_sorted() && of(1).is_sorted());
    }
}

#[test]
fn a_long_fan_out_goes_on_in_later_turns_and_what_follows_waits_behind_it() {
    for shards in [1, 2] {
        // Three deliveries a turn.
        let desk = Desk::sharded(shards, |settings| settings.fan_out_bytes_max = 300);
        let subscribers: Vec<Client> = (0..20)
            .map(|n| {
                let mut client = desk.client(&format!("s{n}"));
                client.subscribe("t", 1);
                client
            })
            .collect();
        let publisher = desk.hello("p").will(will("t", "gone")).connect();
        let mut other = desk.client("o");
        other.subscribe("u", 0);
        publisher.send_all([
            publish("t", "1").qos1(1),
            publish("u", "aside"),
            publish("t", "2").qos1(2),
            publish("t", "3"),
        ]);
        publisher.expect([puback(1), puback(2)]);
        assert!(!publisher.is_paused());
        publisher.lose();
        for subscriber in &subscribers {
            let got: Vec<_> = subscriber.acknowledge_all().iter().map(Wire::text).collect();
            assert_eq!(got, ["1", "2", "3", "gone"]);
        }
        other.expect_payloads(["aside"]);
        assert_eq!(desk.drops(), []);
    }
}

#[test] // [MQTT-4.6.0-5]
fn what_is_recorded_for_a_session_that_lasts_no_more_is_not_overtaken() {
    let desk = Desk::sharded(1, |settings| settings.fan_out_bytes_max = 100);
    let mut subscriber = desk.hello("s").lasting().connect();
    subscriber.subscribe("t", 2);
    subscriber.lose();
    let subscriber = desk.hello("s").resume().connect();
    assert!(subscriber.session_present);
    let publisher = desk.client("p");
    desk.hold_batches();
    let long = "long".repeat(20);
    publisher.send_all([publish("t", &long).qos2(1), pubrel(1)]);
    publisher.send_all([publish("t", "short").qos2(2), pubrel(2)]);
    let got: Vec<_> = subscriber.take().iter().map(Wire::text).collect();
    assert_eq!(got, [long.as_str(), "short"]);
    desk.durable();
    subscriber.send_all([pubrec(1), pubrec(2), pubcomp(1), pubcomp(2)]);
    desk.durable();
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn a_long_fan_out_survives_its_publisher_and_a_crash() {
    let desk = Desk::sharded(2, |settings| settings.fan_out_bytes_max = 300);
    let hellos: Vec<Hello> = (0..10).map(|n| desk.hello(&format!("s{n}")).lasting()).collect();
    for hello in &hellos {
        let mut client = hello.connect();
        client.subscribe("t", 1);
        client.lose();
    }
    let publisher = desk.client("p");
    publisher.send(publish("t", "kept").qos1(1));
    publisher.expect([puback(1)]);
    desk.restart();
    for hello in hellos {
        let client = hello.connect();
        let got: Vec<_> = client.acknowledge_all().iter().map(Wire::text).collect();
        assert_eq!(got, ["kept"]);
    }
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn who_feeds_a_busy_shard_is_not_read_until_it_has_caught_up() {
    let desk = Desk::sharded(2, |settings| settings.mail_bytes_max = 2000);
    let _one = desk.client("on the first shard");
    let mut subscriber = desk.client("s");
    subscriber.subscribe("t", 1);
    let publisher = desk.client("p");
    let text = "x".repeat(500);
    publisher.send_all((1..=50).map(|n| publish("t", text.clone()).qos1(n)));
    assert!(desk.pauses() > 0, "it was paused");
    assert!(!publisher.is_paused(), "and goes on");
    assert_eq!(publisher.take().len(), 50);
    assert_eq!(subscriber.acknowledge_all().len(), 50);
    assert_eq!(desk.drops(), []);
}

#[test]
fn each_message_of_a_group_goes_to_one_member_wherever_members_and_publishers_are() {
    let desk = Desk::sharded(3, |_| {});
    let members: Vec<Client> = (0..5)
        .map(|n| {
            let mut client = desk.client(&format!("m{n}"));
            client.subscribe("$share/g/t", 1);
            client
        })
        .collect();
    let publishers: Vec<Client> = (0..4).map(|n| desk.client(&format!("p{n}"))).collect();
    for round in 0..10 {
        for (number, publisher) in publishers.iter().enumerate() {
            publisher.send(publish("t", format!("{number}/{round}")).qos1(round + 1));
        }
    }
    let mut all: Vec<String> = members.iter().flat_map(|m| m.acknowledge_all()).map(|p| p.text()).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 40);
    drop(members);
}

#[test]
fn what_a_member_leaves_goes_to_members_on_other_shards() {
    let desk = Desk::sharded(3, |_| {});
    let mut keeper = desk.client("keeper of the group");
    keeper.subscribe("$share/g/t", 1);
    let hello = desk.hello("leaver").lasting().receive_maximum(2);
    let mut leaver = hello.connect();
    leaver.subscribe("$share/g/t", 1);
    keeper.send(unsubscribe(1, ["$share/g/t"]));
    keeper.take();
    let publisher = desk.client("p");
    publisher.send_all((1..=5).map(|n| publish("t", n.to_string()).qos1(n)));
    leaver.expect_payloads(["1", "2"]);
    let mut heir = desk.client("heir");
    heir.subscribe("$share/g/t", 1);
    leaver.lose();
    let mut got: Vec<_> = heir.acknowledge_all().iter().map(Wire::text).collect();
    got.sort();
    assert_eq!(got, ["1", "2", "3", "4", "5"]);
    hello.connect().expect_nothing();
    assert_eq!(desk.drops(), []);
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn a_group_that_lasts_loses_nothing_with_its_fleeting_members() {
    let desk = Desk::sharded(2, |_| {});
    let hello = desk.hello("lasting").lasting();
    let mut lasting = hello.connect();
    lasting.subscribe("$share/g/t", 1);
    let mut fleeting = desk.client("fleeting");
    fleeting.subscribe("$share/g/t", 1);
    lasting.lose();
    let publisher = desk.client("p");
    publisher.send(publish("t", "x").qos1(1));
    publisher.expect([puback(1)]);
    fleeting.expect_payloads(["x"]);
    // Sent, not acknowledged, and now the broker dies.
    desk.restart();
    hello.connect().expect([publish("t", "x").qos1(1)]);
}

#[test] // [MQTT-3.3.1-9]
fn what_is_retained_is_found_from_every_shard_and_comes_once() {
    let desk = Desk::sharded(3, |_| {});
    let publishers = fill(&desk, 3);
    for (n, publisher) in publishers.iter().enumerate() {
        publisher.send(publish(&format!("r/{n}"), "kept").qos2(1).retained());
        publisher.send(pubrel(1));
    }
    for (n, publisher) in publishers.iter().enumerate() {
        let mut subscriber = desk.client(&format!("s{n}"));
        subscriber.subscribe("r/#", 2);
        assert_eq!(subscriber.acknowledge_all().len(), 3);
        publisher.send(publish("r/0", format!("new {n}")).retained());
        assert_eq!(subscriber.payloads(), [format!("new {n}")]);
    }
    assert_eq!(desk.drops(), []);
}

#[test]
fn what_is_on_its_way_to_a_session_that_ends_is_counted() {
    let desk = Desk::sharded(2, |_| {});
    let subscriber = {
        let _other = desk.client("on the first shard");
        let mut subscriber = desk.client("s");
        subscriber.subscribe("t", 1);
        subscriber
    };
    let publisher = desk.client("p");
    // Both in the same turn: the message is sent to a shard where the session ends first.
    desk.hold_mail();
    publisher.send(publish("t", "late").qos1(1));
    subscriber.send(disconnect());
    desk.deliver_mail();
    publisher.expect([puback(1)]);
    assert_eq!(desk.drops(), [(Metric::DroppedSessionEnded, 1)]);
}

#[test]
fn a_long_fan_out_does_not_hold_up_other_publishers() {
    let desk = Desk::sharded(1, |settings| settings.fan_out_bytes_max = 300);
    let subscribers: Vec<Client> = (0..20)
        .map(|n| {
            let mut client = desk.client(&format!("s{n}"));
            client.subscribe("t", 0);
            client
        })
        .collect();
    let mut other = desk.client("o");
    other.subscribe("u", 0);
    let long = desk.client("long");
    let short = fill(&desk, 3);
    desk.hold_turns();
    long.send(publish("t", "long"));
    for client in &short {
        client.send_all((0..50).map(|n| publish("u", n.to_string())));
    }
    desk.end_turns();
    assert_eq!(desk.pauses(), 1, "only who published the long one waits for it");
    assert_eq!(other.payloads().len(), 150);
    assert!(subscribers.iter().all(|subscriber| subscriber.payloads() == ["long"]));
}

#[test] // [MQTT-4.6.0-5]
fn who_comes_again_while_its_message_is_being_passed_on_stands_behind_it() {
    let desk = Desk::sharded(1, |settings| settings.fan_out_bytes_max = 300);
    let subscribers: Vec<Client> = (0..20)
        .map(|n| {
            let mut client = desk.client(&format!("s{n}"));
            client.subscribe("t/#", 0);
            client
        })
        .collect();
    let mut one = desk.client("one");
    one.subscribe("t/a", 0);
    let long = desk.hello("long").will(will("t/a", "2")).connect();
    desk.hold_turns();
    long.send(publish("t/a", "1"));
    let again = desk.hello("long").send();
    again.send_all([publish("t/a", "3"), publish("t/a", "4")]);
    desk.end_turns();
    for subscriber in subscribers.iter().chain([&one]) {
        assert_eq!(subscriber.payloads(), ["1", "2", "3", "4"]);
    }
}

#[test]
fn what_a_group_had_recorded_is_settled_when_a_member_gets_it_with_qos_0() {
    let desk = Desk::sharded(2, |settings| settings.outbox_bytes_max = 50);
    let hello = desk.hello("lasting").lasting();
    let mut lasting = hello.connect();
    lasting.subscribe("$share/g/t", 1);
    lasting.lose();
    let publisher = desk.client("on the other shard");
    publisher.send_all([publish("r/1", [b'x'; 100]).retained(), publish("r/2", [b'x'; 100]).retained()]);
    let mut member = desk.client("m");
    member.subscribe("$share/g/t", 0);
    member.stop_reading();
    // What comes now waits behind the second retained message.
    member.send(subscribe(7, "r/#", 0));
    publisher.send(publish("t", "once").qos1(1));
    publisher.expect([puback(1)]);
    member.read_on();
    let got = member.take();
    assert_eq!(got.last().map(Wire::text).as_deref(), Some("once"));
    assert!(desk.disk(Stored::is_settled));
    desk.restart();
    hello.connect().expect_nothing();
}

#[test]
fn who_feeds_a_busy_shard_by_way_of_a_group_is_not_read_either() {
    // By a publisher on the shard that owns the group, and by one on another.
    for publisher_on in [0, 2] {
        let desk = Desk::sharded(3, |settings| settings.mail_bytes_max = 2000);
        let mut keeper = desk.client("keeper of the group");
        keeper.subscribe("$share/g/t", 1);
        let mut member = desk.client("on the busy shard");
        member.subscribe("$share/g/t", 1);
        keeper.send(unsubscribe(1, ["$share/g/t"]));
        let clients = [desk.client("2"), desk.client("0")];
        let publisher = if publisher_on == 2 { &clients[0] } else { &clients[1] };
        desk.hold_mail_to(1);
        let text = "x".repeat(500);
        (1..=50).for_each(|n| publisher.send(publish("t", text.clone()).qos1(n)));
        assert!(publisher.is_paused(), "{publisher_on}");
        let acknowledged = publisher.take().len();
        assert!(acknowledged < 12, "{publisher_on}: {acknowledged}");
        desk.deliver_mail();
        assert!(!publisher.is_paused());
        assert_eq!(acknowledged + publisher.take().len(), 50);
        assert_eq!(member.acknowledge_all().len(), 50);
        assert_eq!(desk.drops(), []);
    }
}

#[test]
fn shards_that_are_busy_with_each_others_groups_go_on() {
    let desk = Desk::sharded(2, |settings| settings.mail_bytes_max = 2000);
    let mut members = [desk.client("m0"), desk.client("m1")];
    let [on_0, on_1] = &mut members;
    // Each group belongs to the one shard and has its members on the other.
    on_0.subscribe("$share/a/a", 1);
    on_1.subscribe("$share/a/a", 1);
    on_0.send(unsubscribe(1, ["$share/a/a"]));
    on_0.take();
    on_1.subscribe("$share/b/b", 1);
    on_0.subscribe("$share/b/b", 1);
    on_1.send(unsubscribe(1, ["$share/b/b"]));
    on_1.take();
    let publishers = [desk.client("p0"), desk.client("p1")];
    let text = "x".repeat(500);
    desk.hold_mail();
    for n in 1..=60 {
        for publisher in &publishers {
            publisher.send(publish(if n % 2 == 0 { "a" } else { "b" }, text.clone()).qos1(n));
        }
    }
    assert!(publishers.iter().all(Client::is_paused));
    desk.deliver_mail();
    for publisher in &publishers {
        assert!(!publisher.is_paused());
        assert_eq!(publisher.take().len(), 60);
    }
    let got: usize = members.iter().map(|member| member.acknowledge_all().len()).sum();
    assert_eq!((got, desk.drops()), (120, vec![]));
}

#[test] // [MQTT-3.1.2-22]
fn silence_counts_from_when_a_paused_connection_is_read_again() {
    let desk = Desk::sharded(2, |settings| settings.mail_bytes_max = 1);
    let publisher = desk.hello("p").keep_alive(10).connect();
    let mut subscriber = desk.client("on the other shard");
    subscriber.subscribe("t", 0);
    desk.hold_mail();
    publisher.send(publish("t", "1"));
    desk.sleep(14.5);
    assert!(publisher.is_paused());
    desk.deliver_mail();
    assert!(!publisher.is_paused());
    desk.sleep(1.0);
    assert!(!publisher.is_closed());
    desk.sleep(15.0);
    publisher.expect_end(Reason::KeepAliveTimeout);
}

#[test]
fn a_qos_0_message_that_a_member_gives_back_frees_no_place_in_its_window() {
    let desk = Desk::sharded(2, |settings| settings.queue_qos0_messages = true);
    let mut keeper = desk.client("keeper of the group");
    keeper.subscribe("$share/g/t", 1);
    let hello = desk.hello("m").lasting().receive_maximum(1);
    let mut member = hello.connect();
    member.subscribe("$share/g/t", 2);
    keeper.send(unsubscribe(1, ["$share/g/t"]));
    keeper.take();
    let publisher = desk.client("p");
    publisher.send_all([publish("t", "in flight").qos2(1), pubrel(1)]);
    assert_eq!(member.payloads(), ["in flight"]);
    member.lose();
    publisher.send(publish("t", "given back"));
    // Back, and lost again before anything is sent to it; meanwhile there is somebody else.
    desk.hold_batches();
    let member = hello.send();
    let mut heir = desk.client("heir");
    heir.subscribe("$share/g/t", 0);
    member.lose();
    desk.write_at_once();
    desk.durable();
    assert_eq!(heir.payloads(), ["given back"]);
    let member = hello.connect();
    member.take();
    publisher.send_all((2..6).map(|n| publish("t", n.to_string()).qos1(n)));
    assert_eq!(heir.payloads(), ["2", "3", "4", "5"], "the other has no place");
}
