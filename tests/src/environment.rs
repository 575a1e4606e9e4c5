//! Where the programs are: the broker under test, and the clients that `tests/install` brings.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The broker's program: what `NOCTULE_E2E_BROKER` names, else `noctule`, built now in this test's profile.
pub fn broker() -> &'static Path {
    static BROKER: OnceLock<PathBuf> = OnceLock::new();
    BROKER.get_or_init(|| match env::var_os("NOCTULE_E2E_BROKER") {
        Some(program) => installed(PathBuf::from(program), "name an existing program in NOCTULE_E2E_BROKER"),
        None => build(),
    })
}

/// What this program's configuration says in every test: clients are spread over the event loops from the first one on,
/// so that the few of a test are on several; and what `NOCTULE_E2E_CONFIG` adds, such as `worker_threads 3`.
pub fn config_of(program: &Path) -> String {
    if program.file_stem().is_none_or(|name| name != "noctule") {
        return String::new();
    }
    config_of_ours()
}

/// [`config_of`] the broker under test.
pub fn config_of_ours() -> String {
    let more = env::var("NOCTULE_E2E_CONFIG").unwrap_or_default();
    format!("worker_connections_min 1\n{more}")
}

/// Debian's Mosquitto, as a peer.
pub fn debian_mosquitto() -> PathBuf {
    client("/usr/sbin/mosquitto")
}

/// A program or file of Debian's packages, or one below `tests/.environment` if the path is relative.
///
/// # Panics
/// If it is missing: a test that cannot run has failed.
pub fn client(path: impl AsRef<Path>) -> PathBuf {
    installed(
        tests().join(".environment").join(path),
        "run tests/install, which installs every client the tests need",
    )
}

/// The folder with the configurations that brokers are compared on.
pub fn configurations() -> PathBuf {
    tests().join("configurations")
}

/// A file of the documentation.
pub fn documentation(name: &str) -> PathBuf {
    tests().join("../docs").join(name)
}

/// A file of the folder `tests/clients`.
pub fn source(path: impl AsRef<Path>) -> PathBuf {
    tests().join("clients").join(path)
}

fn tests() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn installed(path: PathBuf, mend: &str) -> PathBuf {
    assert!(path.exists(), "{} is missing; {mend}", path.display());
    path
}

/// Builds `noctule` beside this test program, so that no test ever runs a binary older than the sources.
fn build() -> PathBuf {
    let this = env::current_exe().expect("a running program has a path");
    // target/PROFILE/deps/e2e-HASH
    let profile = this.parent().and_then(Path::parent).expect("cargo puts tests in target/PROFILE/deps");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "noctule-cli"]).current_dir(tests());
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo runs, for it started this test");
    assert!(status.success(), "cargo build --package noctule-cli failed");
    installed(profile.join("noctule"), "set NOCTULE_E2E_BROKER to the broker's program")
}
