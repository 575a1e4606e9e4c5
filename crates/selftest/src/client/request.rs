//! Requests of a client, each with the answer that must come.

use super::{Client, Next};
use crate::exchange::{described, name_of};
use crate::received::{Packet, Publish};
use crate::verdict::{Step, deviates, not_applicable};
use crate::written::{
    PUBACK, PUBCOMP, PUBREC, PUBREL, Publication, SUBACK, UNSUBACK, acknowledge, subscribe, unsubscribe,
};

impl Client {
    /// Subscribes; the server grants what is asked for.
    pub(crate) fn subscribe(&mut self, filter: impl AsRef<[u8]>, options: u8) -> Step {
        self.subscribe_with(&[], filter, options)
    }

    /// [`Client::subscribe`] with properties.
    pub(crate) fn subscribe_with(
        &mut self,
        properties: &[u8],
        filter: impl AsRef<[u8]>,
        options: u8,
    ) -> Step {
        let id = self.fresh_id();
        self.send(subscribe(self.version, id, properties, &[(filter, options)]));
        let codes = self.granted(SUBACK, id)?;
        match codes.as_slice() {
            [code] if *code >= 0x80 => {
                not_applicable(format!("the server refuses the subscription: {code:#04x}"))
            }
            [code] if *code == options & 3 => Ok(()),
            [code] if *code < options & 3 => {
                not_applicable(format!("the server grants QoS {code} instead of {}", options & 3))
            }
            _ => deviates("SUBACK with one code: what was asked for", format!("codes {codes:02x?}")),
        }
    }

    /// Unsubscribes.
    pub(crate) fn unsubscribe(&mut self, filter: impl AsRef<[u8]>) -> Step<Vec<u8>> {
        let id = self.fresh_id();
        self.send(unsubscribe(self.version, id, &[filter]));
        self.granted(UNSUBACK, id)
    }

    /// SUBACK or UNSUBACK with this Packet Identifier comes; gives its codes.
    pub(crate) fn granted(&mut self, first_byte: u8, id: u16) -> Step<Vec<u8>> {
        let name = name_of(first_byte);
        let expected = format!("{name} with Packet Identifier {id:#06x}");
        let answer = self.answer(&expected)?;
        match answer.packet {
            Packet::Granted { first_byte: found, id: found_id, codes, .. }
                if (found, found_id) == (first_byte, id) =>
            {
                Ok(codes)
            }
            _ => deviates(expected, described(&answer.bytes)),
        }
    }

    /// Publishes, and brings the exchange to its end.
    pub(crate) fn publish(&mut self, message: Publication) -> Step {
        let (qos, id) = (message.qos, message.id);
        self.send(message);
        match qos {
            1 => self.acknowledged(PUBACK, id),
            2 => {
                self.acknowledged(PUBREC, id)?;
                self.send(acknowledge(PUBREL, id));
                self.acknowledged(PUBCOMP, id)
            }
            _ => Ok(()),
        }
    }

    /// This acknowledgement comes, and says that all is well.
    pub(crate) fn acknowledged(&mut self, first_byte: u8, id: u16) -> Step {
        match self.acknowledgement(first_byte, id)? {
            code @ 0x80.. => not_applicable(format!("the server refuses the message: {code:#04x}")),
            _ => Ok(()),
        }
    }

    /// This acknowledgement comes; gives its Reason Code.
    pub(crate) fn acknowledgement(&mut self, first_byte: u8, id: u16) -> Step<u8> {
        let name = name_of(first_byte);
        let expected = format!("{name} with Packet Identifier {id:#06x}");
        let answer = self.answer(&expected)?;
        match answer.packet {
            Packet::Acknowledgement { first_byte: found, id: found_id, code, .. }
                if (found, found_id) == (first_byte, id) =>
            {
                Ok(code)
            }
            _ => deviates(expected, described(&answer.bytes)),
        }
    }

    /// Acknowledges a message to the end of its exchange.
    pub(crate) fn acknowledge(&mut self, message: &Publish) -> Step {
        match message.qos {
            1 => self.send(acknowledge(PUBACK, message.id)),
            2 => {
                self.send(acknowledge(PUBREC, message.id));
                self.acknowledged(PUBREL, message.id)?;
                self.send(acknowledge(PUBCOMP, message.id));
            }
            _ => {}
        }
        Ok(())
    }

    /// PUBREC with this Packet Identifier comes: gives its Reason Code. Or the connection is closed, in 5.0 perhaps
    /// behind DISCONNECT with this code: gives nothing.
    pub(crate) fn pubrec_or_closed(&mut self, id: u16, disconnect: u8) -> Step<Option<u8>> {
        let expected = format!(
            "PUBREC with Packet Identifier {id:#06x}, or a closed connection, with DISCONNECT {disconnect:#04x} or without"
        );
        match self.next(self.patience) {
            Next::Closed => Ok(None),
            Next::Packet(received) => match received.packet {
                Packet::Acknowledgement { first_byte: PUBREC, id: found, code, .. } if found == id => {
                    Ok(Some(code))
                }
                Packet::Disconnect { code, .. } if code == disconnect || (0x80..=0x83).contains(&code) => {
                    self.is_closed_now("the connection is closed behind DISCONNECT").map(|()| None)
                }
                _ => deviates(expected, described(&received.bytes)),
            },
            Next::Nothing => deviates(expected, format!("nothing within {:?}", self.patience)),
            Next::Wrong(error) => deviates(expected, error),
        }
    }
}
