//! Runs the fuzz targets on the stable compiler: over their seeds, over damaged seeds, and over any bytes.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

#[allow(unreachable_pub, reason = "public in the fuzz crate")]
#[path = "../../../fuzz/src/protocol.rs"]
mod targets;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 3] = [
    ("frame", targets::frame),
    ("packet", targets::packet),
    ("client_connection", targets::client_connection),
];

#[allow(clippy::disallowed_methods, reason = "the seeds are files")]
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("seeds").map(|entry| entry.expect("a seed").path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).expect("a seed")).collect()
}

#[test]
fn seeds_do_not_panic() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has seeds");
        seeds.iter().for_each(|seed| target(seed));
    }
}

proptest! {
    #[test]
    fn any_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..300)) {
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }

    #[test]
    fn damaged_seeds_do_not_panic(
        seed in any::<Index>(),
        tail in any::<Index>(),
        damage in vec((any::<Index>(), any::<u8>()), 0..5),
    ) {
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            // One seed and the steps of another, so that scripts grow longer than they were written.
            let mut bytes = seed.get(&seeds).clone();
            bytes.extend_from_slice(&tail.get(&seeds)[1..]);
            for &(at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            target(&bytes);
        }
    }
}
