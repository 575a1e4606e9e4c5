use super::*;
use crate::ReasonCode;
use crate::packet::wire::bytes;

/// The standard's other view: the properties of each packet (sections 3.1.2.11 to 3.15.2.2, and 3.1.3.2).
const BY_PLACE: [(PropertyPlace, &[u8]); 14] = [
    (PropertyPlace::Connect, &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27]),
    (
        PropertyPlace::Connack,
        &[
            0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29,
            0x2A,
        ],
    ),
    (PropertyPlace::Publish, &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26]),
    (PropertyPlace::Puback, &[0x1F, 0x26]),
    (PropertyPlace::Pubrec, &[0x1F, 0x26]),
    (PropertyPlace::Pubrel, &[0x1F, 0x26]),
    (PropertyPlace::Pubcomp, &[0x1F, 0x26]),
    (PropertyPlace::Subscribe, &[0x0B, 0x26]),
    (PropertyPlace::Suback, &[0x1F, 0x26]),
    (PropertyPlace::Unsubscribe, &[0x26]),
    (PropertyPlace::Unsuback, &[0x1F, 0x26]),
    (PropertyPlace::Disconnect, &[0x11, 0x1C, 0x1F, 0x26]),
    (PropertyPlace::Auth, &[0x15, 0x16, 0x1F, 0x26]),
    (PropertyPlace::Will, &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26]),
];

/// One of each, with its bytes.
const SAMPLES: [(&str, Property<'_>); 27] = [
    ("01 01", Property::PayloadFormatIndicator(1)),
    ("02 01020304", Property::MessageExpiryInterval(0x0102_0304)),
    (r#"03 "text/plain""#, Property::ContentType("text/plain")),
    (r#"08 "a/b""#, Property::ResponseTopic("a/b")),
    ("09 0002 00FF", Property::CorrelationData(&[0, 255])),
    ("0B 8001", Property::SubscriptionIdentifier(128)),
    ("11 FFFFFFFF", Property::SessionExpiryInterval(u32::MAX)),
    (r#"12 "id""#, Property::AssignedClientIdentifier("id")),
    ("13 003C", Property::ServerKeepAlive(60)),
    (r#"15 "m""#, Property::AuthenticationMethod("m")),
    (r#"16 "d""#, Property::AuthenticationData(b"d")),
    ("17 00", Property::RequestProblemInformation(0)),
    ("18 00000005", Property::WillDelayInterval(5)),
    ("19 01", Property::RequestResponseInformation(1)),
    (r#"1A "i""#, Property::ResponseInformation("i")),
    (r#"1C "s""#, Property::ServerReference("s")),
    (r#"1F "r""#, Property::ReasonString("r")),
    ("21 FFFF", Property::ReceiveMaximum(65_535)),
    ("22 0000", Property::TopicAliasMaximum(0)),
    ("23 0001", Property::TopicAlias(1)),
    ("24 01", Property::MaximumQoS(1)),
    ("25 00", Property::RetainAvailable(0)),
    (r#"26 "" "é""#, Property::UserProperty("", "é")),
    ("27 00000001", Property::MaximumPacketSize(1)),
    ("28 01", Property::WildcardSubscriptionAvailable(1)),
    ("29 01", Property::SubscriptionIdentifierAvailable(1)),
    ("2A 01", Property::SharedSubscriptionAvailable(1)),
];

fn reason(notation: &str, place: PropertyPlace) -> Result<(), ReasonCode> {
    Properties::decode(&bytes(notation), place).map(drop).map_err(|error| error.reason)
}

#[test]
fn the_table_has_each_property_once() {
    assert!(PROPERTIES.is_sorted_by_key(|row| row.id));
    let ids: Vec<_> = SAMPLES.iter().map(|(_, property)| property.id()).collect();
    assert_eq!(PROPERTIES.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
    for id in 0..=255 {
        assert_eq!(PropertyRow::of(id).map(|row| row.id), ids.contains(&id).then_some(id));
    }
}

#[test]
fn each_property_is_read_and_written() {
    for (notation, property) in SAMPLES {
        let bytes = bytes(notation);
        let written = Properties::new([property]);
        assert_eq!(written.as_bytes(), bytes, "{notation}");
        assert_eq!(written.encoded_len(), bytes.len());
        assert_eq!(written.iter().collect::<Vec<_>>(), [property], "{notation}");
        // The data type in the table is the one that is read and written.
        let mut fields = Fields::new(&bytes[1..]);
        PropertyRow::of(property.id()).unwrap().skip(&mut fields).unwrap();
        assert!(fields.is_empty(), "{notation}");
    }
}

#[test]
fn properties_stand_where_the_standard_puts_them() {
    for (place, allowed) in BY_PLACE {
        for (notation, property) in SAMPLES {
            let id = property.id();
            // Authentication Data needs the method with it.
            let with_method = format!(r#"15 "m" {notation}"#);
            let notation = if id == 0x16 && allowed.contains(&id) { &with_method } else { notation };
            let row = PropertyRow::of(id).unwrap();
            assert_eq!(row.allowed_in(place), allowed.contains(&id));
            if !allowed.contains(&id) {
                assert_eq!(reason(notation, place), Err(ReasonCode::MalformedPacket), "{notation} {place:?}");
                continue;
            }
            assert_eq!(reason(notation, place), Ok(()), "{notation} {place:?}");
            let many = id == 0x26 || (id == 0x0B && place == PropertyPlace::Publish);
            let twice = if many { Ok(()) } else { Err(ReasonCode::ProtocolError) };
            assert_eq!(reason(&format!("{notation} {notation}"), place), twice, "{notation} {place:?}");
        }
    }
}

#[test]
fn values_that_are_not_allowed() {
    use PropertyPlace::{Auth, Connack, Connect, Publish, Subscribe, Will};
    let table = [
        ("01 02", Publish, ReasonCode::ProtocolError),
        ("01 FF", Will, ReasonCode::ProtocolError),
        ("17 02", Connect, ReasonCode::ProtocolError), // section 3.1.2.11.7
        ("19 02", Connect, ReasonCode::ProtocolError), // section 3.1.2.11.6
        ("24 02", Connack, ReasonCode::ProtocolError), // section 3.2.2.3.4
        ("25 02", Connack, ReasonCode::ProtocolError),
        ("28 02", Connack, ReasonCode::ProtocolError),
        ("29 02", Connack, ReasonCode::ProtocolError),
        ("2A 02", Connack, ReasonCode::ProtocolError),
        ("21 0000", Connect, ReasonCode::ProtocolError), // section 3.1.2.11.3
        ("21 0000", Connack, ReasonCode::ProtocolError), // section 3.2.2.3.3
        ("27 00000000", Connect, ReasonCode::ProtocolError), // section 3.1.2.11.4
        ("27 00000000", Connack, ReasonCode::ProtocolError),
        ("0B 00", Publish, ReasonCode::ProtocolError), // section 3.3.2.3.8
        ("0B 00", Subscribe, ReasonCode::ProtocolError),
        ("23 0000", Publish, ReasonCode::TopicAliasInvalid), // [MQTT-3.3.2-8]
        (r#"08 "a/#""#, Publish, ReasonCode::ProtocolError), // [MQTT-3.3.2-14]
        (r#"08 "+""#, Will, ReasonCode::ProtocolError),
        (r#"16 "d""#, Connect, ReasonCode::ProtocolError), // section 3.1.2.11.10
        (r#"16 "d""#, Auth, ReasonCode::ProtocolError),    // section 3.15.2.2.3
        ("0B 80808080", Publish, ReasonCode::MalformedPacket),
        ("0B 8100", Publish, ReasonCode::MalformedPacket), // [MQTT-1.5.5-1]
        ("15 0001 FF", Connect, ReasonCode::MalformedPacket), // [MQTT-1.5.4-1]
        ("15 0001 00", Connect, ReasonCode::MalformedPacket), // [MQTT-1.5.4-2]
        ("00", Connect, ReasonCode::MalformedPacket),      // section 2.2.2.2
        ("2B 00", Connack, ReasonCode::MalformedPacket),
        ("7F", Connect, ReasonCode::MalformedPacket),
        ("A600", Connect, ReasonCode::MalformedPacket), // an identifier of two bytes [MQTT-1.5.5-1]
    ];
    for (notation, place, expected) in table {
        assert_eq!(reason(notation, place), Err(expected), "{notation} {place:?}");
    }
}

#[test]
fn a_value_that_is_cut_is_malformed() {
    for (notation, property) in SAMPLES {
        let bytes = bytes(notation);
        let place = BY_PLACE.iter().find(|(_, ids)| ids.contains(&property.id())).unwrap().0;
        for end in 1..bytes.len() {
            let cut = Properties::decode(&bytes[..end], place).map_err(|error| error.reason);
            assert_eq!(cut, Err(ReasonCode::MalformedPacket), "{notation} {end}");
            // Unchecked bytes end the iteration and nothing else.
            assert_eq!(Properties::from_checked_bytes(&bytes[..end]).iter().count(), 0);
        }
    }
}

#[test]
fn getters() {
    let all = Properties::new(SAMPLES.map(|(_, property)| property));
    assert_eq!(all.payload_format_indicator(), Some(1));
    assert_eq!(all.message_expiry_interval(), Some(0x0102_0304));
    assert_eq!(all.content_type(), Some("text/plain"));
    assert_eq!(all.response_topic(), Some("a/b"));
    assert_eq!(all.correlation_data(), Some(&[0, 255][..]));
    assert_eq!(all.subscription_identifier(), Some(128));
    assert_eq!(all.session_expiry_interval(), Some(u32::MAX));
    assert_eq!(all.assigned_client_identifier(), Some("id"));
    assert_eq!(all.server_keep_alive(), Some(60));
    assert_eq!(all.authentication_method(), Some("m"));
    assert_eq!(all.authentication_data(), Some(&b"d"[..]));
    assert_eq!(all.request_problem_information(), Some(false));
    assert_eq!(all.will_delay_interval(), Some(5));
    assert_eq!(all.request_response_information(), Some(true));
    assert_eq!(all.response_information(), Some("i"));
    assert_eq!(all.server_reference(), Some("s"));
    assert_eq!(all.reason_string(), Some("r"));
    assert_eq!(all.receive_maximum(), Some(65_535));
    assert_eq!(all.topic_alias_maximum(), Some(0));
    assert_eq!(all.topic_alias(), Some(1));
    assert_eq!(all.maximum_qos(), Some(1));
    assert_eq!(all.retain_available(), Some(false));
    assert_eq!(all.user_properties().collect::<Vec<_>>(), [("", "é")]);
    assert_eq!(all.maximum_packet_size(), Some(1));
    assert_eq!(all.wildcard_subscription_available(), Some(true));
    assert_eq!(all.subscription_identifier_available(), Some(true));
    assert_eq!(all.shared_subscription_available(), Some(true));
    assert_eq!(Properties::EMPTY.topic_alias(), None);
    assert_eq!(Properties::EMPTY.retain_available(), None);
}

#[test]
fn what_is_passed_on() {
    let table = [
        ("", ""),
        ("23 0001", ""),
        (r#"03 "c" 26 "a" "b""#, r#"03 "c" 26 "a" "b""#),
        (r#"23 0001 03 "c" 26 "a" "b" 02 00000001"#, r#"03 "c" 26 "a" "b""#),
        // [MQTT-3.3.2-18]
        (
            r#"01 01 23 0001 26 "b" "1" 0B 05 26 "a" "2" 08 "r" 02 00000001 09 "d" 26 "b" "1""#,
            r#"01 01 26 "b" "1" 26 "a" "2" 08 "r" 09 "d" 26 "b" "1""#,
        ),
        (r#"18 00000001 03 "c""#, r#"03 "c""#),
    ];
    for (notation, expected) in table {
        let properties = Properties::from_checked_bytes(bytes(notation));
        let forwardable = properties.forwardable();
        assert_eq!(forwardable.as_bytes(), bytes(expected), "{notation}");
        // What stands together is borrowed.
        let source = properties.as_bytes().as_ptr_range();
        let is_borrowed =
            source.start <= forwardable.as_bytes().as_ptr() && forwardable.as_bytes().as_ptr() < source.end;
        assert!(is_borrowed || *expected == *"" || !notation.contains(expected), "{notation}");
    }
}

#[test]
fn what_cannot_be_written_is_reported_by_encoding() {
    let long = "a".repeat(65_536);
    let too_long = Err(EncodeError::FieldTooLong { bytes: 65_536 });
    for property in [
        Property::ReasonString(&long),
        Property::CorrelationData(long.as_bytes()),
        Property::UserProperty(&long, ""),
        Property::UserProperty("", &long),
    ] {
        let mut properties = Properties::new([property]);
        assert_eq!(properties.field_len(), too_long);
        assert!(properties.is_empty());
        properties.push(Property::TopicAlias(1));
        assert_eq!(properties.borrowed().into_owned().field_len(), too_long);
        let mut appended = Properties::EMPTY;
        appended.append(&properties);
        assert_eq!(appended.field_len(), too_long);
    }
    let properties = Properties::new([Property::SubscriptionIdentifier(268_435_456)]);
    assert_eq!(properties.field_len(), Err(EncodeError::IntegerTooLarge { value: 268_435_456 }));
}
