//! Realistic configurations: Debian's Mosquitto and the broker under test are started on each, and asked the same
//! things by Debian's clients. They must do the same, but for what [`accepted`] lists.

mod accepted;
mod page;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use e2e::environment;
use e2e::side_by_side::{Difference, differences};

use accepted::{ACCEPTED, Accepted, explained};

/// A test for each folder of `tests/configurations`.
macro_rules! configurations {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            same(stringify!($name));
        })*
    };
}

configurations! {
    address_families
    anonymous_and_users
    anonymous_off_without_users
    blanks_and_comments
    bridge_to_cloud
    camera_pictures
    clients_after_reload
    closed_house
    comment_behind_a_number
    connections_counted
    debian_default
    deprecated_words
    duplicates
    edge_device
    empty_file
    home_assistant
    identifier_prefix
    identifiers
    included_files
    keep_alive_limit
    limits_reloaded
    localhost_and_network
    log_little
    log_nowhere
    log_to_file
    message_size
    mistake_bad_boolean
    mistake_bad_number
    mistake_bridge_option
    mistake_capital
    mistake_certificate_without_key
    mistake_expiration
    mistake_in_included_file
    mistake_in_rights
    mistake_in_rights_word
    mistake_in_users
    mistake_indented_comment
    mistake_log_destination
    mistake_log_type
    mistake_missing_include_dir
    mistake_nested_include
    mistake_no_port
    mistake_no_value
    mistake_option_before_listener
    mistake_per_listener_after_listener
    mistake_per_listener_too_late
    mistake_plain_password
    mistake_plugin_missing
    mistake_port_too_high
    mistake_qos_of_three
    mistake_rights_missing
    mistake_said_twice
    mistake_tab
    mistake_tiny_packets
    mistake_unknown_directive
    mistake_unknown_user
    mistake_users_missing
    mistake_wildcard_mount
    monitoring
    mount_points
    mount_points_and_rights
    name_is_identifier
    no_duplicates
    no_listener
    nothing_retained
    numbers_in_c
    only_in_two_one
    open_house
    packet_size
    per_listener
    per_listener_two_sites
    persistent
    pid_file
    port_and_bind_address
    port_only
    qos_one_at_most
    qos_zero_only
    queue_in_bytes
    queue_of_three
    queue_qos_zero
    retained_source_checked
    retained_source_unchecked
    retained_source_unsaid
    rights_and_no_file_of_users
    rights_by_pattern
    rights_denied
    rights_of_the_nameless
    sessions_that_expire
    two_default_ports
    upgraded_qos
    users_and_rights
    users_in_local_mode
    users_reloaded
    users_without_anonymous_word
    websockets
    windows_line_ends
    zigbee2mqtt
}

/// The brokers do the same on this configuration, but for what is accepted; and that they do otherwise.
#[track_caller]
fn same(name: &str) {
    let folder = environment::configurations().join(name.replace('_', "-"));
    let accepted: Vec<&Accepted> =
        ACCEPTED.iter().filter(|accepted| accepted.configuration == name.replace('_', "-")).collect();
    let found = differences(&folder, |difference| explained(difference, &accepted).0.is_none());
    let mut unexpected = Vec::new();
    let mut seen = Vec::new();
    for difference in &found {
        let (rest, known) = explained(difference, &accepted);
        unexpected.extend(rest);
        seen.extend(known);
    }
    let mut report = String::new();
    for Difference { step, theirs, ours } in &unexpected {
        let lines = |seen: &[String]| seen.iter().map(|line| format!("\n    {line}")).collect::<String>();
        let step = step.replace(" | ", "\n | ");
        let _ = write!(report, "\n{step}\n  Mosquitto:{}\n  ours:{}", lines(theirs), lines(ours));
    }
    assert!(unexpected.is_empty(), "Mosquitto and the broker under test differ:{report}");
    for accepted in accepted {
        let is_seen = seen.iter().any(|seen| std::ptr::eq(*seen, accepted));
        assert!(is_seen, "the brokers no longer differ as accepted; remove it from the table: {accepted:?}");
    }
}

#[test]
fn every_folder_has_its_test() {
    let folders: BTreeSet<String> = std::fs::read_dir(environment::configurations())
        .expect("the folder is part of the sources")
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let tests: BTreeSet<String> = NAMES.iter().map(|name| name.replace('_', "-")).collect();
    assert_eq!(folders, tests, "left: the folders of tests/configurations, right: the tests here");
    for accepted in ACCEPTED {
        assert!(folders.contains(accepted.configuration), "there is no such folder: {accepted:?}");
    }
}
