//! CPU and memory of a process, from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use super::fault::Fault;

/// The unit of CPU times in /proc/PID/stat; the same on all machines that Linux runs on (`getconf CLK_TCK`).
const TICKS_PER_SECOND: u64 = 100;
const KIB: u64 = 1024;

/// A process that is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pid: u32,
}

/// CPU time of a process up to a moment.
#[derive(Clone, Debug)]
pub(super) struct CpuTime {
    /// By thread, to the nanosecond, where the system tells it. A thread that ended is in here no more.
    threads: Option<BTreeMap<u32, u64>>,
    /// Of the whole process, ended threads too, in ticks.
    ticks: u64,
}

impl CpuTime {
    /// CPU time since an earlier moment.
    pub(super) fn since(&self, earlier: &Self) -> Duration {
        if let (Some(now), Some(then)) = (&self.threads, &earlier.threads)
            && then.keys().all(|thread| now.contains_key(thread))
        {
            let spent =
                |(thread, ns): (&u32, &u64)| ns.saturating_sub(then.get(thread).copied().unwrap_or(0));
            return Duration::from_nanos(now.iter().map(spent).sum());
        }
        Duration::from_millis(self.ticks.saturating_sub(earlier.ticks) * (1000 / TICKS_PER_SECOND))
    }
}

impl Process {
    pub(super) const fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// This process.
    pub(super) fn this() -> Self {
        Self::new(std::process::id())
    }

    pub(super) fn cpu_time(self) -> Result<CpuTime, Fault> {
        let path = format!("/proc/{}/stat", self.pid);
        let stat =
            fs::read_to_string(&path).map_err(|source| Fault::Process { path: path.clone(), source })?;
        let ticks = ticks(&stat).ok_or_else(|| Fault::Process { path, source: invalid() })?;
        Ok(CpuTime { threads: self.threads().ok(), ticks })
    }

    fn threads(self) -> io::Result<BTreeMap<u32, u64>> {
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let task = task?;
            let text = match fs::read_to_string(task.path().join("schedstat")) {
                Ok(text) => text,
                // It ended since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let name = task.file_name();
            let thread = name.to_str().and_then(|name| name.parse().ok()).ok_or_else(invalid)?;
            let ns = text.split_whitespace().next().and_then(|word| word.parse().ok()).ok_or_else(invalid)?;
            threads.insert(thread, ns);
        }
        Ok(threads)
    }

    /// Bytes it has sent to a disk so far, `None` if that may not be seen: it is another user's, or the system counts none.
    pub(super) fn written_bytes(self) -> Option<u64> {
        let io = fs::read_to_string(format!("/proc/{}/io", self.pid)).ok()?;
        number_line(&io, "write_bytes:")
    }

    /// Resident memory in bytes. `smaps_rollup` counts pages, where `statm` is off by some dozens for each CPU.
    pub(super) fn resident_bytes(self) -> Result<u64, Fault> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).ok();
        if let Some(bytes) = rollup.and_then(|text| kib_line(&text, "Rss:")) {
            return Ok(bytes);
        }
        let path = format!("/proc/{}/status", self.pid);
        let status =
            fs::read_to_string(&path).map_err(|source| Fault::Process { path: path.clone(), source })?;
        kib_line(&status, "VmRSS:").ok_or_else(|| Fault::Process { path, source: invalid() })
    }
}

/// The number in a line like `write_bytes: 123`.
fn number_line(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it does not have the form that proc(5) describes")
}

/// utime + stime. The name in parentheses may contain anything, parentheses too.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The bytes in a line like `VmRSS:  123 kB`.
fn kib_line(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_spends_time_and_has_memory() {
        let process = Process::this();
        let before = process.cpu_time().unwrap();
        assert!(before.threads.is_some());
        let mut sum = 0_u64;
        let spent = loop {
            (0..1_000_000).for_each(|n| sum = std::hint::black_box(sum.wrapping_add(n)));
            let spent = process.cpu_time().unwrap().since(&before);
            if spent > Duration::ZERO {
                break spent;
            }
        };
        assert!(spent < Duration::from_secs(60), "{spent:?}");
        assert!(process.resident_bytes().unwrap() > 100_000);
    }

    #[test]
    fn a_process_that_is_not_there_is_told() {
        // The kernel gives no number so high.
        let fault = Process::new(u32::MAX).cpu_time().unwrap_err().to_string();
        assert!(fault.contains("--broker-pid"), "{fault}");
    }

    #[test]
    fn an_ended_thread_makes_ticks_count() {
        let cpu = |threads: &[(u32, u64)], ticks| CpuTime {
            threads: Some(threads.iter().copied().collect()),
            ticks,
        };
        let before = cpu(&[(1, 1000), (2, 5000)], 10);
        assert_eq!(cpu(&[(1, 1500), (2, 5000), (3, 7)], 12).since(&before), Duration::from_nanos(507));
        assert_eq!(cpu(&[(1, 1500)], 12).since(&before), Duration::from_millis(20));
    }

    #[test]
    fn lines_of_proc() {
        assert_eq!(ticks("1 (a) b) R 1 2 3 4 5 6 7 8 9 10 70 7 0 0"), Some(77));
        assert_eq!(ticks("1 (a"), None);
        assert_eq!(kib_line("VmHWM:\t 9 kB\nVmRSS:\t   12 kB\n", "VmRSS:"), Some(12 * 1024));
        assert_eq!(kib_line("VmHWM:\t 9 kB\n", "VmRSS:"), None);
        assert_eq!(
            number_line("wchar: 7\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n", "write_bytes:"),
            Some(4096)
        );
    }
}
