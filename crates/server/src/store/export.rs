//! What a store holds, as lines of JSON: an object each, whose member `kind` says what it is about.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use base64ct::{Base64, Encoding};
use noctule_broker::record::{Exchange, List, Place, Recipient, Record, RecordError, SessionRecord, Table};
use noctule_broker::{Message, Sequence, Will};
use noctule_persistence::keyspace;
use noctule_storage::{Reader, Store};
use serde_json::{Value, json};

use super::{StoreToolError, open};

/// What was read of a store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Exported {
    /// Rows that are what a broker wrote.
    pub rows: u64,
    /// Rows that are not.
    pub unreadable: u64,
    /// What is wrong with the first of those.
    pub first: Option<RecordError>,
}

/// Writes everything that a data directory holds, a line for each row that can be read. No broker may serve from it.
pub fn export(data: &Path, out: &mut dyn Write) -> Result<Exported, StoreToolError> {
    let directory = open(data)?;
    let mut store = directory.open_store()?;
    let exported = rows(&*store.reader(), out)?;
    match out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(unwritten(error)),
        Ok(()) | Err(_) => {}
    }
    store.close()?;
    Ok(exported)
}

fn unwritten(source: io::Error) -> StoreToolError {
    StoreToolError::io("write", Path::new("standard output"))(source)
}

pub(super) fn rows(store: &dyn Reader, out: &mut dyn Write) -> Result<Exported, StoreToolError> {
    let mut exported = Exported::default();
    for table in Table::ALL {
        let mut stopped = None;
        store.scan(keyspace(table), b"", &mut |key, value| {
            match Record::decode(table, key, value) {
                Ok(record) => {
                    exported.rows += 1;
                    stopped = writeln!(out, "{}", line(&record)).err();
                }
                Err(error) => {
                    exported.unreadable += 1;
                    exported.first.get_or_insert(error);
                }
            }
            if stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        match stopped {
            // Who read the lines has enough.
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Some(error) => return Err(unwritten(error)),
            None => {}
        }
    }
    Ok(exported)
}

fn line(record: &Record) -> Value {
    match record {
        Record::Session(record) => session(record),
        Record::Subscription { session, filter, options, identifier } => json!({
            "kind": "subscription",
            "session": session.0,
            "filter": filter,
            "qos": options.qos.level(),
            "no_local": options.no_local,
            "retain_as_published": options.retain_as_published,
            "identifier": identifier,
        }),
        Record::Message(found) => kind("message", message(found)),
        Record::List { sequence: of, recipients, .. } => json!({
            "kind": "list",
            "message": sequence(*of),
            "recipients": recipients.iter().map(recipient).collect::<Vec<_>>(),
        }),
        Record::Recipient { sequence: of, recipient: who, .. } => json!({
            "kind": "recipient",
            "message": sequence(*of),
            "recipient": recipient(who),
        }),
        Record::Cursor { session, cursor } => json!({
            "kind": "cursor",
            "session": session.0,
            "tracks": cursor.tracks().map(|track| json!({
                "source": track.lane.source,
                "late": track.lane.list == List::Late,
                "done_up_to": place(track.mark),
                "except": track.open.iter().copied().map(place).collect::<Vec<_>>(),
                "and": track.runs.iter().map(|(from, to)| [place(*from), place(*to)]).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        }),
        Record::Outgoing { session, packet_id, exchange: Exchange::Sent { sequence: of, copy } } => json!({
            "kind": "outgoing",
            "session": session.0,
            "packet_id": packet_id.get(),
            "state": "sent",
            "message": sequence(*of),
            "copy": copy,
        }),
        Record::Outgoing { session, packet_id, exchange: Exchange::Released } => json!({
            "kind": "outgoing",
            "session": session.0,
            "packet_id": packet_id.get(),
            "state": "released",
        }),
        Record::Incoming { session, packet_id, message: found } => {
            let mut line = kind("incoming", message(found));
            line["session"] = session.0.into();
            line["packet_id"] = packet_id.get().into();
            line
        }
        Record::Retained { message: found, publisher } => {
            let mut line = kind("retained", message(found));
            line["client_id"] = publisher.client_id.as_ref().into();
            line["user_name"] = publisher.user_name.as_deref().into();
            line
        }
    }
}

fn kind(kind: &str, mut line: Value) -> Value {
    line["kind"] = kind.into();
    line
}

fn session(record: &SessionRecord) -> Value {
    json!({
        "kind": "session",
        "session": record.number.0,
        "client_id": record.client_id.as_ref(),
        "user_name": record.user_name.as_deref(),
        "expiry_interval": record.expiry,
        "disconnected_at": record.disconnected_at.map(|at| at.as_secs_f64()),
        "will": record.will.as_ref().map(will),
    })
}

fn will(will: &Will) -> Value {
    let mut line = json!({
        "topic": will.topic,
        "qos": will.qos.level(),
        "retain": will.retain,
        "delay": will.delay.as_secs(),
        "expiry_interval": will.expiry.map(|expiry| expiry.as_secs()),
    });
    bytes(&mut line, "payload", &will.payload);
    bytes(&mut line, "properties", &will.properties);
    line
}

fn message(message: &Message) -> Value {
    let mut line = json!({
        "message": sequence(message.sequence()),
        "topic": message.topic(),
        "qos": message.qos().level(),
        "retain": message.retain(),
        "expires_at": message.expires().map(|at| at.as_secs_f64()),
        "publisher": message.publisher().0,
    });
    bytes(&mut line, "payload", message.payload());
    bytes(&mut line, "properties", message.properties());
    line
}

fn recipient(recipient: &Recipient) -> Value {
    json!({
        "copy": recipient.copy,
        "session": recipient.session.0,
        "qos": recipient.qos.level(),
        "retain": recipient.retain,
        "identifiers": recipient.identifiers.iter().collect::<Vec<_>>(),
        "group": recipient.group.as_deref(),
    })
}

fn place(place: Place) -> String {
    format!("{}/{}", place.counter, place.copy)
}

fn sequence(sequence: Sequence) -> String {
    format!("{}-{}", sequence.source, sequence.counter)
}

/// As text if it is text, else as Base64 under a name that says so. Nothing is left away.
fn bytes(line: &mut Value, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        _ if bytes.is_empty() && name == "properties" => {}
        Ok(text) if name == "payload" => line[name] = text.into(),
        _ => line[format!("{name}_base64")] = Base64::encode_string(bytes).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use noctule_broker::record::Operation;
    use noctule_broker::{MessageView, SessionNumber};
    use noctule_protocol::QoS;
    use noctule_storage::{Batch, MemoryStore};

    use super::*;

    fn message(payload: &[u8]) -> Message {
        let view = MessageView {
            topic: "a/\"b\"",
            payload,
            properties: b"\x01\x01",
            qos: QoS::AtLeastOnce,
            retain: false,
            expires: Some(Duration::from_secs(5)),
            publisher: SessionNumber(3),
        };
        view.to_message(Sequence { source: 1, counter: 2 })
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_the_rest_is_written() {
        let mut batch = Batch::new();
        batch.put(keyspace(Table::Session), "damaged", "row");
        Operation::PutMessage { message: message(b"good"), recipients: Vec::new(), list: None }.changes(
            |change| {
                batch.put(keyspace(change.table), change.key, change.value.unwrap_or_default());
            },
        );
        let mut store = MemoryStore::new();
        store.commit(&[batch], true).expect("memory");
        let mut out = Vec::new();
        let exported = rows(&*store.reader(), &mut out).expect("memory");
        assert_eq!((exported.rows, exported.unreadable), (1, 1));
        assert_eq!(exported.first.map(|error| error.table), Some(Table::Session));
        assert!(String::from_utf8_lossy(&out).contains("\"payload\":\"good\""));
    }

    #[test]
    fn a_line_each_and_bytes_that_are_no_text_in_base64() {
        let session = SessionRecord {
            number: SessionNumber(3),
            client_id: "c".into(),
            user_name: None,
            expiry: 60,
            disconnected_at: Some(Duration::from_millis(1_500)),
            will: None,
        };
        let recipient = Recipient {
            copy: 0,
            session: session.number,
            qos: QoS::AtLeastOnce,
            retain: false,
            identifiers: noctule_broker::Identifiers::default(),
            group: None,
        };
        let operations = [
            Operation::PutSession(session),
            Operation::PutMessage { message: message(b"\xFF"), recipients: vec![recipient], list: None },
        ];
        let mut batch = Batch::new();
        for operation in operations {
            operation.changes(|change| {
                batch.put(keyspace(change.table), change.key, change.value.unwrap_or_default());
            });
        }
        let mut store = MemoryStore::new();
        store.commit(&[batch], true).expect("memory");
        let mut out = Vec::new();
        let exported = rows(&*store.reader(), &mut out).expect("memory");
        assert_eq!((exported.rows, exported.unreadable, exported.first), (3, 0, None));
        let text = String::from_utf8(out).expect("JSON is text");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("an object each")).collect();
        let session = lines.iter().find(|line| line["kind"] == "session").expect("a session");
        assert_eq!((&session["client_id"], &session["disconnected_at"]), (&json!("c"), &json!(1.5)));
        assert!(lines.iter().any(|line| line["recipient"]["session"] == 3), "whom the message is for");
        let message = lines.iter().find(|line| line["kind"] == "message").expect("a message");
        assert_eq!((&message["topic"], &message["payload_base64"]), (&json!("a/\"b\""), &json!("/w==")));
        assert_eq!((&message["properties_base64"], &message["message"]), (&json!("AQE="), &json!("1-2")));
    }
}
