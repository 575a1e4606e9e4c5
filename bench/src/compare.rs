//! Runs scenarios against brokers, interleaved.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::broker::{Running, Start};
use crate::generator::{Generator, Phase};
use crate::program::Program;
use crate::scenario::Chosen;

/// The outcome of one run: its phases, or why there are none.
pub(crate) type Outcome = std::result::Result<Vec<Phase>, String>;

/// How it is done.
pub(crate) struct Way {
    pub(crate) generator: Generator,
    pub(crate) runs: usize,
    /// Whether each broker is held to core 0, if it names none itself.
    pub(crate) pinned: bool,
    /// Whether the figures mean something.
    pub(crate) is_judged: bool,
}

/// How long a broker rests after its start, if its figures mean something.
const SETTLE_TIME: Duration = Duration::from_millis(200);

/// Everything that was measured.
pub(crate) struct Comparison {
    pub(crate) programs: Vec<Program>,
    pub(crate) scenarios: Vec<Chosen>,
    /// Whether the figures mean something.
    pub(crate) is_judged: bool,
    /// By scenario, program and run. A broker that failed is not run again in that scenario.
    outcomes: Vec<Vec<Vec<Outcome>>>,
}

/// Where what is measured is shown as it comes.
pub(crate) trait Progress {
    fn run_begins(&mut self, chosen: &Chosen, program: &Program, run: usize) -> Result<()>;
    fn run_ended(&mut self, chosen: &Chosen, program: &Program, run: usize, outcome: &Outcome) -> Result<()>;
}

impl Comparison {
    /// Every run takes all brokers in turn, each fresh, so that what disturbs the machine disturbs all alike; which one is
    /// first changes from run to run.
    pub(crate) fn run(
        programs: Vec<Program>,
        scenarios: Vec<Chosen>,
        way: &Way,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        let mut outcomes = Vec::new();
        for chosen in &scenarios {
            let mut of_scenario: Vec<Vec<Outcome>> = vec![Vec::new(); programs.len()];
            for run in 0..way.runs {
                for turn in 0..programs.len() {
                    let index = (run + turn) % programs.len();
                    let program = &programs[index];
                    let failed = of_scenario[index].last().is_some_and(|last| failure_of(last).is_some());
                    if failed || program.kind.lack(chosen).is_some() {
                        continue;
                    }
                    progress.run_begins(chosen, program, run)?;
                    let outcome =
                        one(program, chosen, way).with_context(|| format!("{chosen} against {program}"))?;
                    progress.run_ended(chosen, program, run, &outcome)?;
                    of_scenario[index].push(outcome);
                }
            }
            outcomes.push(of_scenario);
        }
        Ok(Self { programs, scenarios, is_judged: way.is_judged, outcomes })
    }

    /// The outcomes of a program in a scenario; none if it lacks what that needs.
    pub(crate) fn outcomes(&self, scenario: usize, program: usize) -> &[Outcome] {
        &self.outcomes[scenario][program]
    }

    /// Why a program has no figures in a phase of a scenario.
    pub(crate) fn failure(&self, scenario: usize, program: usize, phase: &str) -> Option<&str> {
        self.outcomes(scenario, program).iter().find_map(|outcome| match outcome {
            Ok(phases) => phases.iter().find(|found| found.name == phase)?.fault.as_deref(),
            Err(why) => Some(why),
        })
    }

    /// The phases of a scenario, in order, by whoever finished it.
    pub(crate) fn phases(&self, scenario: usize) -> Vec<String> {
        let finished = self.outcomes[scenario].iter().flatten().find_map(|outcome| outcome.as_ref().ok());
        match finished {
            Some(phases) => phases.iter().map(|phase| phase.name.clone()).collect(),
            None => vec!["traffic".to_owned()],
        }
    }

    /// What a program did in a phase, by run.
    pub(crate) fn of_phase(
        &self,
        scenario: usize,
        program: usize,
        phase: &str,
    ) -> impl Iterator<Item = &Phase> + Clone {
        self.outcomes(scenario, program)
            .iter()
            .filter_map(|outcome| outcome.as_ref().ok())
            .filter_map(move |phases| phases.iter().find(|found| found.name == phase))
    }

    /// The failures of our own programs, which somebody must mend.
    pub(crate) fn own_failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (scenario, chosen) in self.scenarios.iter().enumerate() {
            for (index, program) in
                self.programs.iter().enumerate().filter(|(_, program)| program.kind.is_ours())
            {
                for outcome in self.outcomes(scenario, index) {
                    if let Some(why) = failure_of(outcome) {
                        failures.push(format!("{chosen} against {program}: {why}"));
                    }
                }
            }
        }
        failures
    }
}

fn failure_of(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Ok(phases) => phases.iter().find_map(|phase| phase.fault.as_deref()),
        Err(why) => Some(why),
    }
}

fn one(program: &Program, chosen: &Chosen, way: &Way) -> Result<Outcome> {
    let start = Start {
        cores: program.cores.clone().or_else(|| way.pinned.then(|| "0".to_owned())),
        protocol_level: chosen.protocol_level(),
        settle_time: if way.is_judged { SETTLE_TIME } else { Duration::ZERO },
    };
    // A program that is not there is no outcome: it would be missing from all of the table.
    program.path()?;
    match Running::start(program, &start) {
        Ok(mut broker) => way.generator.run(chosen, &mut broker),
        Err(error) => Ok(Err(format!("{error:#}"))),
    }
}

/// Tells standard error which run is under way, and standard output what came of it when that shall be JSON.
pub(crate) struct Report {
    pub(crate) json: bool,
}

impl Progress for Report {
    fn run_begins(&mut self, chosen: &Chosen, program: &Program, run: usize) -> Result<()> {
        eprintln!("{chosen}, run {}: {program}", run + 1);
        Ok(())
    }

    fn run_ended(&mut self, chosen: &Chosen, program: &Program, run: usize, outcome: &Outcome) -> Result<()> {
        if let Some(why) = failure_of(outcome) {
            eprintln!("{chosen}, run {}: {program}: {why}", run + 1);
        }
        if !self.json {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        let about =
            serde_json::json!({"scenario": chosen.to_string(), "broker": program.label, "run": run + 1});
        let lines: Vec<_> = match outcome {
            Ok(phases) => phases.iter().map(|phase| ("report", phase.report.clone())).collect(),
            Err(why) => vec![("failure", why.clone().into())],
        };
        for (key, value) in lines {
            let mut line = about.clone();
            line[key] = value;
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::scenario::Choice;

    /// One scenario, and for each broker the CPU of its runs.
    pub(crate) fn comparison(scenario: &str, brokers: &[(&str, &[f64])]) -> Comparison {
        let Choice(scenarios) = scenario.parse().unwrap();
        let programs = brokers.iter().map(|(name, _)| name.parse().unwrap()).collect();
        let outcome = |&cpu: &f64| {
            Ok(vec![Phase::new(json!({"phase": "traffic", "broker_cpu_seconds_per_million": cpu}))])
        };
        let of_scenario = brokers.iter().map(|(_, runs)| runs.iter().map(outcome).collect()).collect();
        Comparison { programs, scenarios, is_judged: true, outcomes: vec![of_scenario] }
    }

    #[test]
    fn a_failure_is_told_and_only_ours_is_to_be_mended() {
        let mut compared =
            comparison("p2p0", &[("relay", &[1.0]), ("noctule", &[2.0]), ("mosquitto", &[3.0])]);
        compared.outcomes[0][2] = vec![Err("stalled".to_owned())];
        assert_eq!(compared.failure(0, 2, "traffic"), Some("stalled"));
        assert!(compared.own_failures().is_empty());
        let lost = Phase::new(json!({"phase": "traffic", "lost": 3, "delivered": 7}));
        compared.outcomes[0][1] = vec![Ok(vec![lost])];
        assert_eq!(compared.own_failures(), ["p2p0 against noctule: 3 lost of 7 delivered"]);
    }
}
