//! Tests of `encoding`.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::record::{Lane, Place};
use crate::session::Identifiers;

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
    let sequence = message.sequence();
    let put = |list| Operation::PutMessage { message: message.clone(), recipients: recipients.clone(), list };
    let single = |n: usize, alone| {
        format!("{:?}", Record::Recipient { sequence, recipient: recipients[n].clone(), alone })
    };
    assert_eq!(round_trip(&put(None)), [format!("Message({message:?})"), single(0, None), single(1, None)]);
    let payload_bytes = message.payload_bytes() as u32;
    let list =
        Record::List { sequence, list: List::Late, payload_bytes, recipients: recipients[..1].to_vec() };
    let rows = round_trip(&put(Some(List::Late)));
    assert_eq!(rows[1..], [format!("{list:?}"), single(1, None)], "who has it through a group may change");
    let alone =
        Operation::PutMessage { message: message.clone(), recipients: recipients[..1].to_vec(), list: None };
    assert_eq!(round_trip(&alone)[1], single(0, Some(payload_bytes)), "nobody else can have it");
}

#[test]
fn a_message_is_deleted_with_its_list() {
    let sequence = Sequence { source: 0, counter: 1 };
    for (has_list, rows) in [(true, 2), (false, 1)] {
        let rows_deleted = round_trip(&Operation::DeleteMessage { sequence, has_list });
        assert_eq!(rows_deleted.len(), rows);
        assert!(rows_deleted.iter().all(|row| row.starts_with('-')));
    }
}

fn recipient(copy: u32, session: u64) -> Recipient {
    Recipient {
        copy,
        session: SessionNumber(session),
        qos: QoS::AtLeastOnce,
        retain: false,
        identifiers: Identifiers::None,
        group: None,
    }
}

#[test]
fn a_list_takes_a_byte_or_two_for_each_recipient() {
    let row = |recipients: &[Recipient]| recipients::list(List::Prompt, 64, recipients.iter()).len();
    let neighbours: Vec<Recipient> = (0..1000).map(|n| recipient(n, 70_000 + u64::from(n))).collect();
    assert_eq!(row(&neighbours), 6 + 3 + 999);
    let scattered: Vec<Recipient> = (0..1000).map(|n| recipient(n, u64::from(n) * 7919 % 10_007)).collect();
    assert_eq!(row(&scattered), 6 + 1 + 2 * 999);
}

#[test]
fn an_outgoing_exchange_comes_back() {
    let (session, packet_id) = (SessionNumber(5), PacketId::FIRST);
    let sent = Exchange::Sent { sequence: Sequence { source: 2, counter: u64::MAX }, copy: 1 << 31 };
    for exchange in [sent, Exchange::Released] {
        let rows = round_trip(&Operation::PutOutgoing { session, packet_id, exchange });
        assert_eq!(rows, [format!("{:?}", Record::Outgoing { session, packet_id, exchange })]);
    }
}

#[test]
fn a_cursor_comes_back_and_is_small() {
    let lane = |source| Lane { source, list: List::Prompt };
    let place = |counter: u64| Place { counter: 1_700_000_000_000_000_000 + counter, copy: 2 };
    let queued = Some((Sequence { source: 1, counter: 9 }, 0));
    let mut cursor = Cursor::default();
    cursor.settle(lane(1), place(500_000));
    let session = SessionNumber(5);
    let length = |cursor: &Cursor| super::cursor::cursor(cursor).len();
    assert_eq!(length(&cursor), 1 + 1 + 1 + 9 + 1);
    cursor.drop_arriving(lane(1), place(700_000), queued);
    cursor.drop_arriving(lane(1), place(800_000), queued);
    cursor.settle(Lane { list: List::Late, ..lane(1) }, place(4));
    cursor.settle(lane(2), Place { counter: u64::MAX, copy: u32::MAX });
    let in_flight = [400_000, 200_000, 600_000].map(|counter| (lane(1), place(counter)));
    let cursor = cursor.record(in_flight.into_iter());
    let rows = round_trip(&Operation::PutCursor { session, cursor: cursor.clone() });
    assert_eq!(rows, [format!("{:?}", Record::Cursor { session, cursor: cursor.clone() })]);
    assert!(cursor.has(lane(1), place(500_000)) && !cursor.has(lane(1), place(400_000)));
}

proptest! {
    #[test]
    fn numbers_come_back(numbers: Vec<(u64, u64)>) {
        for (from, to) in numbers {
            for shift in [0, 20, 40, 63] {
                let (from, to) = (from >> shift, to >> shift);
                let value = Writer::new().number(to).step(from, to).0;
                let mut reader = Reader(&value[1..]);
                prop_assert_eq!((reader.number(), reader.step(from)), (Ok(to), Ok(to)));
                prop_assert!(reader.0.is_empty());
            }
        }
    }
}

#[test]
fn numbers_that_are_too_large_are_errors() {
    assert_eq!(Reader(&[0xff; 10]).number::<u64>(), Err("number is too large"));
    assert_eq!(Reader(&[0xff, 0xff, 0xff, 0xff, 0x10]).number::<u32>(), Err("number is too large"));
    assert_eq!(Reader(&[0xff, 0xff, 0xff, 0xff, 0x0f]).number(), Ok(u32::MAX));
    assert_eq!(Reader(&[0x80]).number::<u64>(), Err("too short"));
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
