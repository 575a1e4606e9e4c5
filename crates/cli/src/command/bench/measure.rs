//! What a phase costs: CPU of the load and of the broker, and the broker's memory.

use std::time::Duration;

use super::fault::Fault;
use super::report::BrokerCost;
use super::usage::{CpuTime, Process};

/// Runs from the beginning of a phase.
#[derive(Debug)]
pub(super) struct Meter {
    load: CpuTime,
    broker: Option<(Process, CpuTime, u64, Option<u64>)>,
}

/// What a phase took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) time: Duration,
    pub(super) load_cpu: Duration,
    pub(super) broker: Option<BrokerCost>,
    /// It ended because nothing came any more.
    pub(super) is_stalled: bool,
}

impl Meter {
    pub(super) fn start(broker: Option<Process>) -> Result<Self, Fault> {
        let broker = match broker {
            Some(process) => {
                let memory = process.resident_bytes()?;
                Some((process, process.cpu_time()?, memory, process.written_bytes()))
            }
            None => None,
        };
        Ok(Self { load: Process::this().cpu_time()?, broker })
    }

    pub(super) fn stop(self, time: Duration, is_stalled: bool) -> Result<Measured, Fault> {
        let load_cpu = Process::this().cpu_time()?.since(&self.load);
        let broker = match self.broker {
            Some((process, cpu_then, rss_bytes_before, written)) => Some(BrokerCost {
                cpu_seconds: process.cpu_time()?.since(&cpu_then).as_secs_f64(),
                rss_bytes_before,
                rss_bytes_after: process.resident_bytes()?,
                written_bytes: written.and_then(|then| Some(process.written_bytes()?.saturating_sub(then))),
            }),
            None => None,
        };
        Ok(Measured { time, load_cpu, broker, is_stalled })
    }
}
