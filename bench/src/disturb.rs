//! What honest clients notice of others that misbehave: the latency of a steady load, alone and beside a disturbance.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use noctule_client::protocol::connection::{ClientConnection, ConnectOptions};
use noctule_client::protocol::packet::SubscriptionOptions;
use noctule_client::protocol::property::Properties;
use noctule_client::protocol::{ProtocolVersion, SubscriptionFilter};

use crate::broker::{Running, Start};
use crate::generator::Generator;
use crate::program::Program;
use crate::scenario::{Choice, Chosen};
use crate::summary::spread;

/// A thousand honest clients.
const HONEST: &str = "latency:publishers=500,subscribers=500";
const LOGINS_PER_SECOND: u32 = 500;
const HALF_OPEN: usize = 2000;
/// The median of p99 beside the disturbance, as a multiple of what it is alone.
const TIMES_MAX: f64 = 2.0;
/// A broker that does not answer for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);
const SETTLE_TIME: Duration = Duration::from_millis(200);

/// Who misbehaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Disturbance {
    StoppedReader,
    LoginStorm,
    HalfOpen,
}

impl Disturbance {
    const ALL: [Self; 3] = [Self::StoppedReader, Self::LoginStorm, Self::HalfOpen];

    fn about(self) -> String {
        match self {
            Self::StoppedReader => "a subscriber to everything that stopped reading".to_owned(),
            Self::LoginStorm => format!("{LOGINS_PER_SECOND} logins a second"),
            Self::HalfOpen => format!("{HALF_OPEN} connections that began a CONNECT"),
        }
    }

    /// Misbehaves until it is dropped.
    fn begin(self, address: SocketAddr) -> Result<Disturbing> {
        let mut disturbing = Disturbing { sockets: Vec::new(), storm: None };
        match self {
            Self::StoppedReader => {
                let mut reader = open(address, &login("stopped")?)?;
                let mut connack = [0; 4];
                reader.read_exact(&mut connack).context("CONNACK")?;
                reader.write_all(&subscribe_to_all()?)?;
                let mut suback = [0; 5];
                reader.read_exact(&mut suback).context("SUBACK")?;
                ensure!(suback[4] < 0x80, "the subscription was refused");
                disturbing.sockets.push(reader);
            }
            Self::LoginStorm => disturbing.storm = Some(Storm::begin(address)?),
            Self::HalfOpen => {
                let connect = login("half")?;
                for _ in 0..HALF_OPEN {
                    disturbing.sockets.push(open(address, &connect[..connect.len() / 2])?);
                }
            }
        }
        Ok(disturbing)
    }
}

struct Disturbing {
    sockets: Vec<TcpStream>,
    storm: Option<Storm>,
}

impl Disturbing {
    fn end(self) -> Result<()> {
        drop(self.sockets);
        self.storm.map_or(Ok(()), Storm::end)
    }
}

/// Clients that connect and leave, one after the other.
struct Storm {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Storm {
    fn begin(address: SocketAddr) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let connect = login("storm")?;
        let thread = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let mut client = open(address, &connect)?;
                let mut connack = [0; 4];
                client.read_exact(&mut connack).context("CONNACK in the storm")?;
                thread::sleep(Duration::from_secs(1) / LOGINS_PER_SECOND);
            }
            Ok(())
        });
        Ok(Self { over, thread })
    }

    fn end(self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(result) => result,
            Err(_) => bail!("the login storm panicked"),
        }
    }
}

/// Prints a table; fails if a broker of ours does.
pub(crate) fn run(programs: &[Program], runs: usize, pinned: bool, generator: &Generator) -> Result<()> {
    let Choice(chosen) = HONEST.parse().map_err(anyhow::Error::msg)?;
    let chosen = chosen.first().context("no honest clients")?;
    println!("| disturbance | broker | p99 alone, µs | p99 beside it, µs | times | bar |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut failures = Vec::new();
    for disturbance in Disturbance::ALL {
        for program in programs {
            let mut pairs = Vec::new();
            for _ in 0..runs {
                let alone = p99(program, pinned, generator, chosen, None);
                let beside = p99(program, pinned, generator, chosen, Some(disturbance));
                pairs.push(alone.and_then(|alone| Ok((alone, beside?))));
            }
            let about = disturbance.about();
            match pairs.into_iter().collect::<Result<Vec<_>>>() {
                Ok(pairs) => println!("| {about} | {program} | {} |", row(&pairs, program)),
                Err(error) => {
                    println!("| {about} | {program} | {error:#} | | | |");
                    if program.kind.is_ours() {
                        failures.push(format!("{about}, {program}: {error:#}"));
                    }
                }
            }
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// Of pairs: alone, and beside the disturbance.
fn row(pairs: &[(f64, f64)], program: &Program) -> String {
    let median = |pick: fn(&(f64, f64)) -> f64| {
        spread(pairs.iter().map(pick)).map_or(f64::NAN, |spread| spread.median)
    };
    let (alone, beside) = (median(|pair| pair.0), median(|pair| pair.1));
    let times = median(|pair| pair.1 / pair.0);
    let bar = match (program.kind.is_ours(), times <= TIMES_MAX) {
        (false, _) => String::new(),
        (true, true) => format!("≤ {TIMES_MAX} × ok"),
        (true, false) => format!("≤ {TIMES_MAX} × **over**"),
    };
    format!("{alone:.0} | {beside:.0} | {times:.2} | {bar}")
}

/// Of the honest clients, with a fresh broker.
fn p99(
    program: &Program,
    pinned: bool,
    generator: &Generator,
    chosen: &Chosen,
    disturbance: Option<Disturbance>,
) -> Result<f64> {
    let start = Start {
        cores: program.cores.clone().or_else(|| pinned.then(|| "0".to_owned())),
        protocol_level: 4,
        settle_time: SETTLE_TIME,
    };
    let mut broker = Running::start(program, &start)?;
    let disturbing = disturbance.map(|disturbance| disturbance.begin(broker.address)).transpose()?;
    let outcome = generator.run(chosen, &mut broker)?;
    disturbing.map_or(Ok(()), Disturbing::end)?;
    let phases = outcome.map_err(anyhow::Error::msg)?;
    let phase = phases.first().context("no report")?;
    match &phase.fault {
        Some(fault) => bail!("{fault}"),
        None => phase.p99.context("the load reports no latency"),
    }
}

fn open(address: SocketAddr, bytes: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    Ok(stream)
}

/// CONNECT.
fn login(client_id: &str) -> Result<Vec<u8>> {
    let options = ConnectOptions::new(ProtocolVersion::V311, format!("disturb-{client_id}"));
    let mut bytes = Vec::new();
    ClientConnection::new(options, Duration::ZERO)?.take_output(&mut bytes);
    Ok(bytes)
}

fn subscribe_to_all() -> Result<Vec<u8>> {
    let options = ConnectOptions::new(ProtocolVersion::V311, "disturb");
    let mut connection = ClientConnection::new(options, Duration::ZERO)?;
    let mut bytes = Vec::new();
    connection.take_output(&mut bytes);
    bytes.clear();
    // Only an accepted connection speaks.
    connection.receive(&[0x20, 2, 0, 0], Duration::ZERO)?;
    let all = SubscriptionFilter::parse("#")?;
    connection.subscribe([(all, SubscriptionOptions::default())], Properties::EMPTY)?;
    connection.take_output(&mut bytes);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_mqtt() {
        assert_eq!(login("x").unwrap()[0], 0x10);
        assert_eq!(subscribe_to_all().unwrap()[0], 0x82);
    }

    #[test]
    fn times_are_taken_pair_by_pair() {
        let noctule: Program = "noctule".parse().unwrap();
        let pairs = [(100.0, 150.0), (200.0, 100.0), (100.0, 300.0)];
        assert_eq!(row(&pairs, &noctule), "100 | 150 | 1.50 | ≤ 2 × ok");
        assert_eq!(row(&[(100.0, 201.0)], &noctule), "100 | 201 | 2.01 | ≤ 2 × **over**");
    }
}
