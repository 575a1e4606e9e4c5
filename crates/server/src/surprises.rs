//! What is allowed but may surprise whoever wrote the configuration: told at the start and after a reload.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use nix::unistd::{AccessFlags, Uid, User, access, geteuid};
use noctule_config::{Config, ListenAddress, Listener, Persistence};

/// A warning for each surprise. To be asked as the user that the broker runs as.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for listener in &config.listeners {
        if refuses_everybody(listener) {
            warnings.push(refusal(config, listener));
        } else if listener.accepts_anonymous() && is_public(&listener.address) {
            warnings.push(format!(
                "Warning: Everybody who reaches {} may connect without a password, as it accepts anonymous clients. \
                 If not all of them are trusted, write 'allow_anonymous false' and a 'password_file', or listen on 127.0.0.1.",
                named(listener)
            ));
        }
    }
    if config.local_only {
        // Two listeners that no line has opened, with the same to tell.
        warnings.dedup();
    }
    let Persistence { enabled, autosave_interval, autosave_on_changes, .. } = &config.persistence;
    let unsaid = Persistence::default();
    if *enabled
        && (*autosave_interval, *autosave_on_changes)
            != (unsaid.autosave_interval, unsaid.autosave_on_changes)
    {
        warnings.push(
            "Warning: 'autosave_interval' and 'autosave_on_changes' have nothing to say: all is saved when it is \
             acknowledged."
                .to_owned(),
        );
    }
    for path in access_files(config) {
        warnings.extend(about_file(path));
    }
    warnings
}

/// Whether nobody can ever come in there.
fn refuses_everybody(listener: &Listener) -> bool {
    !listener.accepts_anonymous() && listener.password_file.as_ref().is_none_or(|file| file.is_empty())
}

fn refusal(config: &Config, listener: &Listener) -> String {
    let (mut what, mut mend) = (String::new(), String::new());
    // Writing to a String cannot fail.
    let _ = match &listener.password_file {
        Some(file) => {
            let path = file.path().display();
            let _ = write!(what, "no user of '{path}' can log in");
            write!(mend, "add one with 'mosquitto_passwd {path} NAME'")
        }
        None => {
            what.push_str("there is no 'password_file'");
            write!(mend, "name a 'password_file' to let its users in")
        }
    };
    mend.push_str(", or write 'allow_anonymous true' to let everybody in");
    if !config.local_only {
        mend.push_str(
            ", or remove every 'listener', so that only programs on this machine can connect, without a password",
        );
    }
    let listener = named(listener);
    format!(
        "Warning: Every client is refused at {listener}: it accepts no anonymous clients, and {what}. Mend it so: {mend}."
    )
}

fn named(listener: &Listener) -> String {
    let ListenAddress { host, port, .. } = &listener.address;
    match (&listener.defined_at, host) {
        (Some(at), _) => format!("port {port} (listener at {at})"),
        (None, _) => format!("port {port}"),
    }
}

/// Whether others than this machine's programs can reach it.
fn is_public(address: &ListenAddress) -> bool {
    let Some(host) = &address.host else { return true };
    match host.parse::<IpAddr>() {
        Ok(address) => !address.is_loopback(),
        // Other names are not resolved: that can take long, and they may mean something else tomorrow.
        Err(_) => host != "localhost",
    }
}

/// The files that decide who gets in and who may do what, each once.
fn access_files(config: &Config) -> Vec<&Path> {
    let mut paths = Vec::new();
    for listener in &config.listeners {
        let passwords = listener.password_file.as_deref().map(|file| file.path());
        let acl = listener.acl_file.as_deref().map(|file| file.path());
        paths.extend([passwords, acl].into_iter().flatten());
    }
    paths.sort();
    paths.dedup();
    paths
}

fn about_file(path: &Path) -> Vec<String> {
    let shown = path.display();
    let mut warnings = Vec::new();
    if let Ok(metadata) = fs::metadata(path) {
        let others = metadata.permissions().mode() & 0o007;
        if others & 0o002 != 0 {
            warnings.push(format!(
                "Warning: Every user of this machine can change '{shown}', and so let anybody in. To mend it: chmod o= '{shown}'"
            ));
        } else if others != 0 {
            warnings.push(format!(
                "Warning: Every user of this machine can read '{shown}'. To mend it: chmod o= '{shown}'"
            ));
        }
        let owner = Uid::from_raw(metadata.uid());
        // Root can do everything anyway.
        if owner != geteuid() && !owner.is_root() {
            let (owner, own) = (user_name(owner), user_name(geteuid()));
            warnings.push(format!(
                "Warning: '{shown}' belongs to '{owner}', who can change it and so let anybody in. To mend it: chown {own} '{shown}'"
            ));
        }
    }
    if access(path, AccessFlags::R_OK).is_err() {
        let own = user_name(geteuid());
        warnings.push(format!(
            "Warning: '{shown}' was read at the start, but user '{own}' cannot read it, so no reload (SIGHUP) can succeed."
        ));
    }
    warnings
}

fn user_name(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => uid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use noctule_config::{CommandLine, load, parse};

    use super::*;

    /// The warnings about these lines, where `users` is a file with a user and `nobody` one without.
    fn told(text: &str) -> Vec<String> {
        let user = format!("a:$6$AAAA${}==", "A".repeat(86));
        let sources: [(PathBuf, &[u8]); 3] = [
            ("m.conf".into(), text.as_bytes()),
            ("users".into(), user.as_bytes()),
            ("nobody".into(), b"a:plain"),
        ];
        let config = parse(&sources, &CommandLine::default()).unwrap().config;
        // Sources in memory belong to nobody.
        warnings(&config).into_iter().filter(|warning| !warning.contains("cannot read it")).collect()
    }

    #[track_caller]
    fn tells(text: &str, parts: &[&str]) {
        let told = told(text);
        assert_eq!(told.len(), 1, "{text:?}: {told:#?}");
        for part in parts {
            assert!(told[0].contains(part), "{part:?} is missing in {}", told[0]);
        }
    }

    #[test]
    fn nothing_is_told_of_what_surprises_nobody() {
        for text in [
            "",
            "listener 1 127.0.0.1\nallow_anonymous true",
            "listener 1 ::1\nallow_anonymous true",
            "listener 1 localhost\nallow_anonymous true",
            "listener 1\npassword_file users",
        ] {
            let told = told(text);
            assert!(told.is_empty(), "{text:?}: {told:?}");
        }
    }

    #[test]
    fn a_listener_that_refuses_everybody() {
        tells(
            "listener 1",
            &[
                "port 1 (listener at m.conf:1)",
                "name a 'password_file'",
                "allow_anonymous true",
                "remove every",
            ],
        );
        tells(
            "listener 1 127.0.0.1\npassword_file nobody",
            &["no user of 'nobody' can log in", "mosquitto_passwd nobody"],
        );
        tells(
            "listener 1 127.0.0.1\nlistener_allow_anonymous false\nallow_anonymous true",
            &["Every client is refused"],
        );
        assert_eq!(
            told("listener 1\nlistener 2\nlistener 3 127.0.0.1\nlistener_allow_anonymous true").len(),
            2
        );
        let local = told("allow_anonymous false");
        assert!(local.len() == 1 && !local[0].contains("remove every"), "{local:?}");
    }

    #[test]
    fn everybody_may_come_in_from_outside() {
        for listener in ["listener 1", "listener 1 0.0.0.0", "listener 1 ::", "listener 1 192.0.2.1"] {
            tells(&format!("{listener}\nallow_anonymous true\npassword_file users"), &["without a password"]);
        }
    }

    #[test]
    fn files_that_others_can_read_or_change() {
        let directory = tempfile::tempdir().unwrap();
        let (main, users) = (directory.path().join("m.conf"), directory.path().join("users"));
        fs::write(&main, format!("listener 1\npassword_file {0}\nacl_file {0}", users.display())).unwrap();
        fs::write(&users, "# nobody\n").unwrap();
        let told = |mode: u32| -> Vec<String> {
            fs::set_permissions(&users, fs::Permissions::from_mode(mode)).unwrap();
            let config = load(Some(&main), &CommandLine::default()).unwrap().config;
            warnings(&config).into_iter().filter(|warning| warning.contains("chmod")).collect()
        };
        assert_eq!((told(0o600).len(), told(0o640).len()), (0, 0));
        assert!(matches!(&told(0o644)[..], [one] if one.contains("can read")));
        assert!(matches!(&told(0o666)[..], [one] if one.contains("can change")));
    }
}
