//! CONNECT, CONNACK, take-over and keep alive.

use noctule_broker::metric::Metric;
use noctule_protocol::ConnectReturnCode as Code;
use noctule_protocol::ProtocolVersion::{V5, V31, V311};
use noctule_protocol::ReasonCode as Reason;
use noctule_protocol::property::Property;
use noctule_protocol::{ProtocolVersion, QoS};

use crate::desk::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

/// The answer to a CONNECT, byte for byte.
fn answer(hello: &Hello) -> String {
    hex(&hello.send().take_bytes())
}

#[test] // [MQTT-3.1.4-5] [MQTT-3.2.2-1] [MQTT-3.2.0-2]
fn connack_is_mosquittos_byte_for_byte() {
    let desk = Desk::new();
    let hello = |version| desk.hello("a").version(version);
    // Topic Alias Maximum 10, Maximum Packet Size 2000000, Receive Maximum 20.
    assert_eq!(answer(&hello(V5)), "20 0E 00 00 0B 22 00 0A 27 00 1E 84 80 21 00 14");
    assert_eq!(answer(&hello(V311)), "20 02 00 00"); // [MQTT311-3.1.4-4]
    assert_eq!(answer(&hello(V31)), "20 02 00 00");
}

#[test]
fn connack_tells_every_limit_that_is_set_in_mosquittos_order() {
    let desk = Desk::with(|settings| {
        settings.max_keepalive = 60;
        settings.retain_available = false;
        settings.max_inflight_messages = 9;
        settings.listeners[0].maximum_qos = QoS::AtLeastOnce;
        settings.listeners[0].auto_id_prefix = "x".into();
    });
    let client = desk.hello("").connect();
    let id = client.connack.assigned_client_identifier().unwrap().to_owned();
    let properties: Vec<_> = client.connack.iter().collect();
    let expected = [
        Property::ServerKeepAlive(60),
        Property::TopicAliasMaximum(10),
        Property::AssignedClientIdentifier(&id), // [MQTT-3.1.3-7]
        Property::RetainAvailable(0),
        Property::MaximumPacketSize(2_000_000),
        Property::ReceiveMaximum(9),
        Property::MaximumQoS(1), // [MQTT-3.2.2-9]
    ];
    assert_eq!(properties, expected);
}

#[test]
fn limits_that_are_off_are_not_told() {
    let desk = Desk::with(|settings| {
        settings.max_inflight_messages = 0;
        settings.listeners[0].max_topic_alias = 0;
    });
    assert_eq!(answer(&desk.hello("a")), "20 08 00 00 05 27 00 1E 84 80");
}

#[test] // [MQTT-3.1.2-28] [MQTT-4.12.0-6]
fn nothing_is_told_that_was_not_asked_for() {
    let desk = Desk::new();
    let client = desk.hello("a").with(Property::RequestResponseInformation(0)).connect();
    assert_eq!(client.connack.response_information(), None);
    assert_eq!(client.connack.authentication_method(), None);
}

#[test] // [MQTT-3.1.0-1] [MQTT311-3.1.0-1] [MQTT-3.14.0-1]
fn the_first_packet_is_a_connect() {
    for version in VERSIONS {
        let desk = Desk::new();
        for packet in [pingreq(), publish("t", "x"), subscribe(1, "t", 0), puback(1), disconnect()] {
            let client = desk.open(version);
            client.send(packet);
            client.expect_closed();
        }
    }
}

#[test] // [MQTT-3.1.0-2] [MQTT311-3.1.0-2]
fn a_second_connect_ends_the_connection() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut watcher = desk.client("watcher");
        watcher.subscribe("#", 0);
        let hello = desk.hello("a").version(version).will(will("gone", "a"));
        let client = hello.connect();
        client.send_bytes(&hello.bytes());
        client.expect_end(Reason::ProtocolError);
        watcher.expect([publish("gone", "a")]);
    }
}

#[test] // [MQTT311-3.1.2-2] [MQTT-3.1.2-2]
fn an_unknown_level_is_answered_with_code_1() {
    let desk = Desk::new();
    for (version, level) in [(V31, 4), (V311, 3), (V311, 6), (V5, 0x85), (V5, 0)] {
        let mut bytes = desk.hello("a").version(version).bytes();
        let at = bytes.iter().position(|&byte| byte == version.level()).unwrap();
        let at = if version == V31 { 2 + 2 + 6 } else { at.max(2 + 2 + 4) };
        assert_eq!(bytes[at], version.level());
        bytes[at] = level;
        let client = desk.open(V311);
        client.send_bytes(&bytes);
        client.expect([refused(Code::UnacceptableProtocolVersion)]);
        assert!(client.is_closed());
    }
}

#[test] // [MQTT-3.1.2-1] [MQTT311-3.1.2-1]
fn an_unknown_protocol_is_not_answered() {
    for version in [V311, V5] {
        let desk = Desk::new();
        let mut bytes = desk.hello("a").version(version).bytes();
        bytes[4..8].copy_from_slice(b"AMQP");
        let client = desk.open(version);
        client.send_bytes(&bytes);
        client.expect_closed();
    }
}

#[test] // [MQTT-3.1.4-1] [MQTT311-3.1.4-1] [MQTT-3.1.2-3] [MQTT311-3.1.2-3]
fn a_malformed_connect_is_told_to_5_0_only() {
    let desk = Desk::new();
    for (version, flags_at) in [(V311, 9), (V5, 9)] {
        let mut bytes = desk.hello("a").version(version).bytes();
        bytes[flags_at] |= 1;
        let client = desk.open(version);
        client.send_bytes(&bytes);
        match version {
            V5 => client.expect([connack(Reason::MalformedPacket.code())]), // [MQTT-4.13.1-1]
            V31 | V311 => client.expect_nothing(),
        }
        assert!(client.is_closed());
    }
    // A property twice.
    let hello = desk.hello("a").receive_maximum(3).receive_maximum(3);
    let client = hello.send();
    client.expect([connack(Reason::ProtocolError.code())]);
    assert!(client.is_closed());
}

#[test] // [MQTT-3.1.4-6] [MQTT311-3.1.4-5] [MQTT-3.1.4-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT311-3.2.2-4] [MQTT311-3.2.2-5]
fn nothing_behind_a_refused_connect_is_looked_at() {
    let desk = Desk::with(|settings| settings.listeners[0].allow_anonymous = false);
    for version in VERSIONS {
        let mut bytes = desk.hello("a").version(version).bytes();
        bytes.extend(publish("t", "x").retained().encode(version));
        let client = desk.open(version);
        client.send_bytes(&bytes);
        let code = if version == V5 { Reason::NotAuthorized.code() } else { Code::NotAuthorised.code() };
        client.expect([connack(code)]);
        assert!(client.is_closed());
    }
    assert_eq!((desk.retained_count(), desk.session_count()), (0, 0));
}

#[test] // [MQTT-3.2.0-1] [MQTT311-3.2.0-1]
fn what_follows_an_accepted_connect_in_one_piece_is_handled() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut bytes = desk.hello("a").version(version).bytes();
        bytes.extend(pingreq().encode(version));
        let client = desk.open(version);
        client.send_bytes(&bytes);
        client.accepted().expect([pingresp()]);
    }
}

#[test] // [MQTT-3.1.3-6] [MQTT311-3.1.3-6] [MQTT311-3.1.3-8] [MQTT-3.1.3-8] [MQTT311-3.1.3-9]
fn who_may_come_without_an_identifier() {
    let cases: [(ProtocolVersion, bool, bool, Option<u8>); 8] = [
        // version, clean start, allowed by configuration, code of the refusal
        (V31, true, true, Some(Code::IdentifierRejected.code())),
        (V311, true, true, None),
        (V311, false, true, Some(Code::IdentifierRejected.code())), // [MQTT311-3.1.3-7]
        (V311, true, false, Some(Code::IdentifierRejected.code())),
        (V5, true, true, None),
        (V5, false, true, None),
        (V5, true, false, Some(Reason::ClientIdentifierNotValid.code())),
        (V5, false, false, Some(Reason::ClientIdentifierNotValid.code())),
    ];
    for (version, clean_start, allowed, refusal) in cases {
        let desk = Desk::with(|settings| settings.listeners[0].allow_zero_length_clientid = allowed);
        let hello = desk.hello("").version(version);
        let client = if clean_start { hello } else { hello.resume() }.send();
        match refusal {
            Some(code) => {
                client.expect([connack(code)]);
                assert!(client.is_closed());
            }
            None => {
                client.accepted();
            }
        }
    }
}

#[test] // [MQTT-3.1.3-7] [MQTT-3.2.2-16]
fn an_assigned_identifier_is_new_and_good_for_coming_back() {
    let desk = Desk::new();
    let [first, second] = [(), ()].map(|()| desk.hello("").expiry(60).connect());
    let ids = [&first, &second].map(|c| c.connack.assigned_client_identifier().unwrap().to_owned());
    assert_ne!(ids[0], ids[1]);
    for id in &ids {
        let hex = id.strip_prefix("auto-").unwrap();
        assert_eq!(hex.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(hex.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
    }
    first.lose();
    let again = desk.hello(&ids[0]).resume().expiry(60).connect();
    assert!(again.session_present);
    assert_eq!(again.connack.assigned_client_identifier(), None);
}

#[test] // [MQTT-3.1.3-6] [MQTT311-3.1.3-6]
fn clients_without_identifier_are_not_taken_for_each_other() {
    for version in [V311, V5] {
        let desk = Desk::new();
        let [first, second] = [(), ()].map(|()| desk.client_of(version, ""));
        assert_eq!(desk.session_count(), 2);
        assert!(!first.is_closed() && !second.is_closed());
    }
}

#[test] // [MQTT-3.1.3-5] [MQTT311-3.1.3-5] [MQTT-3.1.3-2] [MQTT311-3.1.3-2]
fn any_identifier_with_characters_is_taken_as_it_is() {
    let desk = Desk::new();
    let long = "x".repeat(65_535);
    let [digits, letters] = ["0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ"];
    for id in [digits, letters, "KLMNOPQRSTUVWXYZ", "Z", "ÄÖ", " ", &long] {
        for version in VERSIONS {
            desk.client_of(version, id);
        }
    }
    assert_eq!(desk.session_count(), 7);
}

#[test] // [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6], [MQTT-3.2.2-2] [MQTT-3.2.2-3]; [MQTT311-3.2.2-1] [MQTT311-3.2.2-2] [MQTT311-3.2.2-3] [MQTT-3.1.4-4] [MQTT311-3.1.4-3]
fn session_present_tells_whether_state_is_used() {
    for version in VERSIONS {
        let desk = Desk::new();
        let hello = desk.hello("a").version(version);
        let lasting = hello.clone().lasting();
        let tells = version != V31; // 3.1 has no such flag.
        for (hello, present) in [
            (&lasting, false),
            (&lasting, tells),
            (&hello, false),   // Clean Start drops the old session …
            (&lasting, false), // … and its own ended with it.
            (&lasting, tells),
        ] {
            let client = hello.connect();
            assert_eq!(client.session_present, present, "{version}");
            client.lose();
        }
    }
}

#[test] // [MQTT-3.1.4-3] [MQTT311-3.1.4-2]
fn a_second_connection_takes_the_session_over() {
    for version in VERSIONS {
        let desk = Desk::new();
        let hello = desk.hello("a").version(version).lasting();
        let mut old = hello.connect();
        old.subscribe("t", 1);
        let new = hello.connect();
        old.expect_end(Reason::SessionTakenOver);
        assert_eq!(new.session_present, version != V31);
        desk.client("b").send(publish("t", "x").qos1(1));
        new.expect([publish("t", "x").qos1(1)]);
        // The end of the old transport does not touch the new one.
        old.lose();
        new.send(pingreq());
        new.expect([pingresp()]);
    }
}

#[test] // [MQTT-3.1.2-6] [MQTT311-3.2.2-3]
fn a_taken_over_session_that_ends_with_its_connection_leaves_nothing() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut old = desk.client_of(version, "a");
        old.subscribe("t", 0);
        let new = desk.hello("a").version(version).resume().connect();
        old.expect_end(Reason::SessionTakenOver);
        assert!(!new.session_present);
        assert_eq!((desk.session_count(), desk.subscription_count()), (1, 0));
    }
}

#[test] // [MQTT-3.1.2-22] [MQTT-3.2.2-22] [MQTT311-3.1.2-24] [MQTT311-3.12.4-1]
fn silence_ends_after_one_and_a_half_keep_alives() {
    for version in VERSIONS {
        let desk = Desk::new();
        let client = desk.hello("a").version(version).keep_alive(10).connect();
        assert_eq!(client.connack.server_keep_alive(), None);
        desk.sleep(14.9);
        client.send(pingreq()); // [MQTT-3.12.4-1]
        client.expect([pingresp()]);
        desk.sleep(14.9);
        assert!(!client.is_closed());
        desk.sleep(0.2);
        client.expect_end(Reason::KeepAliveTimeout);
    }
}

#[test]
fn keep_alive_0_is_off() {
    let desk = Desk::new();
    let client = desk.client("a");
    desk.sleep(1e7);
    assert!(!client.is_closed());
    assert_eq!(desk.next_timeout(), None);
}

#[test] // [MQTT-3.1.2-22]
fn what_the_broker_sends_is_no_sign_of_life() {
    let desk = Desk::new();
    let mut client = desk.hello("a").keep_alive(10).connect();
    client.subscribe("t", 0);
    desk.sleep(10.0);
    desk.client("b").send(publish("t", "x"));
    client.expect([publish("t", "x")]);
    desk.sleep(5.1);
    client.expect_end(Reason::KeepAliveTimeout);
}

#[test]
fn a_connect_has_a_deadline() {
    let desk = Desk::new();
    let client = desk.open(V5);
    let connect = desk.hello("a").bytes();
    client.send_bytes(&connect[..5]);
    desk.sleep(29.9);
    client.send_bytes(&connect[5..6]); // A byte now and then does not move it.
    assert!(!client.is_closed());
    desk.sleep(0.2);
    client.expect_closed();
}

#[test] // [MQTT-3.2.2-21]
fn max_keepalive_is_the_longest_silence_for_all() {
    for asked in [0, 61, 65_535] {
        let desk = Desk::with(|settings| settings.max_keepalive = 60);
        let client = desk.hello("a").keep_alive(asked).connect();
        assert_eq!(client.connack.server_keep_alive(), Some(60));
        desk.sleep(89.9);
        assert!(!client.is_closed());
        desk.sleep(0.2);
        client.expect_end(Reason::KeepAliveTimeout);
        // 3.x cannot be told, and is refused with Mosquitto's code.
        for version in [V31, V311] {
            let client = desk.hello("b").version(version).keep_alive(asked).send();
            client.expect([refused(Code::IdentifierRejected)]);
            assert!(client.is_closed());
        }
    }
    let desk = Desk::with(|settings| settings.max_keepalive = 60);
    for version in VERSIONS {
        let client = desk.hello("a").version(version).keep_alive(60).connect();
        assert_eq!(client.connack.server_keep_alive(), None);
    }
}

#[test] // [MQTT-3.2.2-6] [MQTT311-3.2.2-4]
fn a_refusal_says_nothing_of_a_stored_session() {
    let desk = Desk::with(|settings| settings.max_keepalive = 60);
    let hello = desk.hello("a").lasting();
    hello.clone().keep_alive(60).connect().lose();
    hello.clone().v311().keep_alive(61).send().expect([refused(Code::IdentifierRejected)]);
    let client = hello.with(Property::AuthenticationMethod("x")).send();
    client.expect([connack(Reason::BadAuthenticationMethod.code())]);
    assert_eq!(desk.session_count(), 1);
}

#[test] // [MQTT-4.12.0-1] [MQTT-4.12.0-4]
fn an_authentication_method_is_refused_while_none_is_configured() {
    let desk = Desk::new();
    let client = desk.hello("a").with(Property::AuthenticationMethod("SCRAM-SHA-1")).send();
    client.expect([connack(Reason::BadAuthenticationMethod.code())]);
    assert!(client.is_closed());
    assert_eq!(desk.session_count(), 0);
}

#[test] // [MQTT-4.12.0-7]
fn auth_without_a_method_is_a_protocol_error() {
    let desk = Desk::new();
    let client = desk.client("a");
    client.send(auth(Reason::ReAuthenticate).with(Property::AuthenticationMethod("x")));
    client.expect_end(Reason::ProtocolError);
    let client = desk.client_of(V311, "a");
    client.send_bytes(&[0xF0, 0]);
    client.expect_end(Reason::MalformedPacket);
}

#[test] // [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT311-4.8.0-1]
fn packets_that_only_a_server_sends_end_the_connection() {
    let desk = Desk::new();
    for version in VERSIONS {
        for packet in [connack(0), suback(1, [0]), unsuback(1, [0]), pingresp()] {
            let client = desk.client_of(version, "a");
            client.send(packet);
            client.expect_end(Reason::ProtocolError);
        }
    }
}

#[test] // [MQTT-3.2.2-12] [MQTT-3.2.2-13] [MQTT311-3.2.2-6]
fn a_will_that_cannot_be_kept_is_refused() {
    let qos = Desk::with(|settings| settings.listeners[0].maximum_qos = QoS::AtLeastOnce);
    let retain = Desk::with(|settings| settings.retain_available = false);
    let cases = [
        (&qos, will("t", "x").qos(QoS::ExactlyOnce), Reason::QoSNotSupported),
        (&retain, will("t", "x").retained(), Reason::RetainNotSupported),
    ];
    for (desk, will, reason) in cases {
        for version in VERSIONS {
            let client = desk.hello("a").version(version).will(will.clone()).send();
            match version {
                V5 => client.expect([connack(reason.code())]),
                V31 | V311 => client.expect_nothing(),
            }
            assert!(client.is_closed());
        }
        assert_eq!(desk.session_count(), 0);
    }
}

#[test] // [MQTT-3.1.2-24]
fn a_client_that_cannot_take_its_connack_is_let_go() {
    let desk = Desk::new();
    desk.hello("a").maximum_packet_size(15).send().expect_closed();
    desk.hello("a").maximum_packet_size(15).lasting().send().expect_closed();
    desk.hello("a").maximum_packet_size(16).connect();
}

#[test] // [MQTT-3.2.0-1] [MQTT311-3.2.0-1]
fn the_connack_of_a_lasting_session_waits_for_the_disk_and_all_else_for_it() {
    for version in VERSIONS {
        let desk = Desk::new();
        let hello = desk.hello("a").version(version).lasting();
        hello.connect().subscribe("t", 2);
        desk.hold_batches();
        let client = hello.send();
        client.send(pingreq());
        desk.client("b").send_all([publish("t", "0"), publish("t", "1").qos1(1)]);
        client.expect_nothing();
        desk.durable();
        desk.durable();
        client.accepted().expect([pingresp(), publish("t", "0"), publish("t", "1").qos1(1)]);
        // A session that ends with its connection waits for nobody.
        desk.client_of(version, "c");
    }
}

#[test] // [MQTT-3.14.0-1] [MQTT-3.2.0-1]
fn no_disconnect_comes_before_a_connack_that_is_held() {
    let desk = Desk::new();
    desk.hold_batches();
    let hello = desk.hello("a").lasting();
    let [first, second] = [hello.send(), hello.send()];
    first.expect_closed();
    second.send_bytes(&hello.bytes());
    second.expect_closed();
    desk.durable();
    second.expect_nothing();
}

#[test]
fn the_longest_life_of_a_session_is_told() {
    let desk = Desk::with(|s| s.persistent_client_expiration = Some(std::time::Duration::from_secs(60)));
    for (asked, told) in [(u32::MAX, Some(60)), (61, Some(60)), (60, None), (1, None)] {
        let client = desk.hello("a").expiry(asked).connect();
        assert_eq!(client.connack.session_expiry_interval(), told);
    }
}

#[test]
fn the_log_speaks_as_mosquittos() {
    let desk = Desk::new();
    let client = desk.hello("a").user_name("u").keep_alive(60).v311().connect();
    client.lose();
    let expected = [
        "New connection from 127.0.0.1:50000 on port 1883.",
        "New client connected from 127.0.0.1:50000 as a (p4, c1, k60, u'u').",
        "Client a [127.0.0.1:50000] disconnected: connection closed by client.",
    ];
    assert_eq!(desk.log(), expected);
}

#[test] // [MQTT-3.1.4-2] [MQTT311-3.2.2-5]
fn who_is_refused_or_has_no_place_in_the_queue_is_told_and_closed() {
    let desk = Desk::with(|settings| settings.listeners[0].authenticates = true);
    for (user, reason, code) in [
        ("stranger", Reason::NotAuthorized, Code::NotAuthorised),
        ("late", Reason::ServerBusy, Code::ServerUnavailable),
    ] {
        for (version, code) in [(V5, reason.code()), (V311, code.code()), (V31, code.code())] {
            let client = desk.hello("a").version(version).user_name(user).send();
            client.expect([connack(code)]);
            assert!(client.is_closed());
        }
    }
    assert_eq!(desk.metric(Metric::ConnectsRefusedBusy), 3);
    desk.hello("a").user_name("friend").connect();
}
