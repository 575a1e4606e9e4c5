//! What it costs to keep what is acknowledged: how many messages a second, after what time, and how much is written.
//!
//! The load is `offline`: messages for sessions that are away, so that each must be kept. Programs are compared as they are told to keep: in memory, in a store, in a raw log.

use std::fmt::Write;

use anyhow::{Context, Result, bail};

use crate::compare::{Comparison, Report, Way};
use crate::generator::Phase;
use crate::program::Program;
use crate::scenario::{Choice, Chosen};
use crate::summary::spread;

/// How many publish, and how many messages each has under way.
const LOADS: &[(u64, u64)] =
    &[(1, 1), (1, 100), (10, 1), (10, 100), (100, 1), (100, 100), (1000, 1), (1000, 100)];
/// Enough for figures, few enough for a disk that takes milliseconds.
const MESSAGES_MIN: u64 = 2000;
const MESSAGES_MAX: u64 = 300_000;

/// What is kept and then read: what waited for sessions that come back, one message for many sessions, and retained messages.
const HELD: &[&str] = &[
    "offline:publishers=100,window=100,items=200000",
    "offline:publishers=100,window=100,items=200000,qos=2",
    "offline-fanout",
    "retained:publishers=100",
];

/// Who is compared unless it is said.
pub(crate) const BROKERS: &[&str] = &[
    "relay:log=yes,name=raw log",
    "noctule:name=in memory",
    "noctule:persistence=true,name=sync",
    "noctule:persistence=true,durability=flush,name=flush",
    "mosquitto:persistence=true,autosave_interval=1,name=Mosquitto",
    "nats:sync_interval=always,name=NATS",
];

/// Measures, and prints a table for each QoS and one of what is held.
pub(crate) fn run(programs: Vec<Program>, qos_levels: &[u8], way: &Way) -> Result<()> {
    let mut failures = Vec::new();
    for &qos in qos_levels {
        let loads = LOADS.iter().map(|&load| queueing(qos, load)).collect::<Result<_>>()?;
        let comparison = Comparison::run(programs.clone(), loads, way, &mut Report { json: false })?;
        print!("{}", traffic_table(&comparison, qos)?);
        failures.extend(comparison.own_failures());
    }
    let scenarios = HELD.iter().map(|name| chosen(name)).collect::<Result<_>>()?;
    let comparison = Comparison::run(programs, scenarios, way, &mut Report { json: false })?;
    print!("{}", held_table(&comparison)?);
    failures.extend(comparison.own_failures());
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    Ok(())
}

fn chosen(text: &str) -> Result<Chosen> {
    let choice: Choice = text.parse().map_err(anyhow::Error::msg)?;
    choice.0.into_iter().next().with_context(|| format!("{text} is no scenario"))
}

fn queueing(qos: u8, (publishers, window): (u64, u64)) -> Result<Chosen> {
    let messages = (MESSAGES_MIN * (publishers * window).isqrt()).clamp(MESSAGES_MIN, MESSAGES_MAX);
    chosen(&format!(
        "offline:qos={qos},publishers={publishers},connections={publishers},window={window},items={messages},keep=yes,stall-timeout=100"
    ))
}

/// Rates beside each other; below them what stands behind them.
fn traffic_table(comparison: &Comparison, qos: u8) -> Result<String> {
    let named = |(scenario, (publishers, window)): (usize, &(u64, u64))| {
        (scenario, format!("{publishers} × {window}"), "queue")
    };
    let loads: Vec<_> = LOADS.iter().enumerate().map(named).collect();
    let mut text = String::new();
    writeln!(
        text,
        "QoS {qos}, publishers × under way: messages a second (p50, p99 of the acknowledgement in ms)\n"
    )?;
    rows(&mut text, comparison, &loads, |phases| {
        let rate = median(phases, |phase| phase.rate)?;
        let at = |pick: fn(&Phase) -> Option<f64>| {
            median(phases, pick).map_or("–".to_owned(), |us| format!("{:.2}", us / 1000.0))
        };
        Some(format!("{rate:.0} ({}, {})", at(|phase| phase.p50), at(|phase| phase.p99)))
    })?;
    writeln!(text, "\nQoS {qos}: bytes written and microseconds of broker CPU for each message\n")?;
    rows(&mut text, comparison, &loads, written_and_cpu)?;
    text.push('\n');
    Ok(text)
}

fn held_table(comparison: &Comparison) -> Result<String> {
    let mut phases = Vec::new();
    for (scenario, name) in HELD.iter().enumerate() {
        for phase in comparison.phases(scenario) {
            phases.push((scenario, format!("{name}, {phase}"), phase));
        }
    }
    let phases: Vec<_> =
        phases.iter().map(|(scenario, name, phase)| (*scenario, name.clone(), phase.as_str())).collect();
    let mut text =
        "Held: items a second; bytes written and microseconds of broker CPU for each\n\n".to_owned();
    rows(&mut text, comparison, &phases, |phases| {
        let rate = median(phases, |phase| phase.rate)?;
        Some(format!("{rate:.0}; {}", written_and_cpu(phases)?))
    })?;
    text.push('\n');
    Ok(text)
}

fn written_and_cpu(phases: &[&Phase]) -> Option<String> {
    let written = median(phases, |phase| {
        Some(phase.report["broker_written_bytes"].as_f64()? / phase.report["items"].as_f64()?)
    });
    let written = written.map_or("–".to_owned(), |bytes| format!("{bytes:.0} B"));
    Some(format!("{written}, {:.1} µs", median(phases, |phase| phase.cpu)?))
}

/// A table with a row for each scenario's phase, as named, and a column for each broker.
fn rows(
    text: &mut String,
    comparison: &Comparison,
    phases: &[(usize, String, &str)],
    cell: impl Fn(&[&Phase]) -> Option<String>,
) -> Result<()> {
    let names: Vec<&str> = comparison.programs.iter().map(|program| program.label.as_str()).collect();
    writeln!(text, "| | {} |", names.join(" | "))?;
    writeln!(text, "| --- {}|", "| --- ".repeat(names.len()))?;
    for (scenario, name, phase) in phases {
        write!(text, "| {name} |")?;
        for program in 0..comparison.programs.len() {
            let of_phase: Vec<&Phase> = comparison.of_phase(*scenario, program, phase).collect();
            let words = match comparison.failure(*scenario, program, phase) {
                Some(why) => why.to_owned(),
                None => cell(&of_phase).unwrap_or_else(|| "–".to_owned()),
            };
            write!(text, " {words} |")?;
        }
        writeln!(text)?;
    }
    Ok(())
}

fn median(phases: &[&Phase], pick: impl Fn(&Phase) -> Option<f64>) -> Option<f64> {
    spread(phases.iter().filter_map(|phase| pick(phase))).map(|spread| spread.median)
}

/// The brokers as they are named on the command line.
pub(crate) fn brokers() -> Result<Vec<Program>> {
    BROKERS
        .iter()
        .map(|name| name.parse().map_err(anyhow::Error::msg).with_context(|| name.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_and_the_loads_are_known() {
        assert_eq!(brokers().unwrap().len(), BROKERS.len());
        for &load in LOADS {
            assert!(queueing(1, load).is_ok());
        }
        let least = queueing(2, (1, 1)).unwrap();
        HELD.iter().for_each(|name| drop(chosen(name).unwrap()));
        assert_eq!((least.flag("items"), least.flag("qos")), (Some("2000"), Some("2")));
    }
}
