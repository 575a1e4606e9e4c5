//! Every check can fail: what is broken on purpose is noticed, by the check that is there for it.

use simulation::{Plan, Sabotage, Trace, run};

/// A defect that needs a rare occasion may take so many seeds to show.
const SEEDS: u64 = 200;

fn is_noticed_by(sabotage: Sabotage, check: &str) -> bool {
    (0..SEEDS).any(|seed| {
        let mut plan = Plan::of(seed);
        plan.sabotage = Some(sabotage);
        run(plan, Trace::Off).violations.iter().any(|violation| violation.check == check)
    })
}

#[test]
fn every_defect_is_noticed() {
    for (sabotage, check) in Sabotage::ALL {
        assert!(is_noticed_by(sabotage, check), "{sabotage:?} goes unnoticed by {check:?}");
    }
}
