//! What a case may expect of a message.

use crate::property;
use crate::received::Publish;
use crate::verdict::{Step, check};

impl Publish {
    /// Fails the case with this message unless `holds`.
    pub(crate) fn check(&self, holds: bool, expected: &str) -> Step {
        check(holds, expected, self.to_string())
    }

    pub(crate) fn has_qos(&self, qos: u8) -> Step {
        self.check(self.qos == qos, &format!("QoS {qos}"))
    }

    pub(crate) fn is_retained(&self, retain: bool) -> Step {
        self.check(self.retain == retain, &format!("RETAIN {}", u8::from(retain)))
    }

    pub(crate) fn is_dup(&self, dup: bool) -> Step {
        self.check(self.dup == dup, &format!("DUP {}", u8::from(dup)))
    }

    pub(crate) fn has_bytes(&self, identifier: u8, value: &[u8]) -> Step {
        let expected = format!("{} {:?}", property::name(identifier), String::from_utf8_lossy(value));
        self.check(self.properties.bytes(identifier) == Some(value), &expected)
    }

    pub(crate) fn has_number(&self, identifier: u8, value: Option<u32>) -> Step {
        let expected = match value {
            Some(value) => format!("{} {value}", property::name(identifier)),
            None => format!("no {}", property::name(identifier)),
        };
        self.check(self.properties.number(identifier) == value, &expected)
    }
}

impl std::fmt::Display for Publish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { dup, qos, retain, topic, id, payload, .. } = self;
        let payload = String::from_utf8_lossy(&payload[..payload.len().min(40)]);
        let (dup, retain) = (u8::from(*dup), u8::from(*retain));
        write!(f, "PUBLISH on {topic} with {payload:?}, QoS {qos}, DUP {dup}, RETAIN {retain}")?;
        if *id != 0 {
            write!(f, ", Packet Identifier {id:#06x}")?;
        }
        Ok(())
    }
}
