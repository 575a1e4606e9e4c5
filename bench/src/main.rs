//! Measures brokers side by side: CPU seconds per million deliveries, and deliveries per second.

mod broker;
mod cpu;
mod load;
mod peer;
mod relay;
mod scenario;

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

use broker::Program;
use load::Measured;
use scenario::Scenario;

/// Measures MQTT brokers on this machine.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs scenarios against brokers, interleaved, each broker fresh for each run, and prints a table.
    Compare {
        /// p2p0, p2p1, p2p2, fanout0, fanout1, fanin0, many0, one0; may be given several times.
        #[arg(long = "scenario", required = true)]
        scenarios: Vec<Scenario>,
        /// `relay`, or the path of a program that is called as `PROGRAM broker -c FILE` (noctule) or `PROGRAM -c FILE`
        /// (mosquitto). May be given several times; ratios are to the first one.
        #[arg(long = "broker", required = true)]
        brokers: Vec<Program>,
        /// How often each pair is run.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// Deliveries per run, in thousands; 0 takes what the scenario suggests.
        #[arg(long, default_value_t = 0)]
        thousands: u64,
        /// Hold the broker to core 0 and the generator to core 1.
        #[arg(long)]
        pinned: bool,
    },
    /// The ceiling: passes bytes on and parses next to nothing.
    Relay {
        /// Where to listen.
        address: SocketAddr,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Relay { address } => relay::run(address).context("relay"),
        Command::Compare { scenarios, brokers, runs, thousands, pinned } => {
            ensure!(runs > 0, "--runs must be at least 1");
            if pinned {
                broker::pin_this_process(1)?;
            }
            println!(
                "| scenario | broker | CPU s per million (median) | ratio to {} | deliveries/s (median) |",
                brokers[0]
            );
            println!("|---|---|---|---|---|");
            for scenario in scenarios {
                compare(&scenario, &brokers, runs, thousands * 1000, pinned)?;
            }
            Ok(())
        }
    }
}

/// Every run takes all brokers in turn, so that what disturbs the machine disturbs all alike; ratios are taken
/// within a run.
fn compare(
    scenario: &Scenario,
    brokers: &[Program],
    runs: usize,
    deliveries: u64,
    pinned: bool,
) -> Result<()> {
    let mut measured: Vec<Vec<Measured>> = vec![Vec::new(); brokers.len()];
    for _ in 0..runs {
        for (program, results) in brokers.iter().zip(&mut measured) {
            let running = program.start(pinned.then_some(0)).with_context(|| format!("start {program}"))?;
            let result = load::run(scenario, running.address, running.pid(), deliveries);
            results.push(result.with_context(|| format!("{scenario} against {program}"))?);
        }
    }
    for (index, program) in brokers.iter().enumerate() {
        let cpu = median(measured[index].iter().map(Measured::cpu_per_million));
        let rate = median(measured[index].iter().map(Measured::rate));
        let pairs = measured[index].iter().zip(&measured[0]);
        let ratio = median(pairs.map(|(this, first)| this.cpu_per_million() / first.cpu_per_million()));
        println!("| {scenario} | {program} | {cpu:.3} | {ratio:.2} | {rate:.0} |");
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
