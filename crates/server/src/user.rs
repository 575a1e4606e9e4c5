//! Becoming an unprivileged user (`user`) after having been started as root, in Mosquitto's words.

use std::ffi::CString;

use nix::unistd::{User, geteuid, initgroups, setgid, setuid};

use noctule_config::LogType;

use crate::error::StartError;
use crate::program::Program;

/// What Mosquitto becomes when its file names nobody.
const DEFAULT_USER: &str = "mosquitto";

/// With its first letter large.
fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Becomes the named user if this process is root's. Called as `mosquitto` there is a default; `noctule` then stays
/// who it is. To be called before the log is opened, whose file is then that user's; what is to be logged is added to
/// `lines`.
pub(crate) fn become_user(
    named: Option<&str>,
    program: Program,
    lines: &mut Vec<(LogType, String)>,
) -> Result<(), StartError> {
    let named = match (named, program) {
        (Some(name), _) => name,
        (None, Program::Mosquitto) => DEFAULT_USER,
        (None, Program::Noctule) => return Ok(()),
    };
    if geteuid().is_root() && named == "root" {
        let line = format!("Warning: {} should not be run as root/administrator.", capital(program.name()));
        lines.push((LogType::Warning, line));
    }
    if !geteuid().is_root() || named == "root" {
        return Ok(());
    }
    let user = match find(named)? {
        Some(user) => user,
        None if named == DEFAULT_USER => {
            let line = format!(
                "Warning: Unable to drop privileges to '{named}' because this user does not exist. Trying 'nobody' instead."
            );
            lines.push((LogType::Error, line));
            find("nobody")?
                .ok_or_else(|| StartError::User("Error: Unable to drop privileges to 'nobody'.".to_owned()))?
        }
        None => {
            let text = "because this user does not exist.";
            return Err(StartError::User(format!("Error: Unable to drop privileges to '{named}' {text}")));
        }
    };
    let failed = |what: &str, error: nix::Error| {
        StartError::User(format!("Error setting {what} whilst dropping privileges: {}.", error.desc()))
    };
    // A name from the user database holds no NUL.
    let name = CString::new(user.name.as_str()).unwrap_or_default();
    initgroups(&name, user.gid).map_err(|error| failed("groups", error))?;
    setgid(user.gid).map_err(|error| failed("gid", error))?;
    setuid(user.uid).map_err(|error| failed("uid", error))?;
    lines.push((LogType::Information, format!("Info: running {} as user: {}.", program.name(), user.name)));
    Ok(())
}

fn find(name: &str) -> Result<Option<User>, StartError> {
    User::from_name(name).map_err(|error| {
        StartError::User(format!("Error: Unable to look up user '{name}': {}.", error.desc()))
    })
}
