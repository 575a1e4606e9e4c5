//! A server that sends without end: the run ends all the same, and says so.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use noctule_selftest::{Outcome, Target, Verdict, choose, run};

/// Accepts every CONNECT, and then sends `packets` in 3.1.1 or in 5.0, again and again, until nobody listens.
fn server(packets: impl Fn(bool) -> Vec<u8> + Clone + Send + 'static, pause: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let port = listener.local_addr().expect("it is bound").port();
    // The thread ends with the test.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let packets = packets.clone();
            thread::spawn(move || serve(stream, &packets, pause));
        }
    });
    port
}

/// `None` when the client has gone.
fn serve(mut stream: TcpStream, packets: &dyn Fn(bool) -> Vec<u8>, pause: Duration) -> Option<()> {
    let mut connect = [0; 1000];
    let count = stream.read(&mut connect).ok()?;
    let is_v5 = connect[..count].get(8) == Some(&5);
    stream.write_all(if is_v5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] }).ok()?;
    let packets = packets(is_v5);
    loop {
        stream.write_all(&packets).ok()?;
        thread::sleep(pause);
    }
}

fn publish(is_v5: bool) -> Vec<u8> {
    if is_v5 { b"\x30\x06\0\x01a\0xy".to_vec() } else { b"\x30\x05\0\x01axy".to_vec() }
}

fn outcomes(port: u16, patience: Duration, only: &[&str]) -> Vec<Outcome> {
    let mut target = Target::new("127.0.0.1", port);
    target.patience = patience;
    let only: Vec<String> = only.iter().map(|words| (*words).to_owned()).collect();
    run(&target, &choose(None, &only), 4).expect("it listens")
}

/// What came instead, of every case that deviates.
fn deviations(outcomes: &[Outcome]) -> Vec<&str> {
    let came = outcomes.iter().filter_map(|outcome| match &outcome.verdict {
        Verdict::Deviates(deviation) => Some(deviation.came.as_str()),
        _ => None,
    });
    came.collect()
}

#[test]
fn messages_without_end_are_a_deviation() {
    let port = server(|is_v5| publish(is_v5).repeat(1000), Duration::ZERO);
    let outcomes = outcomes(port, Duration::from_secs(20), &["3.12.4", "DISCONNECT discards the will"]);
    let came = deviations(&outcomes);
    assert_eq!(came.len(), outcomes.len(), "{outcomes:#?}");
    assert!(came.iter().all(|came| came.starts_with("the server sends without end: ")), "{came:#?}");
}

#[test]
fn large_packets_without_end_are_a_deviation() {
    let large = |is_v5: bool| {
        let body = [&b"\0\x01a"[..], if is_v5 { &[0] } else { &[] }, &vec![b'x'; 1 << 20][..]].concat();
        // 2^20 and a few bytes as a Variable Byte Integer.
        let length = body.len();
        let head = [0x30, length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8];
        [&head[..], &body].concat()
    };
    let outcomes = outcomes(server(large, Duration::ZERO), Duration::from_secs(20), &["3.12.4"]);
    let came = deviations(&outcomes);
    assert_eq!(came.len(), outcomes.len(), "{outcomes:#?}");
    assert!(came.iter().all(|came| came.starts_with("the server sends without end: ")), "{came:#?}");
}

/// Each message comes in time, and there are never too many of them: only the clock ends the case.
#[test]
fn a_case_has_an_end() {
    let port = server(publish, Duration::from_millis(20));
    let begun = Instant::now();
    let outcomes = outcomes(port, Duration::from_millis(200), &["3.12.4"]);
    let came = deviations(&outcomes);
    assert_eq!(came, ["the case is not at its end after 3s"].repeat(outcomes.len()));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
