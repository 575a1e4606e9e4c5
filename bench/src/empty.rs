//! What a broker costs that has nothing to do: memory, and how often it wakes up.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::broker::{Running, Start};
use crate::program::{Kind, Program};

/// What was seen of one.
pub(crate) struct Rest {
    pub(crate) resident_bytes: u64,
    pub(crate) wake_ups_per_second: f64,
}

/// Bars of ours, without a store.
const RESIDENT_BYTES_MAX: u64 = 8_000_000;
const WAKE_UPS_PER_SHARD_MAX: f64 = 1.0;
/// Before it is watched.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Watches each broker for so long, and prints a table.
pub(crate) fn run(programs: &[Program], watched: Duration) -> Result<()> {
    println!("| broker | resident | wake-ups a second | bar |");
    println!("| --- | --- | --- | --- |");
    for program in programs {
        let start = Start { cores: program.cores.clone(), protocol_level: 4, settle_time: SETTLE_TIME };
        let broker = Running::start(program, &start).with_context(|| format!("start {program}"))?;
        let rest = watch(broker.pid(), watched)?;
        let kib = rest.resident_bytes / 1024;
        let bar = if program.kind == Kind::Noctule { rest.verdict(program.threads) } else { String::new() };
        println!("| {program} | {kib} KiB | {:.1} | {bar} |", rest.wake_ups_per_second);
    }
    Ok(())
}

fn watch(pid: u32, watched: Duration) -> Result<Rest> {
    let before = wake_ups(pid)?;
    std::thread::sleep(watched);
    let wake_ups = wake_ups(pid)? - before;
    Ok(Rest {
        resident_bytes: resident_bytes(pid)?,
        wake_ups_per_second: wake_ups as f64 / watched.as_secs_f64(),
    })
}

impl Rest {
    fn verdict(&self, shards: usize) -> String {
        let is_small = self.resident_bytes <= RESIDENT_BYTES_MAX;
        let is_quiet = self.wake_ups_per_second <= WAKE_UPS_PER_SHARD_MAX * shards as f64;
        let word = |is_kept| if is_kept { "ok" } else { "**over**" };
        format!("≤ 8 MB {}; ≤ 1 a shard {}", word(is_small), word(is_quiet))
    }
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
        let rest = Rest { resident_bytes: 7_000_000, wake_ups_per_second: 1.9 };
        assert_eq!(rest.verdict(1), "≤ 8 MB ok; ≤ 1 a shard **over**");
        assert_eq!(rest.verdict(2), "≤ 8 MB ok; ≤ 1 a shard ok");
    }
}
