//! What a broker costs that has nothing to do: the size of its program, how long it takes to start, its memory, and how
//! often it wakes up.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::broker::{Running, Start};
use crate::program::{Kind, Program};
use crate::summary::spread;

/// What was seen of one.
pub(crate) struct Rest {
    pub(crate) program_bytes: u64,
    pub(crate) start_time: Duration,
    pub(crate) resident_bytes: u64,
    pub(crate) wake_ups_per_second: f64,
}

/// Bars of ours, without a store.
const PROGRAM_BYTES_MAX: u64 = 15_000_000;
const START_TIME_MAX: Duration = Duration::from_millis(50);
const RESIDENT_BYTES_MAX: u64 = 8_000_000;
const WAKE_UPS_PER_SHARD_MAX: f64 = 1.0;
/// Before it is watched.
const SETTLE_TIME: Duration = Duration::from_secs(1);
/// The median of so many starts is shown.
const STARTS: usize = 9;

/// Watches each broker for so long, and prints a table.
pub(crate) fn run(programs: &[Program], watched: Duration) -> Result<()> {
    println!("| broker | program, stripped | accepts after | resident | wake-ups a second | bar |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for program in programs {
        let rest = watch(program, watched).with_context(|| format!("watch {program}"))?;
        let megabytes = rest.program_bytes as f64 / 1e6;
        let milliseconds = rest.start_time.as_secs_f64() * 1e3;
        let kib = rest.resident_bytes / 1024;
        let bar = if program.kind == Kind::Noctule { rest.verdict(program.threads) } else { String::new() };
        println!(
            "| {program} | {megabytes:.1} MB | {milliseconds:.1} ms | {kib} KiB | {:.1} | {bar} |",
            rest.wake_ups_per_second
        );
    }
    Ok(())
}

fn watch(program: &Program, watched: Duration) -> Result<Rest> {
    let start = |settle_time| {
        Running::start(program, &Start { cores: program.cores.clone(), protocol_level: 4, settle_time })
    };
    let mut seconds = Vec::with_capacity(STARTS);
    for _ in 1..STARTS {
        seconds.push(start(Duration::ZERO)?.start_time.as_secs_f64());
    }
    let broker = start(SETTLE_TIME)?;
    seconds.push(broker.start_time.as_secs_f64());
    let median = spread(seconds.into_iter()).context("it was never started")?.median;
    let before = wake_ups(broker.pid())?;
    std::thread::sleep(watched);
    let wake_ups = wake_ups(broker.pid())? - before;
    Ok(Rest {
        program_bytes: stripped_bytes(&program.path()?)?,
        start_time: Duration::from_secs_f64(median),
        resident_bytes: resident_bytes(broker.pid())?,
        wake_ups_per_second: wake_ups as f64 / watched.as_secs_f64(),
    })
}

impl Rest {
    fn verdict(&self, shards: usize) -> String {
        let is_lean = self.program_bytes <= PROGRAM_BYTES_MAX;
        let is_quick = self.start_time < START_TIME_MAX;
        let is_small = self.resident_bytes <= RESIDENT_BYTES_MAX;
        let is_quiet = self.wake_ups_per_second <= WAKE_UPS_PER_SHARD_MAX * shards as f64;
        let word = |is_kept| if is_kept { "ok" } else { "**over**" };
        format!(
            "≤ 15 MB {}; < 50 ms {}; ≤ 8 MB {}; ≤ 1 a shard {}",
            word(is_lean),
            word(is_quick),
            word(is_small),
            word(is_quiet)
        )
    }
}

/// The size of a program without symbols, as a package ships it.
fn stripped_bytes(program: &Path) -> Result<u64> {
    let directory = tempfile::tempdir()?;
    let copy = directory.path().join("stripped");
    let status = Command::new("strip").arg("-o").arg(&copy).arg(program).status().context("run strip")?;
    ensure!(status.success(), "strip of {} ended with {status}", program.display());
    Ok(fs::metadata(&copy)?.len())
}

/// Resident memory of a process.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let kib = status_number(&format!("/proc/{pid}/status"), "VmRSS:")?;
    Ok(kib * 1024)
}

/// How often its threads have given up their core to wait. A thread that ends meanwhile takes its part along.
fn wake_ups(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the broker is gone")? {
        let task = task?.path();
        match status_number(&task.join("status").display().to_string(), "voluntary_ctxt_switches:") {
            Ok(switches) => sum += switches,
            Err(_) if !task.exists() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

fn status_number(file: &str, key: &str) -> Result<u64> {
    let text = fs::read_to_string(file).context("the broker is gone")?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)).context("the broker is gone")?;
    let number = line.trim().trim_end_matches(" kB");
    number.parse().with_context(|| format!("{key} is no number: {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_has_waited() {
        assert!(resident_bytes(std::process::id()).unwrap() > 1 << 16);
        std::thread::sleep(Duration::from_millis(1));
        assert!(wake_ups(std::process::id()).unwrap() > 0);
    }

    #[test]
    fn the_bar_counts_shards() {
        let rest = Rest {
            program_bytes: 14_000_000,
            start_time: Duration::from_millis(49),
            resident_bytes: 7_000_000,
            wake_ups_per_second: 1.9,
        };
        assert_eq!(rest.verdict(1), "≤ 15 MB ok; < 50 ms ok; ≤ 8 MB ok; ≤ 1 a shard **over**");
        assert_eq!(rest.verdict(2), "≤ 15 MB ok; < 50 ms ok; ≤ 8 MB ok; ≤ 1 a shard ok");
        let late = Rest { program_bytes: 16_000_000, start_time: Duration::from_millis(50), ..rest };
        assert_eq!(late.verdict(2), "≤ 15 MB **over**; < 50 ms **over**; ≤ 8 MB ok; ≤ 1 a shard ok");
    }

    #[test]
    fn a_program_without_symbols_is_no_larger() {
        let this = std::env::current_exe().unwrap();
        let stripped = stripped_bytes(&this).unwrap();
        assert!(stripped > 0 && stripped <= fs::metadata(&this).unwrap().len());
        assert!(stripped_bytes(Path::new("/nonexistent")).is_err());
    }
}
