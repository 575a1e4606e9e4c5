//! Python's clients: paho-mqtt of both generations, and aiomqtt on top of the second.
//! The scenes of aiomqtt are in `tests/clients/python/v5.py`.

use e2e::Broker;
use e2e::clients::{Library, python};

#[test] // [MQTT311-7.0.0-2]
fn paho_1() {
    a_message_to_itself_at_each_qos(Library::Paho1);
}

#[test] // [MQTT311-7.0.0-2]
fn paho_2() {
    a_message_to_itself_at_each_qos(Library::Paho2);
}

fn a_message_to_itself_at_each_qos(library: Library) {
    let broker = Broker::start("");
    for version in ["3", "4", "5"] {
        let expected = ["paho/0 at 0 qos 0", "paho/1 at 1 qos 1", "paho/2 at 2 qos 2"];
        python(library, "roundtrip.py", broker.port()).arg(version).run().prints(&expected);
    }
}

fn shows(scene: &str, expected: &[&str]) {
    let broker = Broker::start("");
    python(Library::Paho2, "v5.py", broker.port()).arg(scene).run().prints(expected);
}

#[test]
fn user_properties_keep_their_order() {
    shows("user_properties", &["0 True", "1 True", "2 True"]); // [MQTT-3.3.2-18]
}

#[test]
fn request_and_response() {
    shows("request_and_response", &[r"b'\x00one' 3", r"b'\xfftwo' 7"]);
}

#[test]
fn messages_expire_in_a_queue() {
    shows("message_expiry", &["['long', 'end']", "True"]); // [MQTT-3.3.2-5], [MQTT-3.3.2-6]
}

#[test]
fn take_over_publishes_the_will() {
    // The connection of the first is closed without its DISCONNECT [MQTT-3.1.2-8].
    shows("take_over", &["Disconnected during message iteration", "taken over"]);
}

#[test]
fn no_local_retain_as_published_retain_handling() {
    shows("subscription_options", &["yours True"]);
}

#[test]
fn a_repeated_subscription_replaces_the_options() {
    shows("replaced_subscription_options", &["yours True"]); // [MQTT-3.8.4-3]
}

#[test] // [MQTT-3.3.4-3]
fn subscription_identifiers() {
    shows("subscription_identifiers", &["[[7], [300]]"]);
}
