//! Tests of `encoding`.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn message(payload: &[u8], expires: Option<Duration>) -> Message {
    let view = MessageView {
        topic: "a/b",
        payload,
        properties: &[1, 1],
        qos: QoS::ExactlyOnce,
        retain: true,
        expires,
        publisher: SessionNumber(7),
    };
    view.to_message(Sequence { source: 3, counter: 9 })
}

/// What comes back of the rows an operation puts; deletions come back as their key.
fn round_trip(operation: &Operation) -> Vec<String> {
    let mut rows = Vec::new();
    operation.changes(|Change { table, key, value }| {
        rows.push(match value {
            Some(value) => format!("{:?}", Record::decode(table, &key, &value).unwrap()),
            None => format!("-{table:?}{key:?}"),
        });
    });
    rows
}

#[test]
fn a_session_comes_back() {
    let record = SessionRecord {
        number: SessionNumber(5),
        client_id: "id".into(),
        user_name: None,
        expiry: 60,
        disconnected_at: Some(Duration::from_millis(1500)),
        will: Some(Will {
            topic: "w".into(),
            payload: b"gone"[..].into(),
            properties: [][..].into(),
            qos: QoS::AtLeastOnce,
            retain: true,
            delay: Duration::from_secs(3),
            expiry: None,
        }),
    };
    let rows = round_trip(&Operation::PutSession(record.clone()));
    assert_eq!(rows, [format!("{:?}", Record::Session(record))]);
}

#[test]
fn a_message_comes_back_with_its_recipients() {
    let message = message(b"payload", Some(Duration::from_secs(99)));
    let recipients = vec![
        Recipient {
            copy: 0,
            session: SessionNumber(1),
            qos: QoS::AtLeastOnce,
            retain: true,
            identifiers: Identifiers::None,
            group: None,
        },
        Recipient {
            copy: 2,
            session: SessionNumber(2),
            qos: QoS::ExactlyOnce,
            retain: false,
            identifiers: Identifiers::Many([1, 268_435_455].into()),
            group: Some("$share/g/t".into()),
        },
    ];
    let rows =
        round_trip(&Operation::PutMessage { message: message.clone(), recipients: recipients.clone() });
    assert_eq!(rows[0], format!("Message({message:?})"));
    assert_eq!(rows[1], format!("{:?}", Record::Delivery { sequence: message.sequence(), recipients }));
}

#[test]
fn what_is_deleted_takes_its_rows_along() {
    let rows =
        round_trip(&Operation::DeleteMessage { sequence: Sequence { source: 0, counter: 1 }, copies: 2 });
    assert_eq!(rows.len(), 2 + 2);
    assert!(rows.iter().all(|row| row.starts_with('-')));
    let rows =
        round_trip(&Operation::DeleteRecipient { sequence: Sequence { source: 0, counter: 1 }, copy: 2 });
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.starts_with('-')));
}

#[test]
fn filters_of_any_length_have_a_key_that_a_store_takes() {
    let options = SubscriptionOptions::new(QoS::AtLeastOnce);
    let row = |filter: &str| {
        let filter = filter.into();
        let put = Operation::PutSubscription { session: SessionNumber(5), filter, options, identifier: 9 };
        let mut rows = Vec::new();
        put.changes(|Change { table, key, value }| rows.push((table, key, value.unwrap())));
        rows.remove(0)
    };
    let mut keys = Vec::new();
    for length in [1, FILTER_BYTES_IN_KEY - 1, FILTER_BYTES_IN_KEY, FILTER_BYTES_IN_KEY + 1, 65_534, 65_535] {
        for last in ["x", "y", "ä"] {
            let filter = "f".repeat(length - last.len().min(length)) + last;
            let (table, key, value) = row(&filter);
            assert!(key.len() <= 65_535, "{length}");
            match Record::decode(table, &key, &value) {
                Ok(Record::Subscription { session, filter: found, identifier, .. }) => {
                    assert_eq!((session, &*found, identifier), (SessionNumber(5), &*filter, 9));
                }
                other => panic!("{length}: {other:?}"),
            }
            Operation::DeleteSubscription { session: SessionNumber(5), filter: filter.into() }
                .changes(|change| assert_eq!((&change.key, change.value), (&key, None)));
            keys.push((key, value));
        }
    }
    let (key, value) = &keys[keys.len() - 1];
    let (_, another) = &keys[keys.len() - 3];
    assert!(Record::decode(Table::Subscription, key, another).is_err(), "the rest of another filter");
    assert!(Record::decode(Table::Subscription, key, &value[..value.len() - 1]).is_err());
    keys.dedup();
    assert_eq!(keys.len(), 18, "each has its own");
}

#[test]
fn damage_is_an_error() {
    let mut rows = Vec::new();
    let publisher =
        Publisher { client_id: "me".into(), user_name: Some("user".into()), ..Publisher::default() };
    let retained = RetainedMessage { message: message(b"x", None), publisher: publisher.into() };
    Operation::PutRetained(retained).changes(|change| rows.push(change));
    let Change { table, key, value } = rows.remove(0);
    let value = value.unwrap();
    for length in 0..value.len() {
        assert!(Record::decode(table, &key, &value[..length]).is_err(), "{length}");
    }
    assert!(Record::decode(table, b"other", &value).is_err());
    assert!(Record::decode(table, &key, &[&value[..], b"x"].concat()).is_err());
    let mut newer = value.clone();
    newer[0] = FORMAT + 1;
    assert!(Record::decode(table, &key, &newer).is_err());
}

proptest! {
    #[test]
    fn any_bytes_never_panic(table in 0..Table::ALL.len(), key: Vec<u8>, mut value: Vec<u8>) {
        if let Some(first) = value.first_mut() {
            *first = FORMAT;
        }
        let _ = Record::decode(Table::ALL[table], &key, &value);
    }
}
