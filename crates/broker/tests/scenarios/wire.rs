//! What the broker sends, byte for byte: fixed headers, empty properties, Packet Identifiers.

use noctule_protocol::ProtocolVersion::V5;
use noctule_protocol::property::Property;

use crate::desk::*;

/// Does this, and gives the bytes the client got.
fn bytes(client: &Client, packets: impl IntoIterator<Item = Wire>) -> Vec<u8> {
    client.send_all(packets);
    client.take_bytes()
}

#[test] // [MQTT-2.1.3-1] [MQTT311-2.2.2-1] [MQTT-2.2.2-1] [MQTT-2.2.1-6] [MQTT-2.2.1-5] [MQTT311-2.3.1-6] [MQTT311-2.3.1-7]
fn flags_and_identifiers_are_the_prescribed_ones() {
    for version in VERSIONS {
        let desk = Desk::new();
        let quiet = Property::RequestProblemInformation(0);
        let client = desk.hello("a").version(version).with(quiet).connect();
        let expect = |packets: Vec<Wire>, before_5: &[u8], of_5: &[u8]| {
            let expected = if version == V5 { of_5 } else { before_5 };
            assert_eq!(bytes(&client, packets), expected, "{version}");
        };
        // 5.0 has a Property Length of 0 where it must have one.
        expect(vec![subscribe(258, "t", 2)], &[0x90, 3, 1, 2, 2], &[0x90, 4, 1, 2, 0, 2]);
        expect(vec![publish("t", "x")], &[0x30, 4, 0, 1, b't', b'x'], &[0x30, 5, 0, 1, b't', 0, b'x']);
        expect(
            vec![publish("t", "").qos1(259)],
            &[0x32, 5, 0, 1, b't', 0, 1, 0x40, 2, 1, 3],
            &[0x32, 6, 0, 1, b't', 0, 1, 0, 0x40, 2, 1, 3],
        );
        expect(vec![publish("t", "").qos2(260)], &[0x50, 2, 1, 4], &[0x50, 2, 1, 4]);
        expect(
            vec![pubrel(260)],
            &[0x34, 5, 0, 1, b't', 0, 2, 0x70, 2, 1, 4],
            &[0x34, 6, 0, 1, b't', 0, 2, 0, 0x70, 2, 1, 4],
        );
        expect(vec![pubrec(2)], &[0x62, 2, 0, 2], &[0x62, 2, 0, 2]);
        expect(vec![unsubscribe(261, ["t"])], &[0xB0, 2, 1, 5], &[0xB0, 4, 1, 5, 0, 0]);
        expect(vec![pingreq()], &[0xD0, 0], &[0xD0, 0]);
        expect(vec![pingresp()], &[], &[0xE0, 1, 0x82]);
        assert!(client.is_closed());
    }
}

#[test] // [MQTT-2.2.1-4] [MQTT311-2.3.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT311-4.3.2-1] [MQTT311-4.3.3-1]
fn an_identifier_in_use_is_not_given_again() {
    for version in VERSIONS {
        let desk = Desk::with(|settings| settings.max_inflight_messages = 0);
        let mut client = desk.client_of(version, "a");
        client.subscribe("t", 2);
        let publisher = desk.client("p");
        // One waits for PUBACK, one for PUBREC, one for PUBCOMP, from now on.
        publisher.send(publish("t", "").qos1(1));
        publisher.send_all([publish("t", "").qos2(2), pubrel(2), publish("t", "").qos2(3), pubrel(3)]);
        client.expect([publish("t", "").qos1(1), publish("t", "").qos2(2), publish("t", "").qos2(3)]);
        client.send(pubrec(3));
        client.expect([pubrel(3)]);
        for id in (4..=u16::MAX).chain(4..=6) {
            publisher.send(publish("t", "").qos1(1));
            client.expect([publish("t", "").qos1(id)]);
            client.send(puback(id));
        }
    }
}
