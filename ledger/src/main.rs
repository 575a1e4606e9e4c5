//! Runs rounds and says what was found.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use ledger::broker::Limits;
use ledger::cast::{cast, small_cast};
use ledger::check::Finding;
use ledger::default_limits;
use ledger::plant::prove;
use ledger::power::Disk;
use ledger::random::Random;
use ledger::round::{Faults, round};
use ledger::world::{Strike, World};

/// Publishers and subscribers keep books, the broker is struck under load, and the books are compared.
#[derive(Debug, Parser)]
#[command(name = "ledger")]
struct Arguments {
    /// How many rounds, each with its strikes and its count.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// What goes wrong.
    #[arg(long, value_enum, default_value_t = Fault::Kill)]
    fault: Fault,
    /// Decides who does what and when the strikes come.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The broker's program: `noctule`, or Mosquitto's.
    #[arg(long)]
    broker: PathBuf,
    /// Messages published in a round.
    #[arg(long, default_value_t = 1400)]
    messages: usize,
    /// Seconds in which nothing goes on before that is a fault.
    #[arg(long, default_value_t = 15)]
    patience: u64,
    /// A Python with paho-mqtt 2, which then publishes and subscribes in every second world. Not where power is lost: what
    /// is sent after that counts for nobody, and paho does not know.
    #[arg(long)]
    paho: Option<PathBuf>,
    /// Rounds with one data directory and the same sessions.
    #[arg(long, default_value_t = 5)]
    world: u64,
}

impl Arguments {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Fault {
    /// Nothing.
    None,
    /// kill -9, and some connections.
    Kill,
    /// Loss of power, and some connections.
    Power,
    /// Many connections.
    Disconnect,
    /// Each round another of these.
    Mixed,
}

/// Set in the process that has mounts of its own.
const NAMESPACE: &str = "LEDGER_NAMESPACE";

#[derive(Debug, Default)]
struct Tally {
    rounds: u64,
    skipped: u64,
    strikes: u64,
    cuts: u64,
    acknowledged: usize,
    received: usize,
    dropped: u64,
    planted: usize,
    with_paho: u64,
    restart_max: Duration,
    findings: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Counts a world that is over, and keeps its directory if something is wrong.
    fn add(&mut self, name: &str, world: World, findings: &[Finding]) {
        self.strikes += u64::from(world.strikes);
        self.cuts += world.cut_count;
        self.acknowledged += world.history.acknowledged_count();
        self.received += world.history.receipt_count();
        self.dropped += world.history.counted_drops.unwrap_or(0);
        self.restart_max = self.restart_max.max(world.restart_max);
        if findings.is_empty() {
            let (planted, unseen) = prove(&world.history);
            self.planted += planted;
            for fault in unseen {
                println!("{name}: THE CHECK IS BLIND: {fault} was planted in these books and not found");
                *self.findings.entry("blind").or_default() += 1;
            }
            return;
        }
        const SHOWN: usize = 12;
        for finding in findings.iter().take(SHOWN) {
            println!("{name}: {finding}");
        }
        if findings.len() > SHOWN {
            println!("{name}: and {} more", findings.len() - SHOWN);
        }
        for finding in findings {
            *self.findings.entry(finding.kind.name()).or_default() += 1;
        }
        println!("{name}: its broker's data and log are in {}", world.keep().display());
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ledger: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    let wants_power = matches!(arguments.fault, Fault::Power | Fault::Mixed);
    let no_power = if wants_power { power_missing()? } else { None };
    let mut tally = Tally::default();
    if let Some(why) = &no_power {
        println!("*** THERE IS NO LOSS OF POWER ON THIS MACHINE: {why}");
        if arguments.fault == Fault::Power {
            println!("*** {} rounds of loss of power ARE SKIPPED, and prove nothing", arguments.rounds);
            tally.skipped = arguments.rounds;
        }
    }
    let begun = Instant::now();
    if tally.skipped == 0 {
        for first in (0..arguments.rounds).step_by(arguments.world.max(1) as usize) {
            world(arguments, first, no_power.is_some(), &mut tally)?;
        }
        with_default_limits(arguments, &mut tally)?;
    }
    let found: u64 = tally.findings.values().sum();
    println!(
        "fault {:?}, seed {}: {} rounds, {} skipped, {} strikes, {} connections cut, {} messages acknowledged, {} received, \
         longest restart {:.0} ms, {:.0} s",
        arguments.fault,
        arguments.seed,
        tally.rounds,
        tally.skipped,
        tally.strikes,
        tally.cuts,
        tally.acknowledged,
        tally.received,
        tally.restart_max.as_secs_f64() * 1000.0,
        begun.elapsed().as_secs_f64()
    );
    if tally.skipped == 0 {
        println!("with default limits {} messages were dropped, and counted", tally.dropped);
        println!("paho-mqtt took part in {} worlds", tally.with_paho);
        println!(
            "{} faults were planted in the books of these worlds, to see that they are found",
            tally.planted
        );
        println!("{found} faults found {:?}", tally.findings);
    }
    Ok(found == 0)
}

/// Why there can be no loss of power. This process goes on in a mount namespace of its own, so that no mount outlives it.
fn power_missing() -> Result<Option<String>> {
    if std::env::var_os(NAMESPACE).is_none() {
        let unshare = |command: &mut Command| {
            command.args(["--mount", "--propagation", "private", "--"]);
        };
        let mut attempt = Command::new("unshare");
        unshare(&mut attempt);
        let output = attempt.arg("true").output().context("cannot run unshare")?;
        if !output.status.success() {
            return Ok(Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let mut again = Command::new("unshare");
        unshare(&mut again);
        again.arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(NAMESPACE, "1");
        return Err(again.exec()).context("cannot run unshare");
    }
    let directory = tempfile::Builder::new().prefix("ledger-").tempdir()?;
    Ok(Disk::missing(directory.path()))
}

/// A broker, its data, and as many rounds.
fn world(arguments: &Arguments, first: u64, no_power: bool, tally: &mut Tally) -> Result<()> {
    let seed = arguments.seed.wrapping_mul(1_000_003).wrapping_add(first);
    let with_disk = matches!(arguments.fault, Fault::Power | Fault::Mixed) && !no_power;
    let mut world =
        World::new(&arguments.broker, Limits::None, with_disk, arguments.patience(), Random::seeded(seed))?;
    world.clients = cast(&mut world.history, &mut world.random);
    if let Some(python) = &arguments.paho
        && !with_disk
        && (first / arguments.world.max(1)).is_multiple_of(2)
    {
        world.add_paho(python)?;
        tally.with_paho += 1;
    }
    let last = arguments.rounds.min(first + arguments.world.max(1));
    let name = format!("seed {}, round", arguments.seed);
    for number in first..last {
        let faults = faults(arguments.fault, no_power, &mut world.random);
        let findings = round(&mut world, faults, arguments.messages, number + 1 == last)?;
        tally.rounds += 1;
        if !findings.is_empty() {
            // What comes after is not to be trusted.
            tally.add(&format!("{name} {number} ({faults:?})"), world, &findings);
            return Ok(());
        }
    }
    tally.add(&name, world, &[]);
    Ok(())
}

fn faults(fault: Fault, no_power: bool, random: &mut Random) -> Faults {
    let some_cuts = random.percent(70).then_some((40, 250));
    let chosen = match fault {
        Fault::Mixed => random.pick([Fault::Kill, Fault::Power, Fault::Disconnect, Fault::Power]),
        other => other,
    };
    match chosen {
        Fault::Kill => Faults { strike: Some(Strike::Kill), cuts: some_cuts },
        Fault::Power if no_power => Faults { strike: Some(Strike::Kill), cuts: some_cuts },
        Fault::Power => Faults { strike: Some(Strike::Power), cuts: some_cuts },
        Fault::Disconnect => Faults { strike: None, cuts: Some((1, 25)) },
        Fault::None | Fault::Mixed => Faults { strike: None, cuts: None },
    }
}

fn with_default_limits(arguments: &Arguments, tally: &mut Tally) -> Result<()> {
    let strike = match arguments.fault {
        Fault::Kill | Fault::Mixed => Some(Strike::Kill),
        Fault::Power => Some(Strike::Power),
        Fault::None | Fault::Disconnect => None,
    };
    let with_disk = strike == Some(Strike::Power);
    let random = Random::seeded(arguments.seed);
    let mut world = World::new(&arguments.broker, Limits::Default, with_disk, arguments.patience(), random)?;
    world.clients = small_cast(&mut world.history);
    let findings = default_limits::run(&mut world, strike)?;
    tally.add(&format!("seed {}, default limits", arguments.seed), world, &findings);
    Ok(())
}
