//! What the command line is answered.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{BINARY, link, run, write_config};

#[test]
fn called_as_mosquitto_it_speaks_as_mosquitto() {
    let directory = tempfile::tempdir().unwrap();
    let mosquitto = link(directory.path(), "mosquitto");
    let version = concat!("2.1.2 (noctule ", env!("CARGO_PKG_VERSION"), ")");

    let output = run(&mosquitto, &["--version"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("mosquitto {version}\n"));
    assert_eq!(output.status.code(), Some(0));

    let output = run(&mosquitto, &["-h"]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.starts_with(&format!("mosquitto version {version}\n")), "{help}");
    assert!(help.contains("\nUsage: mosquitto [-c config_file] [-d] [-h] [-p port] [-v]\n"), "{help}");
    assert_eq!(output.status.code(), Some(0));

    let output = run(&mosquitto, &["--unknown"]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "Error: Unknown option '--unknown'.\n");
    assert_eq!(output.status.code(), Some(3));

    let output = run(&mosquitto, &["-p", "0"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.ends_with(": Error: Invalid port specified (0).\n"), "{errors}");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_configuration_can_be_tested() {
    let directory = tempfile::tempdir().unwrap();
    let mosquitto = link(directory.path(), "mosquitto");
    let file = write_config(directory.path(), "listener 1883\n");
    let file = file.to_str().unwrap();

    let output = run(&mosquitto, &["-c", file, "--test-config"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.ends_with(": Configuration file is OK.\n"), "{errors}");
    assert_eq!(output.status.code(), Some(0));
    let output = run(Path::new(BINARY), &["broker", "--config-file", file, "--test-config"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "Configuration file is OK.\n");
    assert_eq!(output.status.code(), Some(0));

    fs::write(file, "listener 1883\nnonsense 1\n").unwrap();
    let output = run(&mosquitto, &["-c", file, "--test-config"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains(": Error: Unknown configuration variable 'nonsense'.\n"), "{errors}");
    assert!(errors.contains(&format!(": Error found at {file}:2.\n")), "{errors}");
    // How to mend it is on a further line.
    assert!(errors.contains(&format!(": error: {file}:2: unknown directive `nonsense`; ")), "{errors}");
    assert_eq!(output.status.code(), Some(3));
    let output = run(Path::new(BINARY), &["broker", "-c", file, "--test-config"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.starts_with(&format!("error: {file}:2: ")), "{errors}");
    assert_eq!(output.status.code(), Some(3));
}

/// Exit codes are the answer even where no word arrives.
#[test]
fn nobody_need_read_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let file = write_config(directory.path(), "listener 1883\n");
    let file = file.to_str().unwrap();
    let mosquitto = link(directory.path(), "mosquitto");
    let noctule = Path::new(BINARY);
    for (program, arguments, code) in [
        (noctule, &["broker", "-c", file, "--test-config"][..], 0),
        (noctule, &["broker", "-c", "/nonexistent"], 3),
        (noctule, &["broker", "-p", "http"], 2),
        (noctule, &["--help"], 0),
        (&mosquitto, &["-c", file, "--test-config"], 0),
        (&mosquitto, &["-c", "/nonexistent"], 3),
        (&mosquitto, &["--nonsense"], 3),
        (&mosquitto, &["-h"], 0),
        (&mosquitto, &["--version"], 0),
    ] {
        // Pipes that nobody reads from any more.
        let closed = || std::io::pipe().unwrap().1;
        let status = Command::new(program).args(arguments).stdout(closed()).stderr(closed()).status();
        assert_eq!(status.unwrap().code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn help_names_the_commands() {
    let output = run(Path::new(BINARY), &["help"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("broker"));
    let output = run(Path::new(BINARY), &["--version"]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        concat!("noctule ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert_eq!(run(Path::new(BINARY), &["brokre"]).status.code(), Some(2));
}
