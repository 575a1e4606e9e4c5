//! Crates have a direction: what a crate may depend on is written down here, and nothing else compiles in.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each crate of ours with those it may use. Who is not here stands above all others and may use any.
const ARROWS: &[(&str, &[&str])] = &[
    ("noctule-cli", &["noctule-server", "noctule-client", "noctule-config", "noctule-selftest"]),
    (
        "noctule-server",
        &[
            "noctule-broker",
            "noctule-cluster",
            "noctule-storage",
            "noctule-persistence",
            "noctule-mosquitto-db",
            "noctule-config",
            "noctule-transport",
            "noctule-client",
            "noctule-protocol",
        ],
    ),
    ("noctule-client", &["noctule-transport", "noctule-protocol"]),
    ("noctule-broker", &["noctule-protocol"]),
    ("noctule-cluster", &["noctule-protocol"]),
    ("noctule-config", &["noctule-protocol"]),
    ("noctule-protocol", &[]),
    // It judges brokers by its own reading of the standard, so no mistake of ours can hide in it.
    ("noctule-selftest", &[]),
    ("noctule-transport", &[]),
    ("noctule-mosquitto-db", &[]),
    ("noctule-storage", &[]),
    // What the core and the store know of each other, for the product and the simulation alike.
    ("noctule-persistence", &["noctule-broker", "noctule-storage"]),
];

/// What each package of the workspace uses of ours, tests and build scripts included.
fn dependencies() -> BTreeMap<String, (bool, BTreeSet<String>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    packages
        .iter()
        .map(|package| {
            let uses = package["dependencies"].as_array().unwrap().iter();
            let ours = uses.filter(|dependency| dependency["path"].is_string());
            let in_crates = text(&package["manifest_path"]).contains("/crates/");
            (text(&package["name"]), (in_crates, ours.map(|dependency| text(&dependency["name"])).collect()))
        })
        .collect()
}

#[test]
fn arrows_point_down_only() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for (name, (in_crates, uses)) in dependencies() {
        match arrows.get(name.as_str()) {
            Some(allowed) => {
                for used in &uses {
                    assert!(
                        allowed.contains(&used.as_str()),
                        "{name} must not use {used}; data goes the other way, see ARCHITECTURE.md"
                    );
                }
            }
            None => assert!(!in_crates, "{name} has no row in the table of arrows"),
        }
    }
}

#[test]
fn the_table_itself_has_no_circle() {
    let mut below: Vec<&str> = Vec::new();
    let mut left: Vec<_> = ARROWS.to_vec();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|(name, uses)| {
            let stands = uses.iter().all(|used| below.contains(used));
            if stands {
                below.push(name);
            }
            !stands
        });
        assert!(left.len() < before, "these use each other: {left:?}");
    }
}
