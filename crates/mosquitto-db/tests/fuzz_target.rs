//! Does what the fuzz target does on the stable compiler: over its seeds, and over damaged seeds.

use std::fs;
use std::path::Path;

use noctule_mosquitto_db::read_snapshot;
use proptest::prelude::*;
use proptest::sample::Index;

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/mosquitto_db");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("seeds").map(|entry| entry.expect("a seed").path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).expect("a seed")).collect()
}

#[test]
fn every_seed_is_whole() {
    let seeds = seeds();
    assert!(seeds.len() >= 5);
    for seed in seeds {
        let contents = read_snapshot(&seed[..]).expect("a whole database");
        let counts = [contents.clients.len(), contents.messages.len(), contents.copies.len()];
        assert_eq!((counts, contents.left_out.total()), ([1; 3], 0));
    }
}

proptest! {
    #[test]
    fn damaged_seeds_do_not_panic(
        seed: Index,
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8),
        length: Index,
    ) {
        let mut bytes = seed.get(&seeds()).clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(length.index(bytes.len() * 2));
        let _ = read_snapshot(&bytes[..]);
    }
}
