//! Outcomes as text for people, and as lines of JSON.

use std::fmt::Write;

use noctule_selftest::{Chosen, Deviation, Outcome, Verdict};
use serde_json::{Value, json};

use crate::failure::printable;

/// A line of `--list`.
pub(super) fn listed(chosen: &Chosen) -> String {
    let Chosen { section, version, .. } = chosen;
    format!("MQTT {version}  {section}: {}  {}\n", chosen.title(), chosen.statements().join(" "))
}

/// The same with `--json`.
pub(super) fn listed_json(chosen: &Chosen) -> String {
    let object = json!({
        "mqtt": chosen.version.to_string(),
        "section": chosen.section,
        "title": chosen.title(),
        "statements": statements(&chosen.statements()),
    });
    format!("{object}\n")
}

/// What deviates, what is not applicable, and the sum.
pub(super) fn text(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        if let Verdict::Deviates(deviation) = &outcome.verdict {
            text.push_str(&deviating(outcome, deviation));
        }
    }
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for outcome in outcomes {
        if let Verdict::NotApplicable(reason) = &outcome.verdict {
            match reasons.iter_mut().find(|(known, _)| known == reason) {
                Some((_, count)) => *count += 1,
                None => reasons.push((reason, 1)),
            }
        }
    }
    for (reason, count) in reasons {
        let _ = writeln!(text, "not applicable: {}: {}", cases(count), printable(reason));
    }
    let sum = Sum::of(outcomes);
    let Sum { passed, deviating, not_applicable } = sum;
    let _ = writeln!(
        text,
        "{}: {passed} passed, {deviating} deviate, {not_applicable} not applicable",
        cases(outcomes.len())
    );
    text
}

fn cases(count: usize) -> String {
    format!("{count} {}", if count == 1 { "case" } else { "cases" })
}

fn deviating(outcome: &Outcome, deviation: &Deviation) -> String {
    let Outcome { section, title, version, statements, .. } = outcome;
    let mut text = format!("MQTT {version}  {section}: {title}\n  {}\n", statements.join(" "));
    if let Some(sent) = deviation.sent() {
        let _ = writeln!(text, "  sent      {}", printable(&sent.to_string()));
    }
    let _ = writeln!(text, "  expected  {}", printable(&deviation.expected));
    let _ = writeln!(text, "  came      {}", printable(&deviation.came));
    text.push_str("  all of it\n");
    for event in &deviation.exchange {
        let _ = writeln!(text, "    {event}");
    }
    text.push('\n');
    text
}

/// An object for each case, then one for the sum.
pub(super) fn json(outcomes: &[Outcome]) -> String {
    let mut text: String = outcomes.iter().map(|outcome| format!("{}\n", object(outcome))).collect();
    let Sum { passed, deviating, not_applicable } = Sum::of(outcomes);
    let sum = json!({
        "summary": {
            "cases": outcomes.len(),
            "passed": passed,
            "deviates": deviating,
            "not_applicable": not_applicable,
        }
    });
    let _ = writeln!(text, "{sum}");
    text
}

fn object(outcome: &Outcome) -> Value {
    let mut object = json!({
        "mqtt": outcome.version.to_string(),
        "section": outcome.section,
        "title": outcome.title,
        "statements": statements(&outcome.statements),
    });
    let more = match &outcome.verdict {
        Verdict::Passed => json!({ "outcome": "passed" }),
        Verdict::NotApplicable(reason) => json!({ "outcome": "not applicable", "reason": reason }),
        Verdict::Deviates(deviation) => json!({
            "outcome": "deviates",
            "sent": deviation.sent().map(ToString::to_string),
            "expected": deviation.expected,
            "came": deviation.came,
            "exchange": deviation.exchange.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
    };
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

/// Without the brackets of a citation.
fn statements(cited: &[&str]) -> Vec<String> {
    cited.iter().map(|statement| statement.trim_matches(['[', ']']).to_owned()).collect()
}

struct Sum {
    passed: usize,
    deviating: usize,
    not_applicable: usize,
}

impl Sum {
    fn of(outcomes: &[Outcome]) -> Self {
        let count = |is: fn(&Verdict) -> bool| outcomes.iter().filter(|outcome| is(&outcome.verdict)).count();
        Self {
            passed: count(|verdict| matches!(verdict, Verdict::Passed)),
            deviating: count(|verdict| matches!(verdict, Verdict::Deviates(_))),
            not_applicable: count(|verdict| matches!(verdict, Verdict::NotApplicable(_))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_selftest::{Event, Version, What};

    fn outcomes() -> [Outcome; 3] {
        let outcome = |title, verdict| Outcome {
            section: "ping",
            title,
            version: Version::V5,
            statements: vec!["[MQTT-3.12.4-1]"],
            verdict,
        };
        let exchange = [What::Opened, What::Sent(vec![0xc0, 0]), What::Came(vec![0xe0, 1, 0x82])];
        let exchange = exchange.map(|what| Event { connection: "client", what }).to_vec();
        let (expected, came) = ("PINGRESP".to_owned(), "DISCONNECT: e0 01 82".to_owned());
        [
            outcome("is answered", Verdict::Deviates(Deviation { expected, came, exchange })),
            outcome("is ignored", Verdict::NotApplicable("it is not offered".to_owned())),
            outcome("is fast", Verdict::Passed),
        ]
    }

    #[test]
    fn people_read_what_deviates_and_why() {
        let expected = "\
MQTT 5.0  ping: is answered
  [MQTT-3.12.4-1]
  sent      client > PINGREQ: c0 00
  expected  PINGRESP
  came      DISCONNECT: e0 01 82
  all of it
    client opens
    client > PINGREQ: c0 00
    client < DISCONNECT: e0 01 82

not applicable: 1 case: it is not offered
3 cases: 1 passed, 1 deviate, 1 not applicable
";
        assert_eq!(text(&outcomes()), expected);
    }

    #[test]
    fn programs_read_a_line_for_each_case() {
        let lines: Vec<Value> =
            json(&outcomes()).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["statements"], json!(["MQTT-3.12.4-1"]));
        assert_eq!(lines[0]["outcome"], "deviates");
        assert_eq!(lines[0]["sent"], "client > PINGREQ: c0 00");
        assert_eq!(lines[1]["reason"], "it is not offered");
        assert_eq!((&lines[2]["outcome"], &lines[2]["mqtt"]), (&json!("passed"), &json!("5.0")));
        let sum = json!({ "cases": 3, "passed": 1, "deviates": 1, "not_applicable": 1 });
        assert_eq!(lines[3]["summary"], sum);
    }
}
