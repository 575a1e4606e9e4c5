//! Topic aliases in both directions.

use noctule_protocol::ReasonCode as Reason;
use noctule_protocol::property::Property;

use crate::desk::*;

fn aliased(topic: &str, payload: &str, alias: u16) -> Wire {
    publish(topic, payload).with(Property::TopicAlias(alias))
}

fn watched() -> (Desk, Client) {
    let desk = Desk::new();
    let mut watcher = desk.client("w");
    watcher.subscribe("#", 0);
    (desk, watcher)
}

// ---- in ----------------------------------------------------------------------------------------------

#[test] // [MQTT-3.3.2-12]
fn an_alias_stands_for_its_topic_until_it_gets_another() {
    let (desk, watcher) = watched();
    let client = desk.client("p");
    client.send_all([
        aliased("a", "1", 1),
        aliased("", "2", 1),
        aliased("b", "3", 10),
        aliased("c", "4", 1),
        aliased("", "5", 1),
        aliased("", "6", 10),
    ]);
    let expected = [("a", "1"), ("a", "2"), ("b", "3"), ("c", "4"), ("c", "5"), ("b", "6")];
    watcher.expect(expected.map(|(topic, payload)| publish(topic, payload)));
}

#[test]
fn aliases_go_with_every_qos_and_are_not_passed_on() {
    let (desk, watcher) = watched();
    let client = desk.client("p");
    client.send_all([aliased("a", "1", 1).qos1(1), aliased("", "2", 1).qos2(2), pubrel(2)]);
    watcher.expect([publish("a", "1"), publish("a", "2")]);
    // Retained under its name.
    client.send(aliased("", "3", 1).retained());
    let mut late = desk.client("late");
    late.subscribe("a", 0);
    late.expect([publish("a", "3").retained()]);
}

#[test] // [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.2.2-17]
fn aliases_out_of_range_end_the_connection() {
    for alias in [0, 11, 65_535] {
        let client = Desk::new().client("p");
        client.send(aliased("a", "x", alias));
        client.expect_end(Reason::TopicAliasInvalid);
    }
    // [MQTT-3.2.2-18]
    let desk = Desk::with(|settings| settings.listeners[0].max_topic_alias = 0);
    let client = desk.client("p");
    assert_eq!(client.connack.topic_alias_maximum(), None);
    client.send(aliased("a", "x", 1));
    client.expect_end(Reason::TopicAliasInvalid);
}

#[test] // [MQTT-4.13.1-1]
fn an_alias_nobody_introduced_is_a_protocol_error() {
    let client = Desk::new().client("p");
    client.send(aliased("", "x", 1));
    client.expect_end(Reason::ProtocolError);
}

#[test] // [MQTT-3.3.2-7]
fn aliases_end_with_their_connection() {
    let desk = Desk::new();
    let hello = desk.hello("p").lasting();
    let client = hello.connect();
    client.send(aliased("a", "x", 1));
    client.lose();
    let client = hello.connect();
    client.send(aliased("", "x", 1));
    client.expect_end(Reason::ProtocolError);
}

// ---- out ---------------------------------------------------------------------------------------------

fn taking(desk: &Desk, aliases: u16) -> Client {
    let mut client = desk.hello("s").with(Property::TopicAliasMaximum(aliases)).connect();
    client.subscribe("#", 1);
    client
}

#[test] // [MQTT-3.1.2-26] [MQTT-3.3.2-11]
fn first_come_first_served_up_to_what_the_client_takes() {
    let desk = Desk::new();
    let client = taking(&desk, 2);
    let publisher = desk.client("p");
    publisher.send_all(["a", "b", "c", "a", "b", "c"].map(|topic| publish(topic, topic)));
    client.expect([
        aliased("a", "a", 1),
        aliased("b", "b", 2),
        publish("c", "c"),
        aliased("", "a", 1),
        aliased("", "b", 2),
        publish("c", "c"),
    ]);
}

#[test] // [MQTT-3.1.2-27]
fn none_for_who_takes_none_and_never_more_than_configured() {
    let desk = Desk::with(|settings| settings.listeners[0].max_topic_alias_broker = 1);
    let publisher = desk.client("p");
    let client = taking(&desk, 0);
    publisher.send_all([publish("a", "1"), publish("a", "2")]);
    client.expect([publish("a", "1"), publish("a", "2")]);
    let client = taking(&desk, 65_535);
    publisher.send_all([publish("a", "1"), publish("b", "2")]);
    client.expect([aliased("a", "1", 1), publish("b", "2")]);
}

#[test] // [MQTT-3.3.2-7] [MQTT-4.4.0-1]
fn a_message_sent_again_has_its_topic_in_full() {
    let desk = Desk::new();
    let hello = desk.hello("s").lasting().with(Property::TopicAliasMaximum(5));
    let mut client = hello.connect();
    client.subscribe("#", 1);
    desk.client("p").send_all([publish("a", "1").qos1(1), publish("a", "2").qos1(2)]);
    client.expect([aliased("a", "1", 1).qos1(1), aliased("", "2", 1).qos1(2)]);
    client.lose();
    let client = hello.connect();
    client.expect([aliased("a", "1", 1).qos1(1).dup(), aliased("", "2", 1).qos1(2).dup()]);
}

#[test]
fn a_message_that_was_too_large_introduces_nothing() {
    let desk = Desk::new();
    let mut client = desk.hello("s").maximum_packet_size(40).with(Property::TopicAliasMaximum(5)).connect();
    client.subscribe("#", 0);
    let publisher = desk.client("p");
    publisher.send_all([publish("a", "x".repeat(100)), publish("a", "small")]);
    client.expect([publish("a", "small")]);
}

#[test] // [MQTT-3.1.2-24]
fn a_message_that_fits_only_without_an_alias_gets_none() {
    let desk = Desk::new();
    let hello = desk.hello("s").with(Property::TopicAliasMaximum(1)).maximum_packet_size(18);
    let mut subscriber = hello.connect();
    subscriber.subscribe("#", 0);
    desk.client("p").send(publish("twelve-bytes", "x"));
    subscriber.expect([publish("twelve-bytes", "x")]);
}
