//! Properties, which persist-sqlite keeps as JSON: a list of objects with `identifier`, `value`, and `name` for a pair.

use serde_json::Value;

/// A property that a stored message can have, by its name in the JSON.
struct Known {
    name: &'static str,
    identifier: u8,
    kind: Kind,
}

enum Kind {
    Byte,
    FourBytes,
    Text,
    /// In hexadecimal digits.
    Binary,
    Pair,
}

const KNOWN: &[Known] = &[
    Known { name: "payload-format-indicator", identifier: 0x01, kind: Kind::Byte },
    Known { name: "message-expiry-interval", identifier: 0x02, kind: Kind::FourBytes },
    Known { name: "content-type", identifier: 0x03, kind: Kind::Text },
    Known { name: "response-topic", identifier: 0x08, kind: Kind::Text },
    Known { name: "correlation-data", identifier: 0x09, kind: Kind::Binary },
    Known { name: "user-property", identifier: 0x26, kind: Kind::Pair },
];

/// As in a PUBLISH, without their length; and how many were not understood.
pub(super) fn from_json(json: &str) -> (Vec<u8>, u64) {
    let Ok(Value::Array(list)) = serde_json::from_str(json) else { return (Vec::new(), 1) };
    let (mut properties, mut refused) = (Vec::new(), 0);
    for property in &list {
        match encode(property) {
            Some(bytes) => properties.extend(bytes),
            None => refused += 1,
        }
    }
    (properties, refused)
}

fn encode(property: &Value) -> Option<Vec<u8>> {
    let name = property.get("identifier")?.as_str()?;
    let Known { identifier, kind, .. } = KNOWN.iter().find(|known| known.name == name)?;
    let value = property.get("value")?;
    let mut bytes = vec![*identifier];
    match kind {
        Kind::Byte => bytes.push(u8::try_from(value.as_u64()?).ok()?),
        Kind::FourBytes => bytes.extend(u32::try_from(value.as_u64()?).ok()?.to_be_bytes()),
        Kind::Text => bytes.extend(with_length(value.as_str()?.as_bytes())?),
        Kind::Binary => bytes.extend(with_length(&unhex(value.as_str()?)?)?),
        Kind::Pair => {
            bytes.extend(with_length(property.get("name")?.as_str()?.as_bytes())?);
            bytes.extend(with_length(value.as_str()?.as_bytes())?);
        }
    }
    Some(bytes)
}

fn with_length(bytes: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(bytes.len()).ok()?;
    Some([&length.to_be_bytes()[..], bytes].concat())
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        digits.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_value() {
        let json = r#"[{"identifier":"content-type","value":"text"},{"identifier":"correlation-data","value":"00fF"},
            {"identifier":"payload-format-indicator","value":1},{"identifier":"user-property","name":"k","value":"v"}]"#;
        let bytes = b"\x03\0\x04text\x09\0\x02\x00\xFF\x01\x01\x26\0\x01k\0\x01v";
        assert_eq!(from_json(json), (bytes.to_vec(), 0));
    }

    #[test]
    fn what_is_not_understood_is_counted_and_the_rest_is_kept() {
        let json = r#"[{"identifier":"topic-alias","value":1},{"identifier":"content-type","value":7},7,
            {"identifier":"correlation-data","value":"0"},{"identifier":"payload-format-indicator","value":300},
            {"identifier":"response-topic","value":"a"}]"#;
        assert_eq!(from_json(json), (b"\x08\0\x01a".to_vec(), 5));
        assert_eq!(from_json("nonsense"), (Vec::new(), 1));
    }
}
