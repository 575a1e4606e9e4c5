//! Tables of what was measured, as text and as Markdown.

use std::fmt::Write;

use crate::compare::Comparison;
use crate::program::Kind;
use crate::scenario::Group;
use crate::summary::{Summary, summary};

/// A line for each broker in each phase.
pub(crate) fn text(comparison: &Comparison) -> String {
    let mut rows = vec![
        ["scenario", "phase", "broker", "CPU", "ratio", "a second", "bytes/item", "p50 µs", "p99 µs", "bars"]
            .map(str::to_owned),
    ];
    for_each_phase(comparison, |scenario, phase| {
        for (index, program) in comparison.programs.iter().enumerate() {
            if program.kind.lack(&comparison.scenarios[scenario]).is_some() {
                continue;
            }
            let summary = summary(comparison, scenario, index, phase);
            let name = comparison.scenarios[scenario].to_string();
            let mut row: [String; 10] = Default::default();
            row[..3].clone_from_slice(&[name, phase.to_owned(), program.label.clone()]);
            if let Some(failure) = &summary.failure {
                row[3] = format!("failed: {failure}");
            } else {
                row[3] = figure(summary.cpu);
                row[4] = summary.ratio.map_or_else(String::new, |ratio| {
                    format!("{:.2} ({:.2} to {:.2})", ratio.median, ratio.least, ratio.greatest)
                });
                row[5] = summary.rate.map_or_else(String::new, |rate| format!("{rate:.0}"));
                row[6] = figure(summary.bytes_per_item);
                row[7] = figure(summary.p50);
                row[8] = figure(summary.p99);
                row[9] = verdicts(&summary).replace("**", "");
            }
            rows.push(row);
        }
    });
    aligned(&rows)
}

/// A table for each group, a line for each phase, the brokers side by side.
pub(crate) fn markdown(comparison: &Comparison) -> String {
    let mut text = String::new();
    for group in [Group::Traffic, Group::Latency, Group::State, Group::Durable] {
        let rows = markdown_rows(comparison, group);
        if rows.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let mut head = vec!["scenario".to_owned(), String::new()];
        for program in &comparison.programs {
            head.push(program.label.clone());
            if program.kind == Kind::Noctule {
                head.push("bar".to_owned());
            }
        }
        line(&mut text, &head);
        line(&mut text, &vec!["---".to_owned(); head.len()]);
        for row in rows {
            line(&mut text, &row);
        }
    }
    text
}

fn markdown_rows(comparison: &Comparison, group: Group) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for_each_phase(comparison, |scenario, phase| {
        let chosen = &comparison.scenarios[scenario];
        if chosen.scenario.group != group {
            return;
        }
        let about = match group {
            Group::State | Group::Durable => format!("{}: {phase}", chosen.scenario.about),
            Group::Traffic | Group::Latency => chosen.scenario.about.to_owned(),
        };
        let name =
            chosen.to_string().replacen(chosen.scenario.name, &format!("`{}`", chosen.scenario.name), 1);
        let mut row = vec![name, about];
        for (index, program) in comparison.programs.iter().enumerate() {
            let summary = summary(comparison, scenario, index, phase);
            row.push(match program.kind.lack(chosen) {
                Some(lack) => lack.to_owned(),
                None => cell(&summary, group, index == 0),
            });
            if program.kind == Kind::Noctule {
                row.push(verdicts(&summary));
            }
        }
        rows.push(row);
    });
    rows
}

/// The figures of one broker.
fn cell(summary: &Summary, group: Group, is_first: bool) -> String {
    if let Some(failure) = &summary.failure {
        return failure.replace('|', "/");
    }
    let mut parts = Vec::new();
    match group {
        Group::Traffic => {
            parts.push(format!("{} s/M", figure(summary.cpu)));
            if let Some(ratio) = summary.ratio.filter(|_| !is_first) {
                let (least, greatest) = (figure(Some(ratio.least)), figure(Some(ratio.greatest)));
                parts.push(format!("**{} ×** ({least} to {greatest})", figure(Some(ratio.median))));
            }
        }
        Group::Latency => parts.push(format!("{}, {} µs", figure(summary.p50), figure(summary.p99))),
        Group::State | Group::Durable => {
            if summary.bytes_per_item.is_some() {
                parts.push(format!("{} B", figure(summary.bytes_per_item)));
            }
            if summary.cpu.is_some() {
                parts.push(format!("{} µs", figure(summary.cpu)));
            }
        }
    }
    parts.join(", ")
}

fn verdicts(summary: &Summary) -> String {
    let verdicts: Vec<_> = summary.verdicts.iter().map(ToString::to_string).collect();
    verdicts.join("; ")
}

fn for_each_phase(comparison: &Comparison, mut each: impl FnMut(usize, &str)) {
    for scenario in 0..comparison.scenarios.len() {
        for phase in comparison.phases(scenario) {
            each(scenario, &phase);
        }
    }
}

/// Three digits that count.
fn figure(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) if value.abs() >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

fn line(text: &mut String, cells: &[String]) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    // A failure may run over what stands to the right of it, which is empty.
    let is_wide = |cell: &String| cell.starts_with("failed: ");
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter()
            .map(|row| &row[column])
            .filter(|cell| !is_wide(cell))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_that_count() {
        let shown = [0.0307, 1.234, 12.34, 1234.5].map(|value| figure(Some(value)));
        assert_eq!(shown, ["0.031", "1.23", "12.3", "1234"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "bcd", "e"], ["ä", "failed: everything", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "a  bcd  e\nä  failed: everything\n");
    }
}
