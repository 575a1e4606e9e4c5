//! `%j` and `%J`: a message as one line of JSON, with Mosquitto's keys.

use noctule_client::protocol::QoS;
use noctule_client::protocol::property::{Properties, Property};
use serde_json::value::RawValue;

use super::{InvalidJson, Message, Moment};

/// How the payload stands in the object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PayloadAs {
    /// A string; what is not UTF-8 is replaced, because JSON has no bytes.
    Text,
    /// Itself, without its blanks and line ends.
    Json,
}

/// Appends nothing if the payload is no JSON and ought to be.
pub(super) fn print(
    message: &Message<'_>,
    received: &Moment,
    payload_as: PayloadAs,
    out: &mut Vec<u8>,
) -> Result<(), InvalidJson> {
    let payload = match (payload_as, message.payload) {
        (_, []) => "null".to_owned(),
        (PayloadAs::Text, bytes) => quoted(&String::from_utf8_lossy(bytes)),
        (PayloadAs::Json, bytes) => compact(bytes).ok_or(InvalidJson)?,
    };
    let mut text = format!(
        "{{\"tst\":{},\"topic\":{},\"qos\":{},\"retain\":{},\"payloadlen\":{}",
        quoted(&received.iso_with_microseconds()),
        quoted(message.topic),
        message.qos.level(),
        u8::from(message.retain),
        message.payload.len(),
    );
    if message.qos != QoS::AtMostOnce {
        text.push_str(&format!(",\"mid\":{}", message.packet_id));
    }
    if !message.properties.is_empty() {
        text.push_str(",\"properties\":{");
        text.push_str(&members(message.properties).join(","));
        text.push('}');
    }
    text.push_str(",\"payload\":");
    text.push_str(&payload);
    text.push('}');
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// In their order; what may occur many times stands where it occurs first.
fn members(properties: &Properties<'_>) -> Vec<String> {
    let mut members = Vec::new();
    let mut user_properties = false;
    let mut identifiers = false;
    for property in properties {
        let (key, value) = match property {
            Property::UserProperty(..) if std::mem::replace(&mut user_properties, true) => continue,
            Property::UserProperty(..) => {
                let pairs: Vec<_> = properties
                    .user_properties()
                    .map(|(name, value)| format!("{}:{}", quoted(name), quoted(value)))
                    .collect();
                ("user-properties", format!("{{{}}}", pairs.join(",")))
            }
            Property::SubscriptionIdentifier(_) if std::mem::replace(&mut identifiers, true) => continue,
            Property::SubscriptionIdentifier(_) => {
                let all: Vec<_> = properties.subscription_identifiers().map(|id| id.to_string()).collect();
                let list = all.join(",");
                ("subscription-identifier", if all.len() == 1 { list } else { format!("[{list}]") })
            }
            Property::ContentType(text) => ("content-type", quoted(text)),
            Property::ResponseTopic(text) => ("response-topic", quoted(text)),
            Property::CorrelationData(bytes) => ("correlation-data", quoted(&String::from_utf8_lossy(bytes))),
            Property::PayloadFormatIndicator(value) => ("payload-format-indicator", value.to_string()),
            Property::MessageExpiryInterval(value) => ("message-expiry-interval", value.to_string()),
            Property::TopicAlias(value) => ("topic-alias", value.to_string()),
            // None of the others belongs to a PUBLISH.
            _ => continue,
        };
        members.push(format!("\"{key}\":{value}"));
    }
    members
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The same JSON on one line; `None` if it is none. Numbers stay as they are written.
fn compact(payload: &[u8]) -> Option<String> {
    let json: &RawValue = serde_json::from_slice(payload).ok()?;
    let mut compact = String::with_capacity(json.get().len());
    let (mut in_string, mut escaped) = (false, false);
    for character in json.get().chars() {
        if in_string || !character.is_ascii_whitespace() {
            compact.push(character);
        }
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
    }
    Some(compact)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<'a>(payload: &'a [u8], properties: &'a Properties<'a>) -> Message<'a> {
        Message { topic: "x/\"y", payload, qos: QoS::AtMostOnce, retain: true, packet_id: 0, properties }
    }

    fn print_to_string(message: &Message<'_>, payload_as: PayloadAs) -> Result<String, InvalidJson> {
        let mut out = Vec::new();
        let moment = Moment::at(1_588_803_120, 12_345_678, "Europe/Berlin");
        print(message, &moment, payload_as, &mut out)?;
        let text = String::from_utf8(out).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        Ok(text)
    }

    const HEAD: &str = r#"{"tst":"2020-05-07T00:12:00.012345+0200","topic":"x/\"y","qos":0,"retain":1"#;

    #[test]
    fn a_payload_as_text() {
        let check = |payload: &[u8], expected: &str| {
            let text = print_to_string(&message(payload, &Properties::EMPTY), PayloadAs::Text).unwrap();
            assert_eq!(text, format!("{HEAD}{expected}}}"));
        };
        check("h\"i\\ é\tx\u{1}".as_bytes(), r#","payloadlen":10,"payload":"h\"i\\ é\tx\u0001""#);
        check(b"\xff\x00", ",\"payloadlen\":2,\"payload\":\"\u{fffd}\\u0000\"");
        check(b"", r#","payloadlen":0,"payload":null"#);
    }

    #[test]
    fn a_payload_as_json() {
        let print = |payload: &[u8]| {
            print_to_string(&message(payload, &Properties::EMPTY), PayloadAs::Json)
                .map(|text| text.split_once("\"payload\":").unwrap().1.trim_end_matches('}').to_owned())
        };
        assert_eq!(print(b" [1, 2.0,\n 1e3 ] ").as_deref(), Ok("[1,2.0,1e3]"));
        assert_eq!(print(br#""a b\" c \\" "#).as_deref(), Ok(r#""a b\" c \\""#));
        assert_eq!(print(b"null").as_deref(), Ok("null"));
        assert_eq!(print(b"").as_deref(), Ok("null"));
        for wrong in [&b"nojson"[..], b"\xff", b"1 2", b"[", &b"[".repeat(100_000)] {
            assert_eq!(print(wrong), Err(InvalidJson));
        }
    }

    #[test]
    fn properties_and_packet_identifier() {
        let properties = Properties::new([
            Property::ContentType("t"),
            Property::UserProperty("a", "b"),
            Property::CorrelationData(b"zz"),
            Property::UserProperty("c", "d"),
            Property::SubscriptionIdentifier(7),
            Property::MessageExpiryInterval(100),
            Property::SubscriptionIdentifier(8),
        ]);
        let message = Message { qos: QoS::ExactlyOnce, packet_id: 9, ..message(b"1", &properties) };
        let text = print_to_string(&message, PayloadAs::Text).unwrap();
        assert!(text.ends_with(
            r#""qos":2,"retain":1,"payloadlen":1,"mid":9,"properties":{"content-type":"t","user-properties":{"a":"b","c":"d"},"correlation-data":"zz","subscription-identifier":[7,8],"message-expiry-interval":100},"payload":"1"}"#
        ), "{text}");
    }
}
