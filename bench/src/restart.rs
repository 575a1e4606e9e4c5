//! How soon a broker that holds much serves again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::broker::{Running, Start, reason};
use crate::empty::resident_bytes;
use crate::program::Program;
use crate::summary::spread;

/// What it holds.
pub(crate) struct Held {
    pub(crate) retained: u64,
    pub(crate) queued: u64,
    pub(crate) sessions: u64,
}

/// What one restart took.
struct Seen {
    end: f64,
    /// Until it answered a CONNECT.
    accepts: f64,
    /// Until one subscription had got every retained message.
    retained: f64,
    resident: f64,
}

/// CONNECT of a client without session, 3.1.1.
const CONNECT: &[u8] = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x00\x00\x06reader";
const CONNACK_BYTES: usize = 4;
/// What the load retains under, with QoS 0.
const SUBSCRIBE: &[u8] = b"\x82\x15\x00\x01\x00\x10bench/retained/#\x00";
/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ours, and what people come from.
pub(crate) fn brokers() -> Result<Vec<Program>> {
    ["noctule:persistence=true,threads=2,name=noctule", "mosquitto:persistence=true,name=Mosquitto"]
        .into_iter()
        .map(|name| name.parse().map_err(anyhow::Error::msg))
        .collect()
}

/// Fills each broker, ends it, starts it; kills it, starts it again; prints a table of medians.
pub(crate) fn run(programs: &[Program], runs: usize, held: &Held, load: &Path) -> Result<()> {
    println!(
        "{} retained messages, {} messages for {} sessions; medians of {runs}\n",
        held.retained, held.queued, held.sessions
    );
    println!("| broker | | ended after | answers after | all retained read after | resident then |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for program in programs {
        let (mut ended, mut killed) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let start =
                Start { cores: program.cores.clone(), protocol_level: 4, settle_time: Duration::ZERO };
            let mut broker = Running::start(program, &start).with_context(|| format!("start {program}"))?;
            fill(load, &broker, held).with_context(|| format!("fill {program}"))?;
            for (signal, seen) in [(Signal::SIGTERM, &mut ended), (Signal::SIGKILL, &mut killed)] {
                seen.push(restart(&mut broker, signal, held.retained).with_context(|| {
                    format!("{program} after {signal}; it may not keep what it is sent when it is killed")
                })?);
            }
        }
        for (how, seen) in [("asked to end", ended), ("killed", killed)] {
            let median = |pick: fn(&Seen) -> f64| {
                spread(seen.iter().map(pick)).map_or(f64::NAN, |spread| spread.median)
            };
            println!(
                "| {program} | {how} | {:.2} s | {:.2} s | {:.2} s | {:.0} MB |",
                median(|seen| seen.end),
                median(|seen| seen.accepts),
                median(|seen| seen.retained),
                median(|seen| seen.resident) / 1e6
            );
        }
    }
    Ok(())
}

fn fill(load: &Path, broker: &Running, held: &Held) -> Result<()> {
    let Held { retained, queued, sessions } = held;
    let counts = [
        vec!["retained".to_owned(), format!("--items={retained}"), "--publishers=100".to_owned()],
        vec!["offline".to_owned(), format!("--items={queued}"), format!("--connections={sessions}")],
    ];
    for words in counts {
        let output = Command::new(load)
            .arg("bench")
            .args(&words)
            .args(["--keep", "--json", "--stall-timeout=60", "--host=127.0.0.1"])
            .arg(format!("--port={}", broker.address.port()))
            .output()
            .with_context(|| format!("run {}", load.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the load `{}` failed: {}", words.join(" "), reason(&said));
    }
    Ok(())
}

fn restart(broker: &mut Running, signal: Signal, retained: u64) -> Result<Seen> {
    let end = broker.restart(signal)?.as_secs_f64();
    let begin = Instant::now();
    let mut stream = connect(broker.address)?;
    let accepts = (broker.start_time + begin.elapsed()).as_secs_f64();
    stream.write_all(SUBSCRIBE)?;
    count_publishes(&mut stream, retained)?;
    let retained = (broker.start_time + begin.elapsed()).as_secs_f64();
    Ok(Seen { end, accepts, retained, resident: resident_bytes(broker.pid())? as f64 })
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    stream.write_all(CONNECT)?;
    let mut connack = [0; CONNACK_BYTES];
    stream.read_exact(&mut connack).context("wait for CONNACK")?;
    ensure!(connack == [0x20, 2, 0, 0], "CONNECT was answered with {connack:02x?}");
    Ok(stream)
}

/// Reads until so many PUBLISH packets have come.
fn count_publishes(stream: &mut TcpStream, expected: u64) -> Result<()> {
    let mut count = 0;
    let mut held = Vec::new();
    let mut buffer = vec![0; 1 << 18];
    while count < expected {
        let read = stream.read(&mut buffer).with_context(|| format!("after {count} retained messages"))?;
        ensure!(read > 0, "it closed the connection after {count} retained messages");
        held.extend_from_slice(&buffer[..read]);
        let mut at = 0;
        while let Some(length) = frame_bytes(&held[at..]) {
            count += u64::from(held[at] >> 4 == 3);
            at += length;
        }
        held.drain(..at);
    }
    Ok(())
}

/// Length of the frame at the start, if all of it is there.
fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    let mut rest = 0;
    for place in 1..=4 {
        let byte = *bytes.get(place)?;
        rest |= usize::from(byte & 127) << (7 * (place - 1));
        if byte & 128 == 0 {
            return Some(place + 1 + rest).filter(|length| *length <= bytes.len());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packets_are_whole_frames() {
        for packet in [CONNECT, SUBSCRIBE] {
            assert_eq!(frame_bytes(packet), Some(packet.len()));
            assert_eq!(frame_bytes(&packet[..packet.len() - 1]), None);
        }
    }

    #[test]
    fn the_brokers_are_known() {
        assert_eq!(brokers().unwrap().len(), 2);
    }
}
