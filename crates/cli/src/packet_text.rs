//! `-d`: packets in the words of Mosquitto's clients.

use noctule_client::Direction;
use noctule_client::protocol::packet::{Packet, Publish};

use crate::failure::printable;
use crate::reason_text::connack_number;

/// Words for the packets of one client.
#[derive(Debug)]
pub(crate) struct PacketText {
    client_id: String,
}

impl PacketText {
    pub(crate) fn new(client_id: &str) -> Self {
        let client_id = if client_id.is_empty() { "(null)".to_owned() } else { printable(client_id) };
        Self { client_id }
    }

    /// One line for most packets; one per filter for SUBSCRIBE and UNSUBSCRIBE.
    pub(crate) fn lines(&mut self, direction: Direction, packet: &Packet<'_>) -> Vec<String> {
        // The name that the server chose is used from CONNACK on, as in Mosquitto.
        if let Packet::Connack(connack) = packet
            && let Some(assigned) = connack.properties.assigned_client_identifier()
        {
            self.client_id = printable(assigned);
        }
        let verb = match direction {
            Direction::Sent => "sending",
            Direction::Received => "received",
        };
        let name = packet.packet_type().name();
        let line = |detail: String| {
            let blank = if detail.is_empty() { "" } else { " " };
            format!("Client {} {verb} {name}{blank}{detail}", self.client_id)
        };
        details(direction, packet).into_iter().map(line).collect()
    }
}

fn details(direction: Direction, packet: &Packet<'_>) -> Vec<String> {
    let acknowledgement = |id: u16, reason: u8| match direction {
        Direction::Sent => format!("(m{id}, rc{reason})"),
        Direction::Received => format!("(Mid: {id}, RC:{reason})"),
    };
    let one = match packet {
        Packet::Connack(connack) => format!("({})", connack_number(connack.code)),
        Packet::Publish(publish) => publish_detail(publish),
        Packet::Puback(puback) => acknowledgement(puback.packet_id.get(), puback.reason.code()),
        Packet::Pubrec(pubrec) => acknowledgement(pubrec.packet_id.get(), pubrec.reason.code()),
        Packet::Pubrel(pubrel) => acknowledgement(pubrel.packet_id.get(), pubrel.reason.code()),
        Packet::Pubcomp(pubcomp) => acknowledgement(pubcomp.packet_id.get(), pubcomp.reason.code()),
        Packet::Subscribe(subscribe) => {
            let id = subscribe.packet_id.get();
            let filter = |(filter, options): (_, noctule_client::protocol::packet::SubscriptionOptions)| {
                let filter: noctule_client::protocol::SubscriptionFilter<'_> = filter;
                let (qos, rest) = (options.qos.level(), options.to_byte() & !0x03);
                format!(
                    "(Mid: {id}, Topic: {}, QoS: {qos}, Options: 0x{rest:02x})",
                    printable(filter.as_str())
                )
            };
            return subscribe.filters.iter().map(filter).collect();
        }
        Packet::Unsubscribe(unsubscribe) => {
            let id = unsubscribe.packet_id.get();
            let filters = unsubscribe.filters.iter();
            return filters
                .map(|filter| format!("(Mid: {id}, Topic: {})", printable(filter.as_str())))
                .collect();
        }
        Packet::Disconnect(disconnect) if direction == Direction::Received => {
            format!("({})", disconnect.reason.code())
        }
        Packet::Connect(_)
        | Packet::Suback(_)
        | Packet::Unsuback(_)
        | Packet::Pingreq
        | Packet::Pingresp
        | Packet::Disconnect(_)
        | Packet::Auth(_) => String::new(),
    };
    vec![one]
}

fn publish_detail(publish: &Publish<'_>) -> String {
    format!(
        "(d{}, q{}, r{}, m{}, '{}', ... ({} bytes))",
        u8::from(publish.dup),
        publish.qos.qos().level(),
        u8::from(publish.retain),
        publish.qos.packet_id().map_or(0, |id| id.get()),
        printable(publish.topic),
        publish.payload.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_client::protocol::packet::{
        Connack, ConnackCode, Disconnect, Filters, Puback, PublishQoS, Subscribe, SubscriptionOptions,
    };
    use noctule_client::protocol::property::{Properties, Property};
    use noctule_client::protocol::{PacketId, QoS, ReasonCode, SubscriptionFilter};

    #[test]
    fn mosquittos_words() {
        let mut text = PacketText::new("");
        let mut check = |direction, packet: Packet<'_>, expected: &[&str]| {
            assert_eq!(text.lines(direction, &packet), expected);
        };
        let id = PacketId::FIRST;
        check(Direction::Sent, Packet::Pingreq, &["Client (null) sending PINGREQ"]);
        let properties = Properties::new([Property::AssignedClientIdentifier("auto-1")]);
        let connack = Connack { properties, ..Connack::new(false, ConnackCode::V5(ReasonCode::Success)) };
        check(Direction::Received, Packet::Connack(connack), &["Client auto-1 received CONNACK (0)"]);
        let publish = Publish {
            dup: false,
            qos: PublishQoS::ExactlyOnce(id),
            retain: true,
            topic: "t",
            properties: Properties::EMPTY,
            payload: b"x",
        };
        check(
            Direction::Sent,
            Packet::Publish(publish),
            &["Client auto-1 sending PUBLISH (d0, q2, r1, m1, 't', ... (1 bytes))"],
        );
        check(
            Direction::Received,
            Packet::Puback(Puback { reason: ReasonCode::NoMatchingSubscribers, ..Puback::new(id) }),
            &["Client auto-1 received PUBACK (Mid: 1, RC:16)"],
        );
        check(Direction::Sent, Packet::Puback(Puback::new(id)), &["Client auto-1 sending PUBACK (m1, rc0)"]);
        let filters = ["t", "u/#"].map(|filter| {
            (SubscriptionFilter::parse(filter).unwrap(), SubscriptionOptions::new(QoS::AtLeastOnce))
        });
        let subscribe = Subscribe {
            packet_id: id,
            properties: Properties::EMPTY,
            filters: Filters::from_pairs(filters).unwrap(),
        };
        check(
            Direction::Sent,
            Packet::Subscribe(subscribe),
            &[
                "Client auto-1 sending SUBSCRIBE (Mid: 1, Topic: t, QoS: 1, Options: 0x00)",
                "Client auto-1 sending SUBSCRIBE (Mid: 1, Topic: u/#, QoS: 1, Options: 0x00)",
            ],
        );
        check(
            Direction::Received,
            Packet::Disconnect(Disconnect::new(ReasonCode::ServerShuttingDown)),
            &["Client auto-1 received DISCONNECT (139)"],
        );
    }
}
