//! What clients see.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Broker, expect};

const PINGREQ: &[u8] = b"\xc0\x00";
const PINGRESP: &[u8] = b"\xd0\x00";

#[test]
fn it_serves_and_ends_on_sigterm() {
    let mut broker = Broker::start("allow_anonymous true\npid_file DIR/pid");
    let pid = std::fs::read_to_string(broker.file("pid")).unwrap();
    assert_eq!(pid, broker.process.id().to_string());

    let mut client = broker.client(b'a');
    client.write_all(PINGREQ).unwrap();
    expect(&mut client, PINGRESP);

    let before = Instant::now();
    broker.signal(Signal::SIGTERM);
    assert_eq!(broker.exit_code(), Some(0));
    assert!(before.elapsed() < Duration::from_secs(5));
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert!(!broker.file("pid").exists());
}

/// Unread input must not turn a farewell into a reset, neither when the broker ends nor when the client sent nonsense.
#[test]
fn a_farewell_arrives_however_much_is_unread() {
    let mut broker = Broker::start("allow_anonymous true");
    let connect_v5 = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a";
    let client = |name: u8| {
        let mut stream = broker.connect();
        let mut connect = connect_v5.to_vec();
        *connect.last_mut().unwrap() = name;
        stream.write_all(&connect).unwrap();
        let mut head = [0; 2];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 0x20);
        stream.read_exact(&mut vec![0; head[1].into()]).unwrap();
        stream
    };
    let rest = |stream: &mut TcpStream| {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rest
    };

    let mut confused = client(b'a');
    // A reserved packet type, and then what a client may have in flight.
    let mut nonsense = vec![0xFF; 2];
    nonsense.resize(500_000, 0);
    confused.write_all(&nonsense).unwrap();
    let farewell = rest(&mut confused);
    assert_eq!((farewell.first(), farewell.get(2)), (Some(&0xE0), Some(&0x81)), "{farewell:x?}");
    // Linux shows what came before a reset, other systems do not: so there must be none.
    confused.write_all(&nonsense).unwrap();
    confused.write_all(&nonsense).unwrap();
    drop(confused);

    let mut waiting = client(b'b');
    broker.signal(Signal::SIGTERM);
    let farewell = rest(&mut waiting);
    drop(waiting);
    assert_eq!((farewell.first(), farewell.get(2)), (Some(&0xE0), Some(&0x8B)), "{farewell:x?}");
    assert_eq!(broker.exit_code(), Some(0));
}

/// What is read piecemeal arrives whole: a message much larger than any buffer between, to a subscriber that begins
/// to read late.
#[test]
fn a_large_message_reaches_a_late_reader() {
    let broker = Broker::start("allow_anonymous true");
    let mut client = broker.client(b'a');
    client.write_all(b"\x82\x06\x00\x01\x00\x01t\x00").unwrap();
    expect(&mut client, b"\x90\x03\x00\x01\x00");

    let payload: Vec<u8> = (0..900_000_u32).map(|number| (number % 251) as u8).collect();
    let remaining = payload.len() + 3;
    let mut publish = vec![0x30, (remaining & 0x7F) as u8 | 0x80, (remaining >> 7 & 0x7F) as u8 | 0x80];
    publish.push((remaining >> 14) as u8);
    publish.extend(b"\x00\x01t");
    publish.extend(&payload);
    client.write_all(&publish).unwrap();
    expect(&mut client, &publish);
}

/// However much comes with the end: less than the broker reads at a time, or all of it to the last byte.
#[test]
fn who_ends_its_own_side_gets_its_answers() {
    let broker = Broker::start("allow_anonymous true");
    for bytes in [2, 1 << 16, 2 << 16, 3 << 16] {
        let mut client = broker.client(b'a');
        client.write_all(&PINGREQ.repeat(bytes / 2)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).unwrap();
        assert_eq!(answers.len(), bytes);
        broker.wait_for("connection closed by client");
    }
}

#[test]
fn nothing_that_is_sent_stops_it() {
    let broker = Broker::start("allow_anonymous true");
    for bytes in [&b""[..], b"\0", b"\x10\xff\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n", &[0x30; 100_000]] {
        let mut stream = broker.connect();
        // The broker may close before all is written.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    broker.client(b'b');
}

#[test]
fn connections_above_max_connections_are_closed() {
    let broker = Broker::start("allow_anonymous true\nmax_connections 1");
    let client = broker.client(b'a');
    let mut refused = broker.connect();
    assert_eq!(refused.read(&mut [0; 1]).unwrap_or(0), 0);
    broker.wait_for("Client connection from 127.0.0.1 denied: max_connections exceeded.");
    drop(client);
    broker.wait_for("connection closed by client");
    broker.client(b'b');
}

/// Its answers are bounded by not reading its questions; when it reads them, all are there.
#[test]
fn who_does_not_read_is_not_read_from() {
    const SENT_MAX: usize = 256 << 20;
    let broker = Broker::start("allow_anonymous true");
    let mut client = broker.client(b'a');
    let chunk = PINGREQ.repeat(8192);
    let (mut sent, mut refused_since) = (0, None::<Instant>);
    client.set_nonblocking(true).unwrap();
    while refused_since.is_none_or(|since| since.elapsed() < Duration::from_millis(500)) {
        match client.write(&chunk[sent % 2..]) {
            Ok(bytes) => (sent, refused_since) = (sent + bytes, None),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused_since.get_or_insert_with(Instant::now);
                std::thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < SENT_MAX, "it reads without end");
    }
    broker.client(b'b');

    client.set_nonblocking(false).unwrap();
    let mut answers = vec![0; sent / 2 * PINGRESP.len()];
    client.read_exact(&mut answers).unwrap();
    assert!(answers.chunks(2).all(|answer| answer == PINGRESP));
    client.write_all(&PINGREQ[sent % 2..]).unwrap();
    expect(&mut client, PINGRESP);
}

/// More lines than a pipe and the queue hold, into a pipe that nobody empties.
#[test]
fn a_blocked_log_blocks_nobody() {
    let mut broker = Broker::start("allow_anonymous true\nlog_type all\nlog_dest stderr\nlog_dest stdout");
    let mut client = broker.client(b'a');
    // Each of these is a line of its own, and nobody subscribes to them.
    for _ in 0..50 {
        client.write_all(&b"\x30\x03\x00\x01t".repeat(1000)).unwrap();
        client.write_all(PINGREQ).unwrap();
        expect(&mut client, PINGRESP);
    }
    drop(client);
    broker.client(b'b');
    broker.signal(Signal::SIGTERM);
    let before = Instant::now();
    assert_eq!(broker.exit_code(), Some(0));
    let elapsed = before.elapsed();
    assert!(elapsed < Duration::from_secs(5));
    // The last lines were waited for, so there was a blocked log.
    assert!(elapsed > Duration::from_secs(1));
}

/// It pauses accepting, says so once, and goes on when there are descriptors again.
#[test]
fn it_survives_running_out_of_descriptors() {
    const LIMIT: u32 = 40;
    let broker = Broker::start_limited("allow_anonymous true", LIMIT);
    let crowd: Vec<_> = (0..LIMIT).map(|_| broker.connect()).collect();
    broker.wait_for("Unable to accept new connection, system socket count has been exceeded");
    drop(crowd);
    broker.client(b'b');
    let complaints = broker.lines.try_iter().filter(|line| line.contains("Unable to accept"));
    assert_eq!(complaints.count(), 0);
}
