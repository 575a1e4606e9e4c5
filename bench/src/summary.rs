//! What many runs say together: medians, ratios taken within a run, and whether ours is within its bars.

use std::fmt;

use crate::compare::Comparison;
use crate::generator::Phase;
use crate::program::Kind;
use crate::scenario::Limit;

/// A broker in one phase of a scenario, over all runs.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Why there are no figures.
    pub(crate) failure: Option<String>,
    pub(crate) cpu: Option<f64>,
    /// To the first broker.
    pub(crate) ratio: Option<Spread>,
    pub(crate) rate: Option<f64>,
    pub(crate) bytes_per_item: Option<f64>,
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Only ours has any.
    pub(crate) verdicts: Vec<Verdict>,
}

/// Median, least and greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

/// A bar and whether it is kept.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The bar in words.
    pub(crate) bar: String,
    pub(crate) is_kept: bool,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.bar, if self.is_kept { "ok" } else { "**over**" })
    }
}

/// What a program did in a phase of a scenario.
pub(crate) fn summary(comparison: &Comparison, scenario: usize, program: usize, phase: &str) -> Summary {
    if let Some(failure) = comparison.failure(scenario, program, phase) {
        return Summary { failure: Some(failure.to_owned()), ..Summary::default() };
    }
    let of = |pick: fn(&Phase) -> Option<f64>| {
        spread(comparison.of_phase(scenario, program, phase).filter_map(pick)).map(|spread| spread.median)
    };
    let mut summary = Summary {
        failure: None,
        cpu: of(|phase| phase.cpu),
        ratio: ratio(comparison, (scenario, program), (scenario, 0), phase),
        rate: of(|phase| phase.rate),
        bytes_per_item: of(|phase| phase.bytes_per_item),
        p50: of(|phase| phase.p50),
        p99: of(|phase| phase.p99),
        verdicts: Vec::new(),
    };
    if comparison.is_judged && comparison.programs[program].kind == Kind::Noctule {
        summary.verdicts = comparison.scenarios[scenario]
            .limits(phase)
            .filter_map(|limit| verdict(comparison, (scenario, program), phase, &summary, limit))
            .collect();
    }
    summary
}

/// The ratio of CPU, pair by pair of the same run.
fn ratio(
    comparison: &Comparison,
    this: (usize, usize),
    other: (usize, usize),
    phase: &str,
) -> Option<Spread> {
    let others = comparison.of_phase(other.0, other.1, phase).map(|phase| phase.cpu);
    let pairs = comparison.of_phase(this.0, this.1, phase).map(|phase| phase.cpu).zip(others);
    spread(pairs.filter_map(|(this, other)| Some(this? / other.filter(|&other| other > 0.0)?)))
}

/// `None` if what it compares with was not measured, or if it is not about this program.
fn verdict(
    comparison: &Comparison,
    this: (usize, usize),
    phase: &str,
    summary: &Summary,
    limit: Limit,
) -> Option<Verdict> {
    let (first, program) = (&comparison.programs[0], &comparison.programs[this.1]);
    let beside_one_shard = first.kind == Kind::Noctule && first.threads == 1 && program.threads > 1;
    let (bar, is_kept) = match limit {
        Limit::TimesCeiling(most) if first.kind == Kind::Relay => {
            (format!("≤ {most} ×"), summary.ratio?.median <= most)
        }
        Limit::TimesOneShard(most) if beside_one_shard => {
            (format!("≤ {most} × one shard"), summary.ratio?.median <= most)
        }
        Limit::AboveOneShard(most) if beside_one_shard => {
            let one = comparison.of_phase(this.0, 0, phase).filter_map(|phase| phase.p50);
            (format!("p50 ≤ {most} µs above one shard"), summary.p50? - spread(one)?.median <= most)
        }
        Limit::TimesCeiling(_) | Limit::TimesOneShard(_) | Limit::AboveOneShard(_) => return None,
        Limit::Cpu(most) if phase == "traffic" => (format!("≤ {most} s/M"), summary.cpu? <= most),
        Limit::Cpu(most) => (format!("≤ {most} µs"), summary.cpu? <= most),
        Limit::Bytes(most) => (format!("≤ {most} B"), summary.bytes_per_item? <= most),
        Limit::TimesScenario(name, most) => {
            let same = comparison.scenarios.iter().position(|other| {
                other.scenario.name == name && other.flags == comparison.scenarios[this.0].flags
            })?;
            let ratio = ratio(comparison, this, (same, this.1), phase)?.median;
            (format!("≤ {most} × `{name}` ({ratio:.2})"), ratio <= most)
        }
        Limit::LatencyOfMosquitto => {
            let mosquitto = comparison.programs.iter().position(|other| other.kind == Kind::Mosquitto)?;
            let of = |pick: fn(&Phase) -> Option<f64>| {
                spread(comparison.of_phase(this.0, mosquitto, phase).filter_map(pick))
                    .map(|spread| spread.median)
            };
            let (p50, p99) = (of(|phase| phase.p50)?, of(|phase| phase.p99)?);
            ("p50, p99 ≤ Mosquitto's".to_owned(), summary.p50? <= p50 && summary.p99? <= p99)
        }
    };
    Some(Verdict { bar, is_kept })
}

/// `None` of nothing.
pub(crate) fn spread(values: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (&least, &greatest) = (values.first()?, values.last()?);
    let middle = values.len() / 2;
    let median = match values.len() % 2 {
        1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    };
    Some(Spread { median, least, greatest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::comparison;

    fn told(scenario: &str, brokers: &[(&str, &[f64])]) -> Vec<String> {
        let comparison = comparison(scenario, brokers);
        let last = summary(&comparison, 0, brokers.len() - 1, "traffic");
        last.verdicts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ours_is_held_to_its_bars() {
        assert_eq!(told("p2p0", &[("relay", &[1.0, 2.0]), ("noctule", &[3.4, 6.9])]), ["≤ 3.5 × ok"]);
        assert_eq!(told("p2p0", &[("relay", &[1.0, 2.0]), ("noctule", &[3.6, 7.9])]), ["≤ 3.5 × **over**"]);
        let shards: &[(&str, &[f64])] = &[("noctule", &[1.0]), ("noctule:threads=2", &[1.1])];
        assert_eq!(told("p2p0", shards), ["≤ 1.15 × one shard ok"]);
        assert_eq!(told("shared0", &[("noctule", &[0.4])]), ["≤ 0.3 s/M **over**"]);
    }

    #[test]
    fn what_is_not_ours_or_has_nothing_beside_it_has_no_bar() {
        assert!(told("p2p0", &[("relay", &[1.0]), ("mosquitto", &[9.0])]).is_empty());
        assert!(told("p2p0", &[("noctule", &[1.0])]).is_empty());
    }

    #[test]
    fn ratios_are_taken_within_a_run() {
        let comparison =
            comparison("p2p0", &[("relay", &[1.0, 2.0, 4.0]), ("mosquitto", &[10.0, 10.0, 60.0])]);
        let ratio = summary(&comparison, 0, 1, "traffic").ratio;
        assert_eq!(ratio, Some(Spread { median: 10.0, least: 5.0, greatest: 15.0 }));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spread = |values: &[f64]| spread(values.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, greatest: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Some(Spread { median: 2.5, least: 1.0, greatest: 4.0 }));
    }
}
