//! Overlapping subscriptions of one client.

use noctule_protocol::ProtocolVersion::V311;
use noctule_protocol::property::Property;

use crate::desk::*;

fn id(number: u32) -> Property<'static> {
    Property::SubscriptionIdentifier(number)
}

fn sorted(mut packets: Vec<Wire>) -> Vec<String> {
    packets.iter_mut().for_each(|packet| packet.id = 0);
    let mut texts: Vec<_> = packets.iter().map(|packet| format!("{packet:?}")).collect();
    texts.sort_unstable();
    texts
}

#[test] // [MQTT-3.3.4-5]
fn a_copy_per_subscription_with_its_own_qos_and_identifier() {
    let desk = Desk::new();
    let client = desk.client("a");
    client.send(subscribe(1, "a/+", 0).with(id(1)));
    client.send(subscribe(2, "a/#", 1).with(id(2)));
    client.send(subscribe(3, "a/b", 2));
    client.take();
    let publisher = desk.client("p");
    for _ in 0..3 {
        publisher.send_all([publish("a/b", "x").qos2(1), pubrel(1)]);
        let expected = [
            "PUBLISH q0 \"a/b\" \"x\" SubscriptionIdentifier(1)",
            "PUBLISH q1 \"a/b\" \"x\" SubscriptionIdentifier(2)",
            "PUBLISH q2 \"a/b\" \"x\"",
        ];
        assert_eq!(sorted(client.acknowledge_all()), expected);
    }
}

#[test] // [MQTT-3.3.4-2] [MQTT-3.3.4-4] [MQTT311-3.3.5-1]
fn one_copy_if_duplicates_are_not_allowed() {
    let desk = Desk::with(|settings| settings.allow_duplicate_messages = false);
    let client = desk.client("a");
    client.send(subscribe(1, "a/+", 0).with(id(1)));
    client.send(subscribe(2, "a/#", 2).with(id(2)));
    client.send(subscribe(3, "a/b", 1));
    client.take();
    let mut old = desk.client_of(V311, "b");
    old.subscribe("a/b", 0);
    old.subscribe("#", 1);
    let publisher = desk.client("p");
    publisher.send_all([publish("a/b", "x").qos2(1), pubrel(1)]);
    let received = client.acknowledge_all();
    assert_eq!(received.len(), 1);
    let mut identifiers: Vec<_> = received[0].properties.subscription_identifiers().collect();
    identifiers.sort_unstable();
    assert_eq!((received[0].qos.level(), &identifiers[..]), (2, &[1, 2][..]));
    old.expect([publish("a/b", "x").qos1(1)]);
}

#[test] // [MQTT-3.8.3-3] [MQTT-3.3.4-4]
fn retain_as_published_and_no_local_when_merged() {
    let desk = Desk::with(|settings| settings.allow_duplicate_messages = false);
    let client = desk.client("a");
    client.send(subscribe(1, "a/+", qos(0).no_local()).with(id(1)));
    client.send(subscribe(2, "a/#", qos(1).retain_as_published()).with(id(2)));
    client.take();
    // Its own message comes by the second subscription only.
    client.send(publish("a/b", "mine").qos1(1).retained());
    client.expect([publish("a/b", "mine").qos1(1).retained().with(id(2)), puback(1)]);
    // Another's comes once, for both.
    desk.client("p").send(publish("a/b", "other").qos1(1));
    let identifiers: Vec<_> =
        client.take().iter().map(|p| p.properties.subscription_identifiers().count()).collect();
    assert_eq!(identifiers, [2]);
}

#[test]
fn a_shared_and_a_plain_subscription_give_two_copies_always() {
    for duplicates in [true, false] {
        let desk = Desk::with(|settings| settings.allow_duplicate_messages = duplicates);
        let mut client = desk.client("a");
        client.subscribe("t", 0);
        client.subscribe("$share/g/t", 0);
        client.subscribe("$share/h/t", 0);
        desk.client("p").send(publish("t", "x"));
        client.expect_payloads(["x", "x", "x"]);
    }
}

#[test]
fn overlaps_for_a_session_that_is_away() {
    let desk = Desk::new();
    let hello = desk.hello("a").lasting();
    let mut client = hello.connect();
    client.subscribe("a/b", 1);
    client.subscribe("a/+", 2);
    client.lose();
    desk.client("p").send_all([publish("a/b", "x").qos2(1), pubrel(1)]);
    let client = hello.connect();
    let received = client.acknowledge_all();
    let mut levels: Vec<_> = received.iter().map(|packet| packet.qos.level()).collect();
    levels.sort_unstable();
    assert_eq!(levels, [1, 2]);
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn the_retained_message_comes_once_per_subscription() {
    let desk = Desk::new();
    desk.client("p").send(publish("a/b", "x").retained());
    let client = desk.client("a");
    client.send(subscribe(1, "a/b", 0).with(id(1)).and("a/+", 0));
    let expected = publish("a/b", "x").retained().with(id(1));
    client.expect([suback(1, [0, 0]), expected.clone(), expected]);
}

#[test]
fn as_many_as_a_topic_can_have() {
    const LEVELS: u32 = 17;
    let desk = Desk::with(|settings| settings.allow_duplicate_messages = false);
    let hello = desk.hello("a").lasting();
    let client = hello.connect();
    // Each level as it is or as `+`: all of them match.
    let filters = (0..1_u32 << LEVELS).map(|plus| {
        let levels = (0..LEVELS).map(|level| if plus >> level & 1 == 1 { "+" } else { "a" });
        levels.collect::<Vec<_>>().join("/")
    });
    for (n, filters) in filters.collect::<Vec<_>>().chunks(1 << 15).enumerate() {
        let packet = subscribe(n as u16 + 1, "#", 1).with(id(7));
        client.send(filters.iter().fold(packet, |packet, filter| packet.and(filter, 1)));
    }
    assert_eq!(desk.subscription_count(), (1 << LEVELS) + 1);
    client.lose();
    #[expect(clippy::disallowed_methods, reason = "the cost is what is tested")]
    let started = std::time::Instant::now();
    desk.client("p").send(publish(&["a"; LEVELS as usize].join("/"), "x").qos1(1));
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    desk.restart();
    let received = hello.connect().acknowledge_all();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].properties.iter().count(), (1 << LEVELS) + 1);
    assert!(desk.disk(Stored::is_settled));
}
