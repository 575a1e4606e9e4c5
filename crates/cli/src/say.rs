//! Words for people. Nobody may be reading them (a closed pipe, a full disk), and that is no reason to fail.

use std::io::{self, Write};

/// Writes to standard output.
pub(crate) fn say(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes a line to standard error.
pub(crate) fn complain(line: &str) {
    // In one piece, so that it stays together with other processes writing there.
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}
