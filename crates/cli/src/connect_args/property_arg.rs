//! `-D`: properties on a command line, `-D PACKET NAME VALUE` or `-D PACKET user-property NAME VALUE`.

use noctule_client::protocol::property::{
    DataType, PROPERTIES, Properties, Property, PropertyPlace, PropertyRow,
};

use crate::failure::Failure;

/// The properties of each packet that a client sends.
#[derive(Debug, Default)]
pub(crate) struct PropertyArgs {
    pub(crate) connect: Properties<'static>,
    pub(crate) publish: Properties<'static>,
    pub(crate) subscribe: Properties<'static>,
    pub(crate) unsubscribe: Properties<'static>,
    pub(crate) disconnect: Properties<'static>,
    pub(crate) will: Properties<'static>,
}

/// The packets that `-D` can name, in Mosquitto's words; the others are not for a user to fill.
const PLACES: [(&str, PropertyPlace); 6] = [
    ("connect", PropertyPlace::Connect),
    ("publish", PropertyPlace::Publish),
    ("subscribe", PropertyPlace::Subscribe),
    ("unsubscribe", PropertyPlace::Unsubscribe),
    ("disconnect", PropertyPlace::Disconnect),
    ("will", PropertyPlace::Will),
];

impl PropertyArgs {
    /// Each item is the words behind one `-D`.
    pub(crate) fn parse<'w>(
        occurrences: impl IntoIterator<Item = impl IntoIterator<Item = &'w String>>,
    ) -> Result<Self, Failure> {
        // Encoded, so that reading them back checks values, places and repetition by the one table.
        let mut bytes: [Vec<u8>; PLACES.len()] = Default::default();
        for words in occurrences {
            let words: Vec<&str> = words.into_iter().map(String::as_str).collect();
            let (&command, rest) = words.split_first().ok_or_else(too_few)?;
            let index = PLACES.iter().position(|(name, _)| *name == command).ok_or_else(|| {
                Failure::usage_with_hint(
                    format!("Error: Invalid command {command} given in --property argument."),
                    format!("packets are {}", PLACES.map(|(name, _)| name).join(", ")),
                )
            })?;
            encode_one(PLACES[index], rest, &mut bytes[index])?;
        }
        let read = |index: usize| {
            let (name, place) = PLACES[index];
            let properties = Properties::decode(&bytes[index], place).map_err(|mistake| {
                Failure::usage(format!("Error in {} properties: {}", name.to_uppercase(), mistake.what))
            })?;
            Ok(properties.into_owned())
        };
        Ok(Self {
            connect: read(0)?,
            publish: read(1)?,
            subscribe: read(2)?,
            unsubscribe: read(3)?,
            disconnect: read(4)?,
            will: read(5)?,
        })
    }
}

fn too_few() -> Failure {
    Failure::usage_with_hint(
        "Error: --property argument given but not enough arguments specified.",
        "-D PACKET NAME VALUE, or -D PACKET user-property NAME VALUE",
    )
}

fn encode_one(
    (command, place): (&str, PropertyPlace),
    words: &[&str],
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let (&name, values) = words.split_first().ok_or_else(too_few)?;
    let row = PROPERTIES.iter().find(|row| row.name.to_lowercase().replace(' ', "-") == name);
    let row = row.ok_or_else(|| {
        Failure::usage(format!("Error: Invalid property name {name} given in --property argument."))
    })?;
    if !row.allowed_in(place) {
        return Err(Failure::usage(format!(
            "Error: {name} property not allowed for {command} in --property argument."
        )));
    }
    // A server says it to a client, never the other way [MQTT-3.3.4-6].
    if place == PropertyPlace::Publish && row.data_type == DataType::VariableByteInteger {
        return Err(Failure::usage(format!(
            "Error: {name} property not supported for {command} in --property argument."
        )));
    }
    match (row.data_type, values) {
        (DataType::Utf8StringPair, [key, value]) => {
            out.push(row.id);
            put_text(name, key, out)?;
            put_text(name, value, out)
        }
        (DataType::Utf8StringPair, _) | (_, []) => Err(too_few()),
        (_, [value]) => put_value(row, name, value, out),
        (_, [_, surplus, ..]) => Err(Failure::usage(format!(
            "Error: --property {command} {name} takes one value, and '{surplus}' is a second one."
        ))),
    }
}

fn put_value(row: &PropertyRow, name: &str, value: &str, out: &mut Vec<u8>) -> Result<(), Failure> {
    let number = |maximum: u32| -> Result<u32, Failure> {
        let number: i128 = value
            .parse()
            .map_err(|_| Failure::usage(format!("Error: Property value '{value}' not a number.")))?;
        u32::try_from(number).ok().filter(|number| *number <= maximum).ok_or_else(|| {
            Failure::usage(format!("Error: Property value ({number}) out of range for property {name}."))
        })
    };
    match row.data_type {
        DataType::Byte => out.extend([row.id, number(0xFF)? as u8]),
        DataType::TwoByteInteger => {
            out.push(row.id);
            out.extend((number(0xFFFF)? as u16).to_be_bytes());
        }
        DataType::FourByteInteger => {
            out.push(row.id);
            out.extend(number(u32::MAX)?.to_be_bytes());
        }
        // The only one of its type.
        DataType::VariableByteInteger => {
            let identifier = Property::SubscriptionIdentifier(number(268_435_455)?);
            out.extend_from_slice(Properties::new([identifier]).as_bytes());
        }
        DataType::BinaryData | DataType::Utf8String | DataType::Utf8StringPair => {
            out.push(row.id);
            put_text(name, value, out)?;
        }
    }
    Ok(())
}

fn put_text(name: &str, text: &str, out: &mut Vec<u8>) -> Result<(), Failure> {
    let length = u16::try_from(text.len())
        .map_err(|_| Failure::usage(format!("Error: Property value too long for property {name}.")))?;
    out.extend(length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line is one `-D`, its words separated by single blanks.
    fn parse(lines: &[&str]) -> Result<PropertyArgs, Failure> {
        let words: Vec<Vec<String>> =
            lines.iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect();
        PropertyArgs::parse(words.iter().map(|words| words.iter()))
    }

    fn refused(line: &str, expected: &str) {
        assert_eq!(parse(&[line]).unwrap_err(), Failure::usage(expected), "{line}");
    }

    #[test]
    fn every_type_of_value() {
        let args = parse(&[
            "publish content-type text/plain",
            "publish user-property a b",
            "publish user-property a c",
            "publish correlation-data xyz",
            "publish payload-format-indicator 1",
            "publish message-expiry-interval 4294967295",
            "connect receive-maximum 7",
            "subscribe subscription-identifier 268435455",
            "unsubscribe user-property x y",
            "disconnect session-expiry-interval 5",
            "will will-delay-interval 9",
        ])
        .unwrap();
        let publish: Vec<_> = args.publish.iter().collect();
        assert_eq!(
            publish,
            [
                Property::ContentType("text/plain"),
                Property::UserProperty("a", "b"),
                Property::UserProperty("a", "c"),
                Property::CorrelationData(b"xyz"),
                Property::PayloadFormatIndicator(1),
                Property::MessageExpiryInterval(u32::MAX),
            ]
        );
        assert_eq!(args.connect.receive_maximum(), Some(7));
        assert_eq!(args.subscribe.subscription_identifier(), Some(268_435_455));
        assert_eq!(args.unsubscribe.user_properties().next(), Some(("x", "y")));
        assert_eq!(args.disconnect.session_expiry_interval(), Some(5));
        assert_eq!(args.will.will_delay_interval(), Some(9));
    }

    #[test]
    fn mistakes_in_mosquittos_words() {
        refused(
            "publish topic-aliass 3",
            "Error: Invalid property name topic-aliass given in --property argument.",
        );
        refused(
            "connect topic-alias 3",
            "Error: topic-alias property not allowed for connect in --property argument.",
        );
        refused(
            "publish subscription-identifier 3",
            "Error: subscription-identifier property not supported for publish in --property argument.",
        );
        refused("publish message-expiry-interval soon", "Error: Property value 'soon' not a number.");
        refused(
            "publish topic-alias 65536",
            "Error: Property value (65536) out of range for property topic-alias.",
        );
        refused(
            "publish message-expiry-interval -1",
            "Error: Property value (-1) out of range for property message-expiry-interval.",
        );
        refused(
            &format!("publish content-type {}", "x".repeat(65_536)),
            "Error: Property value too long for property content-type.",
        );
        refused(
            "publish content-type a b",
            "Error: --property publish content-type takes one value, and 'b' is a second one.",
        );
        for line in ["publish", "publish content-type", "publish user-property a"] {
            assert_eq!(parse(&[line]).unwrap_err(), too_few(), "{line}");
        }
    }

    #[test]
    fn the_table_checks_values_and_repetition() {
        let twice = parse(&["publish content-type a", "publish content-type b"]).unwrap_err();
        assert_eq!(twice, Failure::usage("Error in PUBLISH properties: property occurs more than once"));
        assert!(parse(&["publish topic-alias 0"]).is_err()); // [MQTT-3.3.2-8]
        assert!(parse(&["publish response-topic a/#"]).is_err()); // [MQTT-3.3.2-14]
        assert!(parse(&["connect authentication-data x"]).is_err());
        assert!(parse(&["puback reason-string x"]).is_err());
    }
}
