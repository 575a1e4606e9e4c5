//! Where a broker that nobody told anything keeps its data.

use std::ffi::OsString;
use std::path::PathBuf;

/// The user's directory for state, as the XDG Base Directory Specification has it, and `noctule` in it. Paths that are
/// not absolute are passed over. `None` if the environment names no directory.
pub(super) fn state_directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(state?.join("noctule"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_users() {
        for (state, home, expected) in [
            (Some("/state"), Some("/home/a"), Some("/state/noctule")),
            (None, Some("/home/a"), Some("/home/a/.local/state/noctule")),
            (Some("state"), Some("/home/a"), Some("/home/a/.local/state/noctule")),
            (Some(""), Some(""), None),
            (None, None, None),
        ] {
            let variable = |name: &str| match name {
                "XDG_STATE_HOME" => state.map(OsString::from),
                "HOME" => home.map(OsString::from),
                _ => None,
            };
            assert_eq!(state_directory(variable), expected.map(PathBuf::from), "{state:?} {home:?}");
        }
    }
}
