//! The Will Message.

use std::time::Duration;

use noctule_protocol::{QoS, packet};

use crate::MountPoint;

/// What is published for a client whose connection ends without a DISCONNECT 0x00 [MQTT-3.1.2-8].
#[derive(Clone, Debug, PartialEq)]
pub struct Will {
    /// Topic Name.
    pub topic: Box<str>,
    /// Application Message.
    pub payload: Box<[u8]>,
    /// Properties that are passed on unaltered, encoded [MQTT-3.1.3-10].
    pub properties: Box<[u8]>,
    /// Its QoS.
    pub qos: QoS,
    /// Whether it is published as retained [MQTT-3.1.2-14] [MQTT-3.1.2-15].
    pub retain: bool,
    /// Will Delay Interval.
    pub delay: Duration,
    /// Message Expiry Interval, counted from its publication.
    pub expiry: Option<Duration>,
}

impl Will {
    /// The Will of a client behind this mount point, if it is behind one.
    pub(crate) fn from_connect(will: &packet::Will<'_>, mount_point: Option<&MountPoint>) -> Self {
        let mut mounted = String::new();
        let topic = match mount_point {
            Some(mount_point) => mount_point.topic(will.topic.as_str(), &mut mounted),
            None => Some(will.topic.as_str()),
        };
        let seconds = |interval: Option<u32>| interval.map(|seconds| Duration::from_secs(seconds.into()));
        Self {
            // That the mounted topic is one was seen when the CONNECT was looked at.
            topic: topic.unwrap_or_default().into(),
            payload: will.payload.into(),
            properties: will.properties.forwardable().as_bytes().into(),
            qos: will.qos,
            retain: will.retain,
            delay: seconds(will.properties.will_delay_interval()).unwrap_or_default(),
            expiry: seconds(will.properties.message_expiry_interval()),
        }
    }
}
