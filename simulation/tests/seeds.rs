//! Seeds keep every promise, and each is one history.
//!
//! `SEED=123 cargo test -p simulation seeds -- --nocapture` replays one and prints what happens.

use simulation::{Outcome, Plan, Tally, Trace, run};

/// In the ordinary test run; `cargo run --release -p simulation -- --seeds 10000` is the long one.
const SEEDS: u64 = 300;

fn assert_kept(seed: u64, outcome: &Outcome) {
    if let Some(first) = outcome.violations.first() {
        panic!(
            "seed {seed} failed, {}: {}; replay: cargo run -p simulation -- --seed {seed} --trace",
            first.check, first.what
        );
    }
}

// What its checks hold the broker to, through crashes, take-overs and lost connections; `checks.rs` shows that each can fail.
#[test] // [MQTT-4.5.0-1] [MQTT311-4.5.0-1] [MQTT-3.3.2-3] [MQTT311-3.3.2-3] [MQTT-4.3.3-10] [MQTT-4.6.0-5] [MQTT311-4.6.0-6] [MQTT-3.3.1-9] [MQTT-3.1.2-8] [MQTT-3.14.4-3] [MQTT-3.3.4-9] [MQTT-3.1.2-24]
fn seeds_keep_every_promise() {
    if let Ok(seed) = std::env::var("SEED") {
        let seed = seed.parse().expect("SEED is a number");
        return assert_kept(seed, &run(Plan::of(seed), Trace::Printed));
    }
    let mut total = Tally::default();
    for seed in 0..SEEDS {
        let outcome = run(Plan::of(seed), Trace::Off);
        assert_kept(seed, &outcome);
        total.add(outcome.tally);
    }
    // Something must have happened.
    assert!(total.published > 50_000 && total.received > 50_000, "{total:?}");
    assert!(total.links > 5000 && total.restarts > 300, "{total:?}");
}

#[test]
fn a_seed_is_one_history() {
    let hash = |seed| run(Plan::of(seed), Trace::Hashed(0)).hash;
    let hashes: Vec<_> = (0..20).map(hash).collect();
    assert_eq!(hashes, (0..20).map(hash).collect::<Vec<_>>());
    let different: std::collections::BTreeSet<_> = hashes.iter().collect();
    assert_eq!(different.len(), hashes.len());
}
