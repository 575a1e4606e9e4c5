//! Calling `noctule bench`, which makes the load, and understanding what it reports.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::broker::Running;
use crate::scenario::{Chosen, Group};

/// How often it is asked whether it has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Of the subscriptions that are due beside the traffic, so many must be made.
const CHURN_SHARE_MIN: f64 = 0.9;
const CHURN_ANSWER_TIME: Duration = Duration::from_millis(100);

/// The load, and how much of it.
pub(crate) struct Generator {
    pub(crate) path: PathBuf,
    pub(crate) cores: Option<String>,
    /// Of traffic, unless the messages are counted.
    pub(crate) seconds: u64,
    pub(crate) messages: Option<u64>,
    pub(crate) items: Option<u64>,
    /// A load that takes longer is ended.
    pub(crate) patience: Duration,
}

/// One line of its report. What does not apply to a phase is `None`.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(crate) name: String,
    /// Broker CPU: seconds per million deliveries, or microseconds per item, which are the same number.
    pub(crate) cpu: Option<f64>,
    /// Deliveries, or items, a second.
    pub(crate) rate: Option<f64>,
    pub(crate) bytes_per_item: Option<f64>,
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// What went wrong with its messages.
    pub(crate) fault: Option<String>,
    /// All of it.
    pub(crate) report: Value,
}

impl Generator {
    /// Loads a broker. The inner error is a failure of the broker, in a few words.
    pub(crate) fn run(
        &self,
        chosen: &Chosen,
        broker: &mut Running,
    ) -> Result<std::result::Result<Vec<Phase>, String>> {
        let mut child = self.command(chosen, broker).spawn().with_context(|| {
            format!("run {}; build it with `cargo build --release -p noctule-cli`", self.path.display())
        })?;
        let deadline = Instant::now() + self.patience;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                child.kill()?;
                child.wait()?;
                return Ok(Err(format!("not done after {} s", self.patience.as_secs())));
            }
            std::thread::sleep(LOOK_INTERVAL);
        };
        let (report, words) = read(&mut child)?;
        if let Some(last_words) = broker.has_ended() {
            return Ok(Err(last_words));
        }
        let lines: Vec<Value> = report
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .with_context(|| format!("`noctule bench` printed {report:?}"))?;
        let mut phases: Vec<Phase> = lines.into_iter().map(Phase::new).collect();
        for phase in &mut phases {
            phase.fault = phase.fault.take().or_else(|| churn_shortfall(chosen, &phase.report));
        }
        match status.code() {
            Some(0) => Ok(match missing_phase(chosen, &phases) {
                Some(phase) => Err(format!("the load reports no figures of `{phase}`")),
                None => Ok(phases),
            }),
            // Messages were lost or the like; the phases before may be sound.
            Some(3) if phases.iter().any(|phase| phase.fault.is_some()) => Ok(Ok(phases)),
            Some(2) => anyhow::bail!("`noctule bench` does not understand its flags: {words}"),
            _ => Ok(Err(words)),
        }
    }

    fn command(&self, chosen: &Chosen, broker: &Running) -> Command {
        let mut words: Vec<String> = Vec::new();
        if let Some(cores) = &self.cores {
            words.extend(["taskset".to_owned(), "-c".to_owned(), cores.clone()]);
        }
        words.extend([self.path.display().to_string(), "bench".to_owned(), chosen.scenario.name.to_owned()]);
        words.push("--json".to_owned());
        let mut flag = |key: &str, value: String| words.extend([format!("--{key}"), value]);
        flag("host", broker.address.ip().to_string());
        flag("port", broker.address.port().to_string());
        flag("broker-pid", broker.pid().to_string());
        let counted = chosen.flag("messages").is_some() || chosen.flag("seconds").is_some();
        match self.messages {
            _ if counted || !chosen.scenario.has_messages() => {}
            Some(messages) => flag("messages", messages.to_string()),
            None if chosen.scenario.group == Group::State => {}
            None => flag("seconds", self.seconds.to_string()),
        }
        if let Some(items) = self.items
            && chosen.scenario.group == Group::State
            && chosen.flag("items").is_none()
        {
            flag("items", items.to_string());
        }
        for (key, value) in &chosen.flags {
            match value.as_str() {
                "yes" => words.push(format!("--{key}")),
                value => words.extend([format!("--{key}"), value.to_owned()]),
            }
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Phase {
    /// Reads a line of the report.
    pub(crate) fn new(report: Value) -> Self {
        let number = |key: &str| report[key].as_f64();
        let name = report["phase"].as_str().unwrap_or("traffic").to_owned();
        // Beside traffic, items are what is done on the side.
        let per_million = number("broker_cpu_seconds_per_million");
        let cpu = match name.as_str() {
            "traffic" => per_million,
            _ => number("broker_cpu_us_per_item").or(per_million),
        };
        let per_second = || Some(number("items")? / number("seconds").filter(|&seconds| seconds > 0.0)?);
        Self {
            name,
            cpu,
            rate: number("deliveries_per_second").or_else(per_second),
            bytes_per_item: number("bytes_per_item"),
            p50: report["latency_us"]["p50"].as_f64(),
            p99: report["latency_us"]["p99"].as_f64(),
            fault: fault(&report),
            report,
        }
    }
}

/// A phase that has a bar, but no figures.
fn missing_phase(chosen: &Chosen, phases: &[Phase]) -> Option<&'static str> {
    let is_there = |name| phases.iter().any(|phase| phase.name == name && phase.cpu.is_some());
    // What is kept is not read.
    let count = if chosen.flag("keep").is_some() { 1 } else { usize::MAX };
    chosen.scenario.bars.iter().map(|bar| bar.phase).take(count).find(|&name| !is_there(name))
}

/// What is wrong with the subscriptions that are made and dropped beside the traffic: with fewer of them, its figures say
/// nothing.
fn churn_shortfall(chosen: &Chosen, report: &Value) -> Option<String> {
    let per_second = chosen.churned_per_second()?;
    if report["phase"].as_str().is_some_and(|phase| phase != "traffic") {
        return None;
    }
    let seconds = report["seconds"].as_f64().unwrap_or(0.0);
    // The last ones need no answer before it ends.
    let least = CHURN_SHARE_MIN * per_second * (seconds - CHURN_ANSWER_TIME.as_secs_f64());
    let made = report["items"].as_u64().unwrap_or(0);
    ((made as f64) < least).then(|| {
        let due = per_second * seconds;
        format!("only {made} of {due:.0} subscriptions made and dropped beside it")
    })
}

/// What went wrong with the messages, in a few words.
fn fault(report: &Value) -> Option<String> {
    let counts = ["lost", "duplicated", "reordered", "misrouted", "unacknowledged"];
    let found: Vec<_> = counts
        .into_iter()
        .filter_map(|key| {
            report[key].as_u64().filter(|&count| count > 0).map(|count| format!("{count} {key}"))
        })
        .collect();
    let delivered = report["delivered"].as_u64().unwrap_or(0);
    (!found.is_empty()).then(|| format!("{} of {delivered} delivered", found.join(", ")))
}

/// What it said on both of its outputs. It says little, so that the pipes hold it.
fn read(child: &mut Child) -> Result<(String, String)> {
    let mut report = String::new();
    let mut words = String::new();
    if let Some(stdout) = &mut child.stdout {
        stdout.read_to_string(&mut report)?;
    }
    if let Some(stderr) = &mut child.stderr {
        stderr.read_to_string(&mut words)?;
    }
    Ok((report, crate::broker::reason(&words)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Choice;

    #[test]
    fn faults_are_told_in_a_few_words() {
        let report = serde_json::json!({"lost": 3, "duplicated": 0, "reordered": 1, "delivered": 100});
        assert_eq!(fault(&report).as_deref(), Some("3 lost, 1 reordered of 100 delivered"));
        assert_eq!(fault(&serde_json::json!({"lost": 0})), None);
    }

    #[test]
    fn a_churn_that_does_not_happen_is_a_failure() {
        let told = |scenario: &str, report: Value| {
            let Choice(chosen) = scenario.parse().unwrap();
            churn_shortfall(&chosen[0], &report)
        };
        let report =
            |items: Option<u64>| serde_json::json!({"phase": "traffic", "seconds": 4.0, "items": items});
        assert_eq!(told("churn", report(Some(18_000))), None);
        let few = told("churn", report(Some(17_000)));
        assert_eq!(few.as_deref(), Some("only 17000 of 20000 subscriptions made and dropped beside it"));
        assert!(told("churn", report(None)).is_some());
        assert_eq!(told("churn:churn=100", report(Some(390))), None);
        assert!(told("p2p0:churn=100", report(Some(300))).is_some());
        assert_eq!(told("p2p0", report(None)), None);
    }

    #[test]
    fn a_phase_reads_what_applies_to_it() {
        let phase = Phase::new(serde_json::json!({
            "phase": "store", "items": 2000, "seconds": 0.5, "bytes_per_item": 240.5,
            "broker_cpu_us_per_item": 1.25, "broker_cpu_seconds_per_million": null, "latency_us": null,
        }));
        assert_eq!((phase.cpu, phase.rate, phase.bytes_per_item), (Some(1.25), Some(4000.0), Some(240.5)));
        assert_eq!(phase.p50, None);
    }
}
