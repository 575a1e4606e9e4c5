use super::*;
use crate::frame::next_frame;
use crate::packet::Packet;
use crate::packet::wire::{
    ALL, BEFORE_5, V5, V31, V311, accept, bytes, check, malformed, protocol_error, refuse,
};
use crate::property::Property;

fn plain(version: ProtocolVersion) -> Connect<'static> {
    Connect {
        version,
        bridge: false,
        clean_start: true,
        keep_alive: 60,
        properties: Properties::EMPTY,
        client_id: "id",
        will: None,
        user_name: None,
        password: None,
    }
}

fn will() -> Will<'static> {
    Will {
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: Properties::EMPTY,
        topic: TopicName::parse("w").unwrap(),
        payload: b"bye",
    }
}

// Without a will, user name and password: no flag, no field.
#[test] // [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-16] [MQTT-3.1.2-18] [MQTT-3.1.3-3] [MQTT311-3.1.2-11] [MQTT311-3.1.2-13] [MQTT311-3.1.2-15] [MQTT311-3.1.2-18] [MQTT311-3.1.2-20] [MQTT311-3.1.3-3]
fn connect_of_each_version() {
    check(V31, r#"10 10 "MQIsdp" 03 02 003C "id""#, Packet::Connect(plain(V31)));
    check(V311, r#"10 0E "MQTT" 04 02 003C "id""#, Packet::Connect(plain(V311)));
    check(V5, r#"10 0F "MQTT" 05 02 003C 00 "id""#, Packet::Connect(plain(V5)));
    let session = Connect { clean_start: false, keep_alive: 0xFFFF, ..plain(V311) };
    check(V311, r#"10 .. "MQTT" 04 00 FFFF "id""#, Packet::Connect(session));
    let nameless = Connect { client_id: "", ..plain(V311) };
    check(V311, r#"10 .. "MQTT" 04 02 003C """#, Packet::Connect(nameless));
    // What the connection spoke before does not matter.
    accept(V5, r#"10 .. "MQTT" 04 02 003C "id""#, Packet::Connect(plain(V311)));
}

#[test]
fn bridges_of_mosquitto() {
    check(V31, r#"10 .. "MQIsdp" 83 02 003C "id""#, Packet::Connect(Connect { bridge: true, ..plain(V31) }));
    check(V311, r#"10 .. "MQTT" 84 02 003C "id""#, Packet::Connect(Connect { bridge: true, ..plain(V311) }));
}

#[test] // [MQTT-3.1.2-9] [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT311-3.1.2-9] [MQTT311-3.1.2-19] [MQTT311-3.1.2-21]
fn will_user_name_and_password() {
    let all = |version| Connect {
        will: Some(will()),
        user_name: Some("u"),
        password: Some(b"\x00\xFF"),
        ..plain(version)
    };
    // [MQTT-3.1.3-1] [MQTT311-3.1.3-1]
    check(V31, r#"10 .. "MQIsdp" 03 EE 003C "id" "w" "bye" "u" 0002 00FF"#, Packet::Connect(all(V31)));
    check(V311, r#"10 .. "MQTT" 04 EE 003C "id" "w" "bye" "u" 0002 00FF"#, Packet::Connect(all(V311)));
    check(V5, r#"10 .. "MQTT" 05 EE 003C 00 "id" 00 "w" "bye" "u" 0002 00FF"#, Packet::Connect(all(V5)));
    for (qos, flags) in [(QoS::AtMostOnce, "06"), (QoS::AtLeastOnce, "0E"), (QoS::ExactlyOnce, "16")] {
        let notation = format!(r#"10 .. "MQTT" 04 {flags} 003C "id" "w" """#);
        let will = Some(Will { qos, retain: false, payload: b"", ..will() });
        check(V311, &notation, Packet::Connect(Connect { will, ..plain(V311) }));
    }
    let user_only = Connect { user_name: Some(""), ..plain(V311) };
    check(V311, r#"10 .. "MQTT" 04 82 003C "id" """#, Packet::Connect(user_only));
    let password_only = Connect { password: Some(b"p"), ..plain(V5) };
    check(V5, r#"10 .. "MQTT" 05 42 003C 00 "id" "p""#, Packet::Connect(password_only));
}

#[test]
fn properties_of_connect_and_will() {
    let properties = Properties::new([
        Property::SessionExpiryInterval(16),
        Property::ReceiveMaximum(1),
        Property::MaximumPacketSize(1),
        Property::TopicAliasMaximum(0),
        Property::RequestResponseInformation(1),
        Property::RequestProblemInformation(0),
        Property::UserProperty("a", "b"),
        Property::AuthenticationMethod("m"),
        Property::AuthenticationData(b"\x00"),
    ]);
    let of_will = Properties::new([
        Property::WillDelayInterval(1),
        Property::PayloadFormatIndicator(1),
        Property::MessageExpiryInterval(2),
        Property::ContentType("c"),
        Property::ResponseTopic("r"),
        Property::CorrelationData(b"d"),
        Property::UserProperty("a", "b"),
        Property::UserProperty("a", "b"),
    ]);
    check(
        V5,
        r#"10 .. "MQTT" 05 2E 003C
           [ 11 00000010 21 0001 27 00000001 22 0000 19 01 17 00 26 "a" "b" 15 "m" 16 0001 00 ] "id"
           [ 18 00000001 01 01 02 00000002 03 "c" 08 "r" 09 "d" 26 "a" "b" 26 "a" "b" ] "w" "bye""#,
        Packet::Connect(Connect {
            properties,
            will: Some(Will { properties: of_will, ..will() }),
            ..plain(V5)
        }),
    );
    protocol_error(V5, &[r#"10 .. "MQTT" 05 02 003C [ 16 0001 00 ] "id""#]); // section 3.1.2.11.10
    // Each in the other's place (section 2.2.2.2).
    malformed(
        V5,
        &[
            r#"10 .. "MQTT" 05 02 003C [ 18 00000001 ] "id""#,
            r#"10 .. "MQTT" 05 06 003C 00 "id" [ 11 00000001 ] "w" "bye""#,
        ],
    );
}

#[test]
fn mqtt_3_1_may_leave_flagged_fields_out() {
    accept(V31, r#"10 .. "MQIsdp" 03 C2 003C "id""#, Packet::Connect(plain(V31)));
    let named = Connect { user_name: Some("u"), ..plain(V31) };
    accept(V31, r#"10 .. "MQIsdp" 03 C2 003C "id" "u""#, Packet::Connect(named));
    accept(V31, r#"10 .. "MQIsdp" 03 03 003C "id""#, Packet::Connect(plain(V31)));
}

#[test]
fn mqtt_3_1_disregards_will_qos_and_retain_without_a_will() {
    for flags in ["0A", "1A", "22", "3A"] {
        accept(V31, &format!(r#"10 .. "MQIsdp" 03 {flags} 003C "id""#), Packet::Connect(plain(V31)));
    }
}

#[test]
fn unknown_protocols() {
    let table = [
        (r#"10 .. "MQTT" 03 02 003C "id""#, Connect::UNKNOWN_LEVEL), // [MQTT311-3.1.2-2]
        (r#"10 .. "MQTT" 06 02 003C 00 "id""#, Connect::UNKNOWN_LEVEL), // [MQTT-3.1.2-2]
        (r#"10 .. "MQTT" 85 02 003C 00 "id""#, Connect::UNKNOWN_LEVEL),
        (r#"10 .. "MQIsdp" 04 02 003C "id""#, Connect::UNKNOWN_LEVEL),
        (r#"10 .. "mqtt" 04 02 003C "id""#, Connect::UNKNOWN_NAME), // [MQTT-3.1.2-1]
        (r#"10 .. "" 04 02 003C "id""#, Connect::UNKNOWN_NAME),
        // What follows an unknown level may look like anything.
        (r#"10 .. "MQTT" 07"#, Connect::UNKNOWN_LEVEL),
    ];
    for (notation, error) in table {
        let bytes = bytes(notation);
        let (frame, _) = next_frame(&bytes, u32::MAX).unwrap().unwrap();
        assert_eq!(Connect::decode(frame), Err(error), "{notation}");
        assert_eq!(Connect::version_of(frame), Err(error));
        refuse(V5, notation, ReasonCode::UnsupportedProtocolVersion);
    }
    // A malformed CONNECT still tells its version.
    let bytes = bytes(r#"10 .. "MQTT" 05 01"#);
    let (frame, _) = next_frame(&bytes, u32::MAX).unwrap().unwrap();
    assert_eq!(Connect::version_of(frame), Ok(V5));
}

#[test]
fn malformed_connects() {
    // [MQTT-3.1.4-1] [MQTT311-3.1.4-1]
    malformed(
        V311,
        &[
            "10 00",
            r#"10 .. "MQTT""#,
            r#"10 .. "MQTT" 04"#,
            r#"10 .. "MQTT" 04 02 00"#,
            r#"10 .. "MQTT" 04 02 003C"#,                    // [MQTT311-3.1.3-3]
            r#"10 .. "MQTT" 04 02 003C 0003 'id'"#,          // cut
            r#"10 .. "MQTT" 04 02 003C "id" 00"#,            // bytes left
            r#"10 .. "MQTT" 04 03 003C "id""#,               // [MQTT311-3.1.2-3]
            r#"11 .. "MQTT" 04 02 003C "id""#,               // [MQTT311-2.2.2-2]
            r#"10 .. "MQTT" 04 0A 003C "id""#,               // [MQTT311-3.1.2-13] [MQTT311-3.1.2-11]
            r#"10 .. "MQTT" 04 22 003C "id""#,               // [MQTT311-3.1.2-15] [MQTT311-3.1.2-11]
            r#"10 .. "MQTT" 04 02 003C "id" "w" "bye""#,     // [MQTT311-3.1.2-11]
            r#"10 .. "MQTT" 04 1E 003C "id" "w" "bye""#,     // [MQTT311-3.1.2-14]
            r#"10 .. "MQTT" 04 06 003C "id""#,               // [MQTT311-3.1.2-9]
            r#"10 .. "MQTT" 04 06 003C "id" "w""#,           // [MQTT311-3.1.2-9]
            r#"10 .. "MQTT" 04 06 003C "id" "" "bye""#,      // [MQTT311-4.7.3-1]
            r#"10 .. "MQTT" 04 06 003C "id" "w/+" "bye""#,   // [MQTT311-4.7.1-1]
            r#"10 .. "MQTT" 04 42 003C "id" "p""#,           // [MQTT311-3.1.2-22]
            r#"10 .. "MQTT" 04 82 003C "id""#,               // [MQTT311-3.1.2-19]
            r#"10 .. "MQTT" 04 C2 003C "id" "u""#,           // [MQTT311-3.1.2-21]
            r#"10 .. "MQTT" 04 02 003C "id" "u""#,           // [MQTT311-3.1.2-18]
            r#"10 .. "MQTT" 04 82 003C "id" "u" "p""#,       // [MQTT311-3.1.2-20]
            r#"10 .. "MQTT" 04 02 003C 0001 FF"#,            // [MQTT311-3.1.3-4] [MQTT311-1.5.3-1]
            r#"10 .. "MQTT" 04 02 003C 0001 00"#,            // [MQTT311-1.5.3-2]
            r#"10 .. "MQTT" 04 06 003C "id" 0001 FF "bye""#, // [MQTT311-3.1.3-10]
            r#"10 .. "MQTT" 04 82 003C "id" 0003 EDA080"#,   // [MQTT311-3.1.3-11]
            r#"10 .. 0004 FFFFFFFF 04 02 003C "id""#,
        ],
    );
    malformed(
        V5,
        &[
            r#"10 .. "MQTT" 05 02 003C"#,
            r#"10 .. "MQTT" 05 02 003C 00"#,        // [MQTT-3.1.3-3]
            r#"10 .. "MQTT" 05 02 003C "id""#,      // no property length
            r#"10 .. "MQTT" 05 02 003C 8000 "id""#, // [MQTT-1.5.5-1]
            r#"10 .. "MQTT" 05 02 003C 05 11 0000"#,
            r#"10 .. "MQTT" 05 03 003C 00 "id""#, // [MQTT-3.1.2-3]
            r#"18 .. "MQTT" 05 02 003C 00 "id""#, // [MQTT-2.1.3-1]
            r#"10 .. "MQTT" 05 0A 003C 00 "id""#, // [MQTT-3.1.2-11]
            r#"10 .. "MQTT" 05 22 003C 00 "id""#, // [MQTT-3.1.2-13]
            r#"10 .. "MQTT" 05 1E 003C 00 "id" 00 "w" "bye""#, // [MQTT-3.1.2-12]
            r#"10 .. "MQTT" 05 06 003C 00 "id" "w" "bye""#, // [MQTT-3.1.2-9]
            r#"10 .. "MQTT" 05 82 003C 00 "id""#, // [MQTT-3.1.2-17]
            r#"10 .. "MQTT" 05 42 003C 00 "id""#, // [MQTT-3.1.2-19]
            r#"10 .. "MQTT" 05 02 003C 00 "id" "u""#, // [MQTT-3.1.2-16]
            r#"10 .. "MQTT" 05 82 003C 00 "id" "u" "p""#, // [MQTT-3.1.2-18]
            r#"10 .. "MQTT" 05 02 003C 00 0001 FF"#, // [MQTT-3.1.3-4]
            r#"10 .. "MQTT" 05 06 003C 00 "id" 00 0001 FF "bye""#, // [MQTT-3.1.3-11]
            r#"10 .. "MQTT" 05 82 003C 00 "id" 0003 EDA080"#, // [MQTT-3.1.3-12] [MQTT-1.5.4-1]
            r#"10 8F00 "MQTT" 05 02 003C 00 "id""#, // [MQTT-1.5.5-1]
        ],
    );
    for version in BEFORE_5 {
        // A longer Remaining Length than needed is no mistake there.
        accept(version, r#"10 8E8000 "MQTT" 04 02 003C "id""#, Packet::Connect(plain(V311)));
    }
}

#[test]
fn what_cannot_be_written() {
    let long = "a".repeat(65_536);
    let mut out = vec![7];
    for connect in [
        Connect { client_id: &long, ..plain(V311) },
        Connect { user_name: Some(&long), ..plain(V5) },
        Connect { user_name: Some("u"), password: Some(long.as_bytes()), ..plain(V5) },
        Connect { will: Some(Will { payload: long.as_bytes(), ..will() }), ..plain(V31) },
        Connect { properties: Properties::new([Property::AuthenticationMethod(&long)]), ..plain(V5) },
    ] {
        assert_eq!(connect.encode(&mut out), Err(EncodeError::FieldTooLong { bytes: 65_536 }));
        assert_eq!(out, [7]);
    }
    for version in BEFORE_5 {
        let nameless = Connect { password: Some(b"p"), ..plain(version) }; // [MQTT311-3.1.2-22]
        assert_eq!(nameless.encode(&mut out), Err(EncodeError::NotInVersion { packet: "CONNECT", version }));
    }
    for version in ALL {
        let client = Connect { client_id: "a\0", ..plain(version) };
        let user = Connect { user_name: Some("\0"), ..plain(version) };
        assert_eq!(client.encode(&mut out), Err(EncodeError::Nul)); // [MQTT-1.5.4-2]
        assert_eq!(user.encode(&mut out), Err(EncodeError::Nul)); // [MQTT311-1.5.3-2]
    }
    assert_eq!(out, [7]);
}
