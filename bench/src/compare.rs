//! Runs scenarios against brokers, interleaved.

use std::io::Write;

use anyhow::{Context, Result};

use crate::broker::{Running, Start};
use crate::generator::{Generator, Phase};
use crate::program::{Kind, Program};
use crate::scenario::Chosen;

/// The outcome of one run: its phases, or why there are none.
pub(crate) type Outcome = std::result::Result<Vec<Phase>, String>;

/// Everything that was measured.
pub(crate) struct Comparison {
    pub(crate) programs: Vec<Program>,
    pub(crate) scenarios: Vec<Chosen>,
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
        runs: usize,
        pinned: bool,
        generator: &Generator,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        let mut outcomes = Vec::new();
        for chosen in &scenarios {
            let mut of_scenario: Vec<Vec<Outcome>> = vec![Vec::new(); programs.len()];
            for run in 0..runs {
                for turn in 0..programs.len() {
                    let index = (run + turn) % programs.len();
                    let program = &programs[index];
                    let failed = of_scenario[index].last().is_some_and(Outcome::is_err);
                    if failed || !is_able(program, chosen) {
                        continue;
                    }
                    progress.run_begins(chosen, program, run)?;
                    let outcome = one(program, chosen, pinned, generator)
                        .with_context(|| format!("{chosen} against {program}"))?;
                    progress.run_ended(chosen, program, run, &outcome)?;
                    of_scenario[index].push(outcome);
                }
            }
            outcomes.push(of_scenario);
        }
        Ok(Self { programs, scenarios, outcomes })
    }

    /// The outcomes of a program in a scenario; none if it cannot do that.
    pub(crate) fn outcomes(&self, scenario: usize, program: usize) -> &[Outcome] {
        &self.outcomes[scenario][program]
    }

    /// Why a program failed in a scenario.
    pub(crate) fn failure(&self, scenario: usize, program: usize) -> Option<&str> {
        self.outcomes(scenario, program).iter().find_map(|outcome| outcome.as_ref().err().map(String::as_str))
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
            for (index, program) in self.programs.iter().enumerate() {
                if program.kind.is_ours()
                    && let Some(why) = self.failure(scenario, index)
                {
                    failures.push(format!("{chosen} against {program}: {why}"));
                }
            }
        }
        failures
    }
}

/// The relay knows no shared subscriptions and keeps no state.
fn is_able(program: &Program, chosen: &Chosen) -> bool {
    program.kind != Kind::Relay || chosen.scenario.has_ceiling
}

fn one(program: &Program, chosen: &Chosen, pinned: bool, generator: &Generator) -> Result<Outcome> {
    let cores = program.cores.clone().or_else(|| pinned.then(|| "0".to_owned()));
    let start = Start { cores, protocol_level: chosen.protocol_level(), more_config: "" };
    // A program that is not there is no outcome: it would be missing from all of the table.
    program.path()?;
    match Running::start(program, &start) {
        Ok(mut broker) => generator.run(chosen, &mut broker),
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
        if let Err(why) = outcome {
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
