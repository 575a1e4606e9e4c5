//! A long mixed load that accounts for every message, and watches the broker's memory.

mod hub;
mod memory;
mod part;
mod publisher;
mod tally;

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::broker::{Running, Start};
use crate::program::Program;
use hub::Hub;
use memory::Samples;
use part::Part;

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(5);
/// How long what is under way may take to arrive when the load is over.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(60);
/// After everything has arrived: what comes now came twice.
const AFTERMATH: Duration = Duration::from_secs(1);
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
const NOTE_INTERVAL: Duration = Duration::from_secs(30);
/// A shorter run is still warming up in its last third.
const MEMORY_JUDGED_FROM: Duration = Duration::from_secs(120);
/// At no time more than this: the load holds a few dozen MiB under way.
const RESIDENT_BYTES_MAX: u64 = 512 << 20;
const FAULTS_SHOWN: usize = 30;

/// Runs the load for so long, and fails with all that was wrong.
pub(crate) fn run(program: &Program, duration: Duration) -> Result<()> {
    let start = Start { cores: program.cores.clone(), protocol_level: 4, settle_time: Duration::ZERO };
    let mut broker = Running::start(program, &start).with_context(|| format!("start {program}"))?;
    let mut hub = Hub::new(broker.address)?;
    let mut parts = part::all(&mut hub)?;
    let mut samples = Samples::default();
    let mut peak = 0;
    let mut next_sample = Duration::ZERO;
    let mut next_note = NOTE_INTERVAL;
    while hub.now() < duration {
        for (owner, part) in parts.iter_mut().enumerate() {
            hub.set_owner(owner);
            let now = hub.now();
            part.tick(&mut hub, now).with_context(|| part.name())?;
        }
        turn(&mut hub, &mut parts)?;
        if hub.now() >= next_sample {
            next_sample += SAMPLE_INTERVAL;
            if let Some(last_words) = broker.has_ended() {
                bail!("{last_words}");
            }
            peak = peak.max(samples.take(broker.pid())?);
        }
        if hub.now() >= next_note {
            next_note += NOTE_INTERVAL;
            let received: u64 = parts.iter().map(|part| part.verdict().received).sum();
            eprintln!("{} s: {received} messages, at most {} KiB resident", hub.now().as_secs(), peak / 1024);
        }
    }
    let late = !wait_for_arrival(&mut hub, &mut parts)?;
    let aftermath_end = hub.now() + AFTERMATH;
    while hub.now() < aftermath_end {
        turn(&mut hub, &mut parts)?;
    }
    if let Some(last_words) = broker.has_ended() {
        bail!("{last_words}");
    }
    let mut faults = report(&parts);
    if late {
        faults.push(format!("not all arrived within {} s after the load", ARRIVAL_TIME_MAX.as_secs()));
    }
    faults.extend(memory_faults(&samples, peak, duration));
    if faults.is_empty() {
        println!("nothing lost, doubled or out of order");
        return Ok(());
    }
    let more = faults.len().saturating_sub(FAULTS_SHOWN);
    faults.truncate(FAULTS_SHOWN);
    if more > 0 {
        faults.push(format!("and {more} more"));
    }
    bail!("{}", faults.join("\n"))
}

fn turn(hub: &mut Hub, parts: &mut [Box<dyn Part>]) -> Result<()> {
    for (owner, client, happening) in hub.turn(TICK)? {
        hub.set_owner(owner);
        let part = &mut parts[owner];
        part.handle(hub, client, happening).with_context(|| part.name())?;
    }
    Ok(())
}

/// False if something is still missing in the end.
fn wait_for_arrival(hub: &mut Hub, parts: &mut [Box<dyn Part>]) -> Result<bool> {
    let deadline = hub.now() + ARRIVAL_TIME_MAX;
    while hub.now() < deadline {
        let mut all_there = true;
        for (owner, part) in parts.iter_mut().enumerate() {
            hub.set_owner(owner);
            let now = hub.now();
            all_there &= part.finish(hub, now).with_context(|| part.name())?;
        }
        if all_there {
            return Ok(true);
        }
        turn(hub, parts)?;
    }
    Ok(false)
}

/// Prints the account of each part; gives their faults.
fn report(parts: &[Box<dyn Part>]) -> Vec<String> {
    let mut faults = Vec::new();
    for part in parts {
        let verdict = part.verdict();
        println!("{:22}{:>9} received: {}", part.name(), verdict.received, verdict.about);
        faults.extend(verdict.faults.iter().map(|fault| format!("{}: {fault}", part.name())));
        if verdict.received == 0 {
            faults.push(format!("{}: nothing was received", part.name()));
        }
    }
    faults
}

fn memory_faults(samples: &Samples, peak: u64, duration: Duration) -> Vec<String> {
    let mut faults = Vec::new();
    let thirds = samples.thirds().map_or_else(String::new, |(second, last)| {
        format!(", {} KiB in the second third, {} KiB in the last", second / 1024, last / 1024)
    });
    if duration >= MEMORY_JUDGED_FROM {
        println!("memory: at most {} KiB resident{thirds}", peak / 1024);
        faults.extend(samples.fault());
    } else {
        println!(
            "memory: at most {} KiB resident{thirds}; whether it is flat shows from {} s on",
            peak / 1024,
            MEMORY_JUDGED_FROM.as_secs()
        );
    }
    if peak > RESIDENT_BYTES_MAX {
        faults.push(format!("memory: {peak} bytes resident, {RESIDENT_BYTES_MAX} allowed"));
    }
    faults
}
