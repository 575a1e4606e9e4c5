//! CPU time of a process, from /proc.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// CPU time of all threads of a process so far, to the nanosecond.
pub(crate) fn time(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the broker is gone")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split_whitespace().next().context("schedstat is empty")?;
        nanos += first.parse::<u64>().context("schedstat is no number")?;
    }
    Ok(Duration::from_nanos(nanos))
}
