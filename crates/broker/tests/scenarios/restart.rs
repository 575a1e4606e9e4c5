//! The broker is killed and comes back with what was on the disk.

use noctule_broker::record::Table;
use noctule_protocol::ProtocolVersion::{V5, V311};
use noctule_protocol::QoS;
use noctule_protocol::property::Property;

use crate::desk::*;

#[test] // [MQTT-3.1.2-23] [MQTT-4.4.0-1] [MQTT311-3.1.2-4] [MQTT311-4.4.0-1]
fn sessions_subscriptions_and_messages_come_back() {
    for version in [V311, V5] {
        let desk = Desk::new();
        let hello = desk.hello("s").version(version).lasting();
        let mut subscriber = hello.connect();
        subscriber.subscribe("t", 2);
        desk.client("fleeting").subscribe("t", 2);
        let publisher = desk.client("p");
        publisher.send_all([publish("t", "1").qos1(1), publish("t", "2").qos2(2), pubrel(2)]);
        subscriber.expect([publish("t", "1").qos1(1), publish("t", "2").qos2(2)]);
        desk.restart();
        assert_eq!((desk.session_count(), desk.subscription_count()), (1, 1));
        // It is not known whether QoS 1 was sent. QoS 2 keeps its identifier.
        let subscriber = hello.connect();
        assert!(subscriber.session_present);
        let mut received = subscriber.take();
        received.sort_by_key(Wire::text);
        assert_eq!(received[1], publish("t", "2").qos2(2).dup());
        assert_eq!((received.len(), received[0].text()), (2, "1".into()));
        subscriber.send_all([puback(received[0].id), pubrec(2)]);
        subscriber.expect([pubrel(2)]);
        desk.restart();
        let subscriber = hello.connect();
        subscriber.expect([pubrel(2)]);
        subscriber.send(pubcomp(2));
        assert!(desk.disk(Stored::is_settled));
        desk.client("p").send(publish("t", "3").qos1(1));
        assert_eq!(subscriber.take().iter().map(Wire::text).collect::<Vec<_>>(), ["3"]);
    }
}

#[test]
fn a_queue_keeps_its_order_though_its_publisher_came_by_way_of_many_shards() {
    let desk = Desk::new();
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 1);
    subscriber.lose();
    let texts = ["1", "2", "3", "4", "5", "6", "7"];
    for text in texts {
        // Its session ends each time, so that any shard may have the next.
        let publisher = desk.client("p");
        publisher.send(publish("t", text).qos1(1));
        publisher.expect([puback(1)]);
        publisher.lose();
        desk.sleep(0.001);
    }
    desk.restart();
    let received = hello.connect().take();
    assert_eq!(received.iter().map(Wire::text).collect::<Vec<_>>(), texts); // [MQTT-4.6.0-5]
}

#[test]
fn what_was_acknowledged_is_kept_and_nothing_comes_twice_with_qos_2() {
    let desk = Desk::new();
    let mut subscriber = desk.hello("s").lasting().connect();
    subscriber.subscribe("t", 2);
    subscriber.lose();
    let hello = desk.hello("p").lasting();
    let publisher = hello.connect();
    publisher.send(publish("t", "x").qos2(1));
    publisher.expect([pubrec(1)]);
    desk.restart();
    // Its PUBREC may be lost on the way.
    let publisher = hello.connect();
    publisher.send(publish("t", "x").qos2(1).dup());
    publisher.expect([pubrec(1)]);
    desk.hold_batches();
    publisher.send(pubrel(1));
    desk.restart(); // Before the batch was durable: the exchange stands.
    desk.write_at_once();
    let publisher = hello.connect();
    publisher.send(pubrel(1));
    publisher.expect([pubcomp(1)]);
    desk.restart();
    let publisher = hello.connect();
    publisher.send(pubrel(1));
    publisher.expect([pubcomp(1)]);
    let received = desk.hello("s").lasting().connect().acknowledge_all();
    assert_eq!(received.iter().map(Wire::text).collect::<Vec<_>>(), ["x"]);
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn retained_messages_come_back_with_their_time() {
    let desk = Desk::new();
    let expiring = |packet: Wire, seconds| packet.with(Property::MessageExpiryInterval(seconds));
    let user = Property::UserProperty("k", "v");
    desk.client("p").send_all([
        expiring(publish("a", "1").qos1(1).retained().with(user), 100),
        publish("b", "2").retained(),
        publish("b", "").retained(),
        publish("c", "3").retained(),
    ]);
    desk.sleep(40.0);
    desk.restart();
    let mut client = desk.client("s");
    client.subscribe("#", 1);
    client.expect([
        expiring(publish("a", "1").qos1(1).retained().with(user), 60),
        publish("c", "3").retained(),
    ]);
    desk.sleep(121.0);
    assert_eq!(desk.retained_count(), 1);
}

#[test] // [MQTT-3.1.2-8]
fn a_crash_is_a_lost_connection_for_wills_and_expiry() {
    let desk = Desk::new();
    let mut watcher = desk.hello("w").lasting().connect();
    watcher.subscribe("gone/#", 1);
    let hello = |id| desk.hello(id).expiry(50);
    let testament = |topic| will(topic, "x").qos(QoS::AtLeastOnce);
    hello("now").will(testament("gone/now")).connect();
    hello("later").will(testament("gone/later").delay(10)).connect();
    hello("away").will(testament("gone/away").delay(30)).connect().lose();
    hello("left").will(testament("gone/left")).connect().send(disconnect());
    desk.sleep(25.0);
    desk.restart();
    let watcher = desk.hello("w").lasting().connect();
    let gone = || watcher.acknowledge_all().iter().map(|packet| packet.topic.clone()).collect::<Vec<_>>();
    desk.sleep(0.1);
    assert_eq!(gone(), ["gone/now"]);
    desk.sleep(5.0);
    assert_eq!(gone(), ["gone/away"]);
    desk.sleep(5.0);
    assert_eq!(gone(), ["gone/later"]);
    // Time away counts, time connected does not.
    desk.sleep(15.1);
    assert_eq!(desk.session_count(), 3);
    desk.sleep(25.1);
    assert_eq!(desk.session_count(), 1);
}

#[test] // [MQTT-3.1.2-8] [MQTT-3.1.3-9]
fn who_is_back_at_once_has_lost_its_connection_all_the_same() {
    for version in [V311, V5] {
        let desk = Desk::new();
        let mut watcher = desk.hello("w").lasting().connect();
        watcher.subscribe("gone/#", 1);
        let hello = |id| desk.hello(id).version(version).lasting();
        let testament = |topic| will(topic, "x").qos(QoS::AtLeastOnce);
        hello("now").will(testament("gone/now")).connect();
        if version == V5 {
            hello("later").will(testament("gone/later").delay(10)).connect();
        }
        desk.restart();
        // Before any deadline was looked at.
        assert!(hello("now").connect().session_present);
        if version == V5 {
            assert!(hello("later").connect().session_present);
        }
        desk.sleep(20.0);
        let watcher = desk.hello("w").lasting().connect();
        let gone: Vec<_> = watcher.acknowledge_all().iter().map(|packet| packet.topic.clone()).collect();
        assert_eq!(gone, ["gone/now"]);
    }
}

#[test] // [MQTT-4.6.0-5]
fn order_is_kept_over_the_crash() {
    let desk = Desk::new();
    let hello = desk.hello("s").lasting().receive_maximum(2);
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 1);
    let numbers = |range: std::ops::Range<u16>| {
        let publisher = desk.client_of(V311, "p");
        publisher.send_all(range.map(|n| publish("t", n.to_string()).qos1(n)));
    };
    numbers(1..6);
    desk.restart();
    numbers(6..9);
    let received: Vec<_> = hello.connect().acknowledge_all().iter().map(Wire::text).collect();
    assert_eq!(received, (1..9).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn shared_subscriptions_come_back() {
    let desk = Desk::new();
    let hello = ["a", "b"].map(|id| desk.hello(id).lasting());
    for hello in &hello {
        hello.connect().subscribe("$share/g/t", 1);
    }
    desk.client("p").send_all((1..=4).map(|n| publish("t", n.to_string()).qos1(n)));
    desk.restart();
    let received = hello.each_ref().map(|hello| hello.connect().acknowledge_all().len());
    assert_eq!(received.iter().sum::<usize>(), 4);
    let publisher = desk.client("p");
    publisher.send_all([publish("t", "x").qos1(1)]);
    publisher.expect([puback(1)]);
    assert_eq!(desk.subscription_count(), 1);
}

#[test] // [MQTT-4.1.0-2]
fn a_session_that_ended_does_not_come_back() {
    let desk = Desk::new();
    let mut clients =
        ["clean", "disconnect", "expired", "short"].map(|id| desk.hello(id).expiry(20).connect());
    for client in &mut clients {
        client.subscribe("t", 2);
        client.send(publish("u", "in").qos2(9));
    }
    desk.client("p").send_all([publish("t", "1").qos1(1), publish("t", "2").qos2(2), pubrel(2)]);
    let [clean, leaving, expired, short] = clients;
    clean.lose();
    desk.client("clean");
    leaving.send(disconnect().with(Property::SessionExpiryInterval(0)));
    short.lose();
    let short = desk.hello("short").resume().connect();
    assert!(short.session_present);
    expired.lose();
    desk.sleep(21.0);
    desk.restart();
    assert_eq!((desk.session_count(), desk.subscription_count()), (0, 0));
    assert!(desk.disk(Stored::is_settled));
}

#[test] // [MQTT-3.8.3-3]
fn no_local_holds_over_the_crash() {
    let desk = Desk::new();
    let hello = desk.hello("a").lasting();
    let mut client = hello.connect();
    client.subscribe("t", qos(1).no_local());
    client.send(publish("t", "mine").retained());
    desk.restart();
    let mut client = hello.connect();
    client.send(publish("t", "mine"));
    client.subscribe("t", qos(1).no_local());
    client.expect_nothing();
}

#[test]
fn a_session_is_given_up_for_good_before_the_client_hears_of_it() {
    for given_up in [|hello: Hello| hello, Hello::resume] {
        let desk = Desk::new();
        desk.hello("c").lasting().connect().lose();
        desk.hold_batches();
        let client = given_up(desk.hello("c")).send();
        client.expect_nothing();
        assert_eq!(desk.waiting_batches().last(), Some(&true));
        desk.durable();
        client.accepted();
        desk.restart();
        assert_eq!(desk.session_count(), 0);
    }
}

#[test]
fn a_message_that_is_retained_and_queued_is_one_record_after_the_crash_too() {
    let desk = Desk::new();
    let hello = desk.hello("a").lasting();
    let mut first = hello.connect();
    first.subscribe("t", 1);
    first.lose();
    desk.client("p").send(publish("t", "x").qos1(1).retained());
    desk.restart();
    // The retained copy is sent and acknowledged; the queued one still waits.
    let mut second = desk.hello("b").lasting().connect();
    second.subscribe("t", 1);
    assert_eq!(second.acknowledge_all().len(), 1);
    assert_eq!(desk.disk(|disk| disk.messages.clone()), [1]);
    desk.restart();
    assert_eq!(hello.connect().acknowledge_all().len(), 1);
    assert!(desk.disk(Stored::is_settled));
}

#[test] // Section 4.8.2
fn messages_of_a_shared_subscription_go_to_other_members_after_the_crash_too() {
    let desk = Desk::new();
    let hello = ["a", "b"].map(|id| desk.hello(id).lasting());
    for hello in &hello {
        hello.connect().subscribe("$share/g/t", 1);
    }
    desk.client("p").send_all((1..=4).map(|n| publish("t", n.to_string()).qos1(n)));
    desk.restart();
    let b = hello[1].connect();
    let of_b = b.acknowledge_all().len();
    desk.client("a"); // The old session ends.
    assert_eq!(of_b + b.acknowledge_all().len(), 4);
    assert_eq!(desk.drops(), []);
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn crash_after_crash_a_session_expires_in_the_end() {
    let desk = Desk::new();
    desk.hello("s").expiry(100).connect();
    for _ in 0..3 {
        desk.restart();
        desk.sleep(40.0);
    }
    desk.restart();
    desk.sleep(0.1);
    assert_eq!(desk.session_count(), 0);
}

#[test]
fn what_was_too_large_leaves_nothing_behind() {
    let desk = Desk::new();
    let hello = desk.hello("a").lasting();
    let mut a = hello.connect();
    a.subscribe("t", 1);
    let mut b = desk.hello("b").lasting().maximum_packet_size(50).connect();
    b.subscribe("t", 1);
    desk.client("p").send(publish("t", "x".repeat(100)).qos1(1));
    desk.sleep(0.6);
    desk.restart();
    assert_eq!(hello.connect().acknowledge_all().len(), 1);
    assert_eq!(desk.disk_rows(&[Table::Message, Table::Delivery]), 0);
}

#[test]
fn clearing_what_was_just_cleared_is_acknowledged_when_both_are_on_the_disk() {
    let desk = Desk::new();
    let publisher = desk.client("p");
    publisher.send(publish("t", "x").qos1(1).retained());
    publisher.take();
    desk.hold_batches();
    publisher.send(publish("t", "").retained());
    publisher.send(publish("t", "").qos1(2).retained());
    publisher.expect_nothing();
    desk.durable();
    publisher.take();
    desk.restart();
    assert_eq!(desk.retained_count(), 0);
}
