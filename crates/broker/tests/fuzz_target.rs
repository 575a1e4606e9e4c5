//! Runs the fuzz target on the stable compiler: over its seeds, over damaged seeds, and over any bytes.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

#[allow(unreachable_pub, reason = "public in the fuzz crate")]
#[path = "../../../fuzz/src/broker.rs"]
mod target;

#[allow(clippy::disallowed_methods, reason = "the seeds are files")]
fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/connection");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("seeds").map(|entry| entry.expect("a seed").path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).expect("a seed")).collect()
}

#[test]
fn seeds_do_not_panic() {
    let seeds = seeds();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| target::connection(seed));
}

proptest! {
    #[test]
    fn any_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..300)) {
        target::connection(&bytes);
    }

    #[test]
    fn damaged_seeds_do_not_panic(
        parts in vec(any::<Index>(), 1..5),
        damage in vec((any::<Index>(), any::<u8>()), 0..8),
    ) {
        let seeds = seeds();
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.get(&seeds).clone()).collect();
        for &(at, byte) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        target::connection(&bytes);
    }
}
