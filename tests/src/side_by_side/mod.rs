//! Two brokers on the same configuration, asked the same things by Debian's clients.
//!
//! A configuration is a folder: `mosquitto.conf` as an administrator has it, with his ports and paths, whatever files
//! it names, and `probes`: what is asked of a broker started on it (the [`Step`]s). There are no expectations: what
//! counts is that both brokers answer the same.

mod installation;
mod observe;
mod step;

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::environment;
use installation::Installation;
use observe::Window;
pub use step::Step;

/// What one broker did at one step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Observation {
    /// The step as written in `probes`, or how the broker started or ended.
    pub step: String,
    /// What was seen, line by line.
    pub seen: Vec<String>,
}

/// A step at which the brokers differ.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The step as written in `probes`, or how the broker started or ended.
    pub step: String,
    /// What Debian's Mosquitto did; empty if it did not come so far.
    pub theirs: Vec<String>,
    /// What the broker under test did; empty if it did not come so far.
    pub ours: Vec<String>,
}

/// How long a subscriber is listened to after the last thing was done that might reach it. When the brokers differ,
/// they are asked again with the next one, so that a slow machine makes no difference and a quick one no delay.
const WINDOWS: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_millis(2500)];

/// Starts Debian's Mosquitto and the broker under test, under Mosquitto's name, on the configuration in this folder,
/// and tells at which steps they differ. A difference that is `expected` is believed at once, any other only when it was
/// seen with each of the windows.
///
/// # Panics
/// If a broker does neither start nor end, or the folder cannot be read.
pub fn differences(folder: &Path, expected: impl Fn(&Difference) -> bool) -> Vec<Difference> {
    let mut found = Vec::new();
    for window in WINDOWS {
        let theirs = environment::debian_mosquitto();
        let (theirs, ours) = thread::scope(|scope| {
            let theirs = scope.spawn(|| observations(folder, &theirs, "", Window(window)));
            let ours =
                observations(folder, environment::broker(), &environment::config_of_ours(), Window(window));
            (theirs.join().expect("what went wrong was told above"), ours)
        });
        found = compare(&theirs, &ours);
        if found.iter().all(&expected) {
            break;
        }
    }
    found
}

fn compare(theirs: &[Observation], ours: &[Observation]) -> Vec<Difference> {
    // Who did not start did nothing of the rest either: that is one difference.
    let count = if theirs.len() == 1 || ours.len() == 1 { 1 } else { theirs.len().max(ours.len()) };
    let at = |all: &[Observation], index: usize| all.get(index).cloned();
    (0..count)
        .map(|index| (at(theirs, index), at(ours, index)))
        .filter(|(theirs, ours)| theirs != ours)
        .map(|(theirs, ours)| {
            let step = theirs.as_ref().or(ours.as_ref()).map(|seen| seen.step.clone()).unwrap_or_default();
            let seen = |side: Option<Observation>| side.map(|side| side.seen).unwrap_or_default();
            Difference { step, theirs: seen(theirs), ours: seen(ours) }
        })
        .collect()
}

/// Everything that is seen of this program on this configuration.
fn observations(folder: &Path, program: &Path, more: &str, window: Window) -> Vec<Observation> {
    let steps = step::read(&folder.join("probes"));
    // Somebody else may have been quicker to take a port that was free a moment ago.
    for _ in 0..5 {
        let mut installation = Installation::new(folder, more);
        let start = installation.start(program);
        if start.iter().any(|line| line.contains("Address already in use")) {
            continue;
        }
        let starts = installation.is_running();
        let mut seen = vec![Observation { step: "start".to_owned(), seen: start }];
        if starts {
            seen.extend(steps.iter().map(|step| observe::observe(step, &mut installation, window)));
            seen.push(Observation { step: "stop".to_owned(), seen: installation.stop() });
        }
        return seen;
    }
    panic!("no free ports for {}", folder.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(step: &str, line: &str) -> Observation {
        Observation { step: step.to_owned(), seen: vec![line.to_owned()] }
    }

    #[test]
    fn who_does_not_start_differs_once() {
        let theirs = [seen("start", "refuses")];
        let ours = [seen("start", "listens"), seen("pub", "exit 0")];
        let found = compare(&theirs, &ours);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].step.as_str(), found[0].ours[0].as_str()), ("start", "listens"));
        assert_eq!(compare(&ours, &ours), []);
    }

    #[test]
    fn each_step_is_compared() {
        let theirs =
            [seen("start", "listens"), seen("pub", "exit 0"), seen("sub", "exit 0"), seen("stop", "ends")];
        let mut ours = theirs.clone();
        ours[2] = seen("sub", "exit 5");
        let found = compare(&theirs, &ours);
        assert_eq!(found.iter().map(|difference| difference.step.as_str()).collect::<Vec<_>>(), ["sub"]);
    }
}
