//! Every check can fail: what is broken on purpose is noticed, by the check that is there for it.

use simulation::{Plan, Sabotage, Trace, run};

/// A defect that needs a rare occasion may take so many seeds to show.
const SEEDS: u64 = 200;

/// By which seed.
fn noticed_by(sabotage: Sabotage, check: &str) -> Option<u64> {
    (0..SEEDS).find(|&seed| {
        let mut plan = Plan::of(seed);
        plan.sabotage = Some(sabotage);
        run(plan, Trace::Off).violations.iter().any(|violation| violation.check == check)
    })
}

#[test]
fn every_defect_is_noticed() {
    for (sabotage, check) in Sabotage::ALL {
        let seed = noticed_by(sabotage, check);
        let seed = seed.unwrap_or_else(|| panic!("{sabotage:?} goes unnoticed by {check:?}"));
        println!("{sabotage:?} is noticed by {check:?} with seed {seed}");
    }
}
