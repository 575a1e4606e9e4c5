//! How much memory the process uses, and how much it may.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::str;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use noctule_broker::{Pressure, ShardIndex, Shared};
use noctule_config::{LogType, MemoryLimit};

use crate::log::Log;

/// Bytes taken in or put into outboxes after which a shard measures.
const MEASURED_BYTES: usize = 1024 * 1024;

/// The limit in bytes, 0 for none.
pub(crate) fn limit(configured: MemoryLimit) -> usize {
    let bytes = match configured {
        MemoryLimit::Unlimited => 0,
        MemoryLimit::Bytes(bytes) => bytes.get(),
        // A machine that does not tell has no limit that we could know.
        MemoryLimit::OfMachine => of_machine().map_or(0, |bytes| bytes / 10 * 8),
    };
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// What the machine has, or what this process's control group may use, in bytes.
fn of_machine() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_total(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    [machine, of_control_groups(&groups, Path::new("/sys/fs/cgroup"))].into_iter().flatten().min()
}

fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The lowest limit of the groups that `/proc/self/cgroup` lists, and of those around them. In a container the listed
/// path may be of the outside; then the root is what it sees of its own group.
fn of_control_groups(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (controllers, path) = (parts.nth(1)?, parts.next()?);
        // Version 2 has one hierarchy for all, version 1 one for memory.
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let group = root.join(path.trim_start_matches('/'));
        let around = group.ancestors().take_while(|group| group.starts_with(&root));
        // "max" is no number, and no limit.
        around.filter_map(|group| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()).min()
    });
    limits.min()
}

/// From how many hundredths of the limit on the log tells, because clients that publish are made to wait; and below how
/// many it tells that this is over.
const SHORT_FROM: u128 = 90;
const ENOUGH_BELOW: u128 = 80;

/// Measures the resident memory of this process. Cheap: one small read of a file that stays open.
#[derive(Debug)]
pub(crate) struct Gauge {
    statm: File,
    page_bytes: usize,
    give_back: fn(),
    /// The log has told so.
    is_short: AtomicBool,
    log: Log,
}

impl Gauge {
    /// `give_back` gives memory that is free back to the system, as far as the calling thread holds it.
    pub(crate) fn open(give_back: fn(), log: Log) -> io::Result<Self> {
        let page_bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?;
        let page_bytes = page_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(4096);
        let statm = File::open("/proc/self/statm")?;
        Ok(Self { statm, page_bytes, give_back, is_short: AtomicBool::new(false), log })
    }

    fn resident(&self) -> Option<usize> {
        let mut text = [0; 128];
        let length = self.statm.read_at(&mut text, 0).ok()?;
        let text = str::from_utf8(text.get(..length)?).ok()?;
        // proc(5): size, resident, …, in pages.
        let pages: usize = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(pages.saturating_mul(self.page_bytes))
    }

    /// Tells once when memory becomes short, whichever shard sees it first, and once when it is no longer.
    fn news(&self, used: usize, limit: usize) -> Option<(LogType, String)> {
        if limit == 0 {
            return None;
        }
        let hundredths = used as u128 * 100 / limit as u128;
        let megabytes = |bytes: usize| bytes / 1_000_000;
        if hundredths >= SHORT_FROM && !self.is_short.swap(true, Ordering::Relaxed) {
            let line = format!(
                "Warning: Memory is short: {} of {} MB are in use. Clients that publish are made to wait, and new ones may be refused. Consider raising memory_limit.",
                megabytes(used),
                megabytes(limit)
            );
            Some((LogType::Warning, line))
        } else if hundredths < ENOUGH_BELOW && self.is_short.swap(false, Ordering::Relaxed) {
            let (used, limit) = (megabytes(used), megabytes(limit));
            Some((LogType::Notice, format!("Memory is no longer short: {used} of {limit} MB are in use.")))
        } else {
            None
        }
    }
}

/// When one shard measures.
#[derive(Debug)]
pub(crate) struct Measurement {
    /// `None` where it cannot be measured, and there was no limit.
    gauge: Option<Arc<Gauge>>,
    /// Bytes taken in or put into outboxes since the last time.
    bytes: usize,
}

impl Measurement {
    pub(crate) fn new(gauge: Option<Arc<Gauge>>) -> Self {
        Self { gauge, bytes: 0 }
    }

    /// Measures if so many bytes more make it necessary.
    pub(crate) fn count(&mut self, bytes: usize, shared: &Shared) {
        self.bytes += bytes;
        if self.bytes >= MEASURED_BYTES && shared.memory_limit() > 0 {
            self.measure(shared);
        }
    }

    /// Measures.
    pub(crate) fn measure(&mut self, shared: &Shared) {
        self.bytes = 0;
        // A failure leaves the last value; the next one may be measured again.
        if let Some(gauge) = &self.gauge
            && let Some(used) = gauge.resident()
        {
            shared.set_memory_used(used);
            if let Some((kind, line)) = gauge.news(used, shared.memory_limit()) {
                gauge.log.write(kind, line);
            }
        }
    }

    /// Gives back what is free, if memory is short, and measures.
    pub(crate) fn give_back(&mut self, shared: &Shared) {
        if let Some(gauge) = &self.gauge
            && shared.memory_pressure() >= Pressure::ShrinkCaches
        {
            (gauge.give_back)();
        }
        self.measure(shared);
    }

    /// Whether so much is used that this shard should measure even if nothing happens: the first one from half of the
    /// limit on; when memory is short all of them, since each holds some that is free.
    pub(crate) fn is_wanted(&self, shard: ShardIndex, shared: &Shared) -> bool {
        self.gauge.is_some()
            && shared.memory_limit() > 0
            && (shared.memory_pressure() >= Pressure::ShrinkCaches
                || shard == ShardIndex(0) && shared.memory_used() >= shared.memory_limit() / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_grows_with_what_is_touched() {
        let gauge = Gauge::open(|| {}, Log::none()).unwrap();
        let before = gauge.resident().unwrap();
        let touched = vec![1_u8; 64 << 20];
        let with = gauge.resident().unwrap();
        // Other tests give memory back meanwhile.
        assert!(with >= before + (48 << 20), "{before} {with} {}", touched.len());
    }

    #[test]
    fn the_log_tells_once_that_memory_is_short_and_once_that_it_is_not() {
        let gauge = Gauge::open(|| {}, Log::none()).unwrap();
        let told = [10, 89, 90, 97, 85, 92, 79, 10, 95].map(|used| {
            gauge.news(used * 1_000_000, 100_000_000).map(|(kind, line)| (kind, line.contains("no longer")))
        });
        let (short, enough) = (Some((LogType::Warning, false)), Some((LogType::Notice, true)));
        assert_eq!(told, [None, None, short, None, None, None, enough, None, short]);
        assert_eq!(gauge.news(1, 0), None, "without a limit it is never short");
    }

    #[test]
    fn the_limit_is_what_is_told_or_a_part_of_the_machine() {
        assert_eq!(limit(MemoryLimit::Unlimited), 0);
        assert_eq!(limit(MemoryLimit::Bytes(64_000_000.try_into().unwrap())), 64_000_000);
        let machine = limit(MemoryLimit::OfMachine);
        assert!(machine > 1 << 20 && machine < 1 << 50, "{machine}");
    }

    #[test]
    fn the_machine_tells_kilobytes() {
        assert_eq!(mem_total("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(mem_total("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn the_tightest_control_group_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "1000000\n");
        write("memory/x/memory.limit_in_bytes", "2000000\n");
        let of = |groups| of_control_groups(groups, root.path());
        assert_eq!(of("0::/a/b\n"), Some(1_000_000));
        assert_eq!(of("4:cpu,memory:/x\n3:cpu:/a\n"), Some(2_000_000));
        // A container's own view: the path is of the outside.
        write("memory.max", "500000\n");
        assert_eq!(of("0::/docker/abc\n"), Some(500_000));
        assert_eq!(of("3:cpu:/a\n"), None);
        assert_eq!(of("nonsense"), None);
    }
}
