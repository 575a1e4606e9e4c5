//! The ledger finds what a broker really loses: Debian's Mosquitto writes its database every half hour, and is killed.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::path::Path;
use std::process::Command;

#[test]
fn what_mosquitto_loses_at_kill_9_is_found() {
    let mosquitto = Path::new("/usr/sbin/mosquitto");
    assert!(mosquitto.exists(), "{} is missing; run tests/install", mosquitto.display());
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ledger"))
        .args(["--fault", "kill", "--rounds", "1", "--patience", "1", "--messages", "700", "--broker"])
        .arg(mosquitto)
        .env("TMPDIR", directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for expected in [" lost: ", " session: ", "default limits: drops: ", "faults found"] {
        assert!(said.contains(expected), "{expected:?} is not in:\n{said}");
    }
}
