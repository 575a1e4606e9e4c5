//! What an operator reads, word by word: ours, and what stands for it under the name `mosquitto`.

use std::io;
use std::path::{Path, PathBuf};

use noctule_config::{CommandLine, Diagnostic, Diagnostics, Loaded, Problem, directive, parse};

fn parsed(main: &[u8]) -> Result<Loaded, Diagnostics> {
    parse(&[(PathBuf::from("m.conf"), main)], &CommandLine::default())
}

fn told(result: &Result<Loaded, Diagnostics>) -> Vec<Diagnostic> {
    match result {
        Ok(loaded) => loaded.warnings.clone(),
        Err(diagnostics) => diagnostics.iter().cloned().collect(),
    }
}

#[test]
fn texts() {
    let unescaped =
        |text: &str| text.replace("\\t", "\t").replace("\\s", " ").replace("\\u{feff}", "\u{feff}");
    let mut cases = 0;
    for case in include_str!("diagnostics.txt").split("\n\n").filter(|case| case.starts_with("> ")) {
        let (mut main, mut expected) = (String::new(), Vec::new());
        for line in case.lines() {
            match (line.strip_prefix("> "), line.strip_prefix("  ")) {
                (Some(source), _) => main.extend([unescaped(source).as_str(), "\n"]),
                (None, Some(original)) => expected.push(format!("  {}", unescaped(original))),
                (None, None) => expected.push(line.to_owned()),
            }
        }
        let found: Vec<_> = told(&parsed(main.as_bytes()))
            .iter()
            .flat_map(|diagnostic| [diagnostic.to_string(), format!("  {}", diagnostic.problem.original)])
            .collect();
        assert_eq!(found, expected, "{main}");
        cases += 1;
    }
    assert!(cases > 100, "only {cases} cases were found in diagnostics.txt");
}

fn check(result: &Result<Loaded, Diagnostics>, ours: &[&str], original: &[&str]) {
    assert_eq!(told(result).iter().map(Diagnostic::to_string).collect::<Vec<_>>(), ours);
    if let Err(diagnostics) = result {
        assert_eq!(diagnostics.to_string(), ours.join("\n"));
        assert_eq!(diagnostics.original(), original);
    }
}

#[test]
fn all_mistakes_are_told_at_once_and_mosquitto_tells_the_first() {
    check(
        &parsed(b"foo 1\n# fine\nallow_anonymous maybe\nmax_qos 1\n"),
        &[
            "error: m.conf:1: unknown directive `foo`; remove it; docs/configuration.md lists all directives",
            "error: m.conf:3: `allow_anonymous` cannot be `maybe`; write `true` or `false`",
        ],
        &["Error: Unknown configuration variable 'foo'.", "Error found at m.conf:1."],
    );
}

#[test]
fn mosquitto_names_no_line_for_what_it_finds_later() {
    let result = parsed(b"listener 1\ncertfile a\n");
    let last = told(&result).pop().unwrap();
    let original = "Error: Both certfile and keyfile must be provided to enable a TLS listener.";
    assert_eq!(last.original(), [original]);
    assert_eq!(last.at.unwrap().line, 2);
}

#[test]
fn included_files_are_named_with_the_line_that_includes_them() {
    let main: &[u8] = b"# main\ninclude_dir conf.d\n";
    let included: &[u8] = b"\nfoo 1\n";
    let sources = [(PathBuf::from("m.conf"), main), (PathBuf::from("conf.d/a.conf"), included)];
    check(
        &parse(&sources, &CommandLine::default()),
        &[
            "error: conf.d/a.conf:2: unknown directive `foo`; remove it; docs/configuration.md lists all directives",
        ],
        &[
            "Error: Unknown configuration variable 'foo'.",
            "Error found at 'conf.d/a.conf:2'.",
            "Error found at m.conf:2.",
        ],
    );
}

#[test]
fn an_included_file_includes_nothing() {
    let main: &[u8] = b"include_dir a\n";
    let included: &[u8] = b"include_dir b\n";
    let sources = [(PathBuf::from("m.conf"), main), (PathBuf::from("a/a.conf"), included)];
    check(
        &parse(&sources, &CommandLine::default()),
        &["error: a/a.conf:1: `include_dir` stands in an included file; move it to the main file"],
        &[
            "Error: The include_dir option is only valid in the main configuration file.",
            "Error found at 'a/a.conf:1'.",
            "Error found at m.conf:1.",
        ],
    );
}

#[test]
fn a_directory_that_cannot_be_listed() {
    let reason = io::Error::from(io::ErrorKind::NotFound);
    check(
        &parsed(b"include_dir nowhere\n"),
        &[&format!(
            "error: m.conf:1: cannot list the directory `nowhere`: {reason}; check that it exists and that the \
             broker's user may read it"
        )],
        &["Error: Unable to open include_dir 'nowhere'.", "Error found at m.conf:1."],
    );
}

#[test]
fn lines_that_are_not_utf8() {
    for line in [b"pid_file gr\xfcn".as_slice(), b"gr\xfcn 1"] {
        let diagnostics = parsed(line).unwrap_err();
        let shown = String::from_utf8_lossy(line).replace("pid_file ", "").replace(" 1", "");
        check(
            &Err(diagnostics),
            &[&format!("error: m.conf:1: the line `{shown}` is not UTF-8; save the file as UTF-8")],
            &["Error: Malformed UTF-8 in configuration.", "Error found at m.conf:1."],
        );
    }
}

#[test]
fn text_longer_than_mqtt_allows() {
    let main = format!("pid_file {}\n", "x".repeat(65536));
    check(
        &parsed(main.as_bytes()),
        &["error: m.conf:1: the value of `pid_file` has 65536 bytes; 65535 are allowed; write a shorter one"],
        &["Error: the value of `pid_file` has 65536 bytes; 65535 are allowed.", "Error found at m.conf:1."],
    );
}

#[test]
fn values_are_shown_on_one_line() {
    let main = format!("allow_anonymous {}\x1b[2J\n", "ä".repeat(59));
    let shown = format!("{}\\u{{1b}}…", "ä".repeat(59));
    let ours = format!("error: m.conf:1: `allow_anonymous` cannot be `{shown}`; write `true` or `false`");
    assert_eq!(told(&parsed(main.as_bytes()))[0].to_string(), ours);
}

#[test]
fn files_that_are_too_large() {
    let main = "# a comment\n".repeat(400_000);
    check(
        &parsed(main.as_bytes()),
        &[
            "error: with `m.conf` the configuration has more than 4194304 bytes; name a configuration file; this \
           looks like something else",
        ],
        &["Error: with `m.conf` the configuration has more than 4194304 bytes."],
    );
}

#[test]
fn reading_stops_after_a_hundred_mistakes() {
    let diagnostics = parsed("x\n".repeat(1000).as_bytes()).unwrap_err();
    assert_eq!(diagnostics.iter().count(), Diagnostics::TOLD_MAX);
    assert!(diagnostics.to_string().ends_with("\nerror: and perhaps more; mend these first"));
    let loaded = parsed("retry_interval 1\n".repeat(1000).as_bytes()).unwrap();
    assert_eq!(loaded.warnings.len(), Diagnostics::TOLD_MAX);
}

#[test]
fn ports_of_the_command_line_beside_a_listener() {
    let command_line = CommandLine { ports: vec![1884], ..CommandLine::default() };
    check(
        &parse(&[(PathBuf::from("m.conf"), b"listener 1883")], &command_line),
        &[
            "warning: the ports of the command line have no effect: the file says where to listen; remove `-p`, or \
           write `listener` for each port",
        ],
        &[],
    );
}

/// The line is about a feature that is refused as a whole, so what is odd about it is seen in its value only.
fn odd(line: &str, ours: &str, original: &str) {
    let (name, rest) = line.split_once(' ').expect("a name and a value");
    let mut notes: Vec<Problem> = Vec::new();
    let directive = directive::find(name).expect("a row of the table");
    directive.takes.parse(name, rest, &mut notes).expect("a value");
    let found: Vec<_> = notes
        .iter()
        .map(|note| (format!("{}: {}; {}", note.severity, note.what, note.mend), note.original.as_str()))
        .collect();
    assert_eq!(found, [(ours.to_owned(), original)]);
}

#[test]
fn numbers_that_are_moved_into_their_bounds() {
    odd(
        "idle_timeout 0",
        "notice: `idle_timeout` is 0, which is too low: 1 is used; write at least 1",
        "idle_timeout interval too low, using 1 second.",
    );
    odd(
        "threshold 0",
        "notice: `threshold` is 0, which is too low: 1 is used; write at least 1",
        "threshold too low, using 1 message.",
    );
    odd(
        "keepalive_interval 4",
        "notice: `keepalive_interval` is 4, which is too low: 5 is used; write at least 5",
        "keepalive interval too low, using 5 seconds.",
    );
    odd(
        "restart_timeout 0",
        "notice: `restart_timeout` is 0, which is too low: 1 is used; write at least 1",
        "restart_timeout interval too low, using 1 second.",
    );
    odd(
        "restart_timeout 4000",
        "notice: `restart_timeout` is 4000, which is too high: 3600 is used; write at most 3600",
        "restart_timeout interval too high, using 3600 seconds.",
    );
    odd(
        "restart_timeout 5 8000",
        "notice: the longest wait of `restart_timeout` is 8000, which is too high: 7200 is used; write at most 7200",
        "Error: backoff cap too high, using 7200 seconds.",
    );
    odd(
        "retain_expiry_interval 20000000",
        "warning: `retain_expiry_interval` is 20000000, which is too high: 10000000 is used; write at most 10000000",
        "Warning: retain_expiry_interval being capped at 19 years.",
    );
}

#[test]
fn the_main_file_must_be_readable() {
    let load = |path: &str| noctule_config::load(Some(Path::new(path)), &CommandLine::default());
    let reason = io::Error::from_raw_os_error(2);
    check(
        &load("/nonexistent/m.conf"),
        &[&format!(
            "error: cannot read `/nonexistent/m.conf`: {reason}; check that it exists and that the broker's user may \
             read it"
        )],
        &["Error: Unable to open config file '/nonexistent/m.conf'."],
    );
    check(
        &load("/"),
        &["error: `/` is a directory; name a file; the files of a directory are read by `include_dir`"],
        &["Error: Config file '/' is a directory."],
    );
}

#[test]
fn files_of_access_control_are_told_with_their_own_lines() {
    let main: &[u8] = b"listener 1\nacl_file acl\npassword_file pw\nlistener 2\nmax_qos 3\n";
    let sources: [(PathBuf, &[u8]); 3] = [
        ("m.conf".into(), main),
        ("acl".into(), b"user a\ntopic reed b\ntopic read b/#/c\n"),
        ("pw".into(), b"a:secret\n"),
    ];
    let result = parse(&sources, &CommandLine::default());
    check(
        &result,
        &[
            "error: m.conf:5: `max_qos` cannot be 3; write a number between 0 and 2",
            "error: acl:2: `reed` is no access; write `read`, `write`, `readwrite` or `deny` in front of the topic; a topic \
             with blanks needs one of them",
            "error: acl:3: `b/#/c` is no topic filter; `+` and `#` must be whole levels, `#` the last one; at most 201 \
             levels and 65535 bytes",
        ],
        &["Error: 'max_qos' must be between 0 and 2 inclusive.", "Error found at m.conf:5."],
    );
    let last = told(&result).pop().unwrap();
    let original =
        ["Error: Invalid ACL topic \"b/#/c\" in acl_file \"acl\".", "Error opening acl file \"acl\"."];
    assert_eq!(last.original(), original);
}

#[test]
fn a_password_that_is_not_hashed_is_told_and_not_shown() {
    let sources: [(PathBuf, &[u8]); 2] =
        [("m.conf".into(), b"listener 1\npassword_file pw\n"), ("pw".into(), b"# c\na:secret\n")];
    check(
        &parse(&sources, &CommandLine::default()),
        &[
            "warning: pw:2: the password of user `a` is not hashed, so this user cannot log in; `mosquitto_passwd -U` \
           hashes all passwords of such a file",
        ],
        &[],
    );
}

#[test]
fn a_file_of_several_listeners_is_told_once() {
    let main: &[u8] =
        b"per_listener_settings true\nlistener 1\nacl_file acl\nlistener 2\nacl_file acl\nacl_file acl\n";
    let sources: [(PathBuf, &[u8]); 2] = [("m.conf".into(), main), ("acl".into(), b"foo\n")];
    let ours: Vec<_> =
        told(&parse(&sources, &CommandLine::default())).iter().map(Diagnostic::to_string).collect();
    assert_eq!(ours, ["error: acl:1: `foo` begins no rule; a line begins with `user`, `topic` or `pattern`"]);
}
