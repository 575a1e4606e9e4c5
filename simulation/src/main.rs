//! Runs seeds: one with its history, or many until one fails.

use std::process::ExitCode;

use simulation::{Plan, Tally, Trace, Violation, run};

const USAGE: &str = "usage: simulation --seed N [--trace] | --seeds N [--from N] [--all]";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut seed, mut seeds, mut from, mut trace, mut all) = (None, None, None, None, None);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|number| number.parse::<u64>().ok());
        let is_right = match argument.as_str() {
            "--seed" => take(&mut seed, number()),
            "--seeds" => take(&mut seeds, number()),
            "--from" => take(&mut from, number()),
            "--trace" => take(&mut trace, Some(true)),
            "--all" => take(&mut all, Some(true)),
            _ => false,
        };
        if !is_right {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    match (seed, seeds) {
        (Some(seed), None) => one(seed, trace.is_some()),
        (None, Some(seeds)) => many(from.unwrap_or(0), seeds, all.is_some()),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Sets an option; false if it has no value.
fn take<T>(option: &mut Option<T>, value: Option<T>) -> bool {
    *option = value;
    option.is_some()
}

fn one(seed: u64, trace: bool) -> ExitCode {
    let outcome = run(Plan::of(seed), if trace { Trace::Printed } else { Trace::Off });
    for Violation { at, check, what } in &outcome.violations {
        println!("seed {seed}: {check} at {:.6}: {what}", at.as_secs_f64());
    }
    println!("seed {seed}: {} violations, {:?}", outcome.violations.len(), outcome.tally);
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(from: u64, seeds: u64, all: bool) -> ExitCode {
    let mut total = Tally::default();
    let mut failed = 0_u64;
    for seed in from..from.saturating_add(seeds) {
        let outcome = run(Plan::of(seed), Trace::Off);
        total.add(outcome.tally);
        if let Some(Violation { check, what, .. }) = outcome.violations.first() {
            println!("seed {seed} failed, {check}: {what}");
            println!("  replay: cargo run -p simulation -- --seed {seed} --trace");
            failed += 1;
            if !all {
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{seeds} seeds from {from}, {failed} failed, {total:?}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
