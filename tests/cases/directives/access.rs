//! Who may come in, and what he may do there.

use super::matrix;
use super::row::{bad, file, file_and, not_yet, seen};
use super::view;

macro_rules! open {
    ($lines:literal) => {
        concat!("listener PORT 127.0.0.1\nallow_anonymous true\n", $lines)
    };
}

/// `secret`
const ALICE: &str = "alice:$7$101$+d7HF/QgxfaE1/+v$36wiMH+yxQlSs8Jy+r+U+WQ1BIP1wtHmyV35dXIxIpekph53s6pPWIiG2mODb+mR2gfgpwq++1n776rLokf/DQ==\n";
/// `builder`
const BOB: &str = "bob:$7$101$V91TY2nJ5umZ9TwV$vdfyoLpBHnlp/JOZqb6GVEa5YncBki91MC9q2wd+SjaURFwN1xty9KoYxWvQTqS5TN6l49LZ32pchc02Fz3YrQ==\n";

const RIGHTS: &[(&str, &str)] = &[("acl", "user alice\ntopic lamp\nuser bob\ntopic lamp\n")];

const TWO_ADDRESSES: &str = "listener PORT 127.0.0.1\nallow_anonymous true\nlistener PORT ::1";

matrix! {
    acl_file:
        seen(
            view::publishing_to_lamp,
            file_and(open!("acl_file DIR/acl"), &[("acl", "topic read lamp\n")], "refused with 0x87"),
            file_and(open!("acl_file DIR/acl"), &[("acl", "topic readwrite lamp\n")], "accepted"),
        ),
        [
            bad("acl_file", "`acl_file` has no value"),
            bad("acl_file DIR/absent", "/absent"),
        ];

    allow_anonymous:
        seen(
            view::anonymous,
            file("listener PORT 127.0.0.1", "refused with 0x87"),
            file("listener PORT 127.0.0.1\nallow_anonymous true", "accepted"),
        ),
        [bad("allow_anonymous yes", "`allow_anonymous` cannot be `yes`; write `true` or `false`")];

    listener_allow_anonymous:
        seen(
            view::anonymous,
            file("listener PORT 127.0.0.1", "refused with 0x87"),
            file("listener PORT 127.0.0.1\nlistener_allow_anonymous true", "accepted"),
        ),
        [
            bad("listener 1\nlistener_allow_anonymous 2", "`listener_allow_anonymous` cannot be `2`"),
            bad("listener_allow_anonymous true", "stands before any `listener`"),
        ];

    allow_zero_length_clientid:
        seen(
            view::without_identifier,
            file("listener PORT 127.0.0.1\nallow_anonymous true", "accepted"),
            file(
                "listener PORT 127.0.0.1\nallow_anonymous true\nallow_zero_length_clientid false",
                "refused with 0x2",
            ),
        ),
        [bad("allow_zero_length_clientid no", "`allow_zero_length_clientid` cannot be `no`")];

    auto_id_prefix:
        seen(
            view::assigned_prefix,
            file("listener PORT 127.0.0.1\nallow_anonymous true", "auto-"),
            file("listener PORT 127.0.0.1\nallow_anonymous true\nauto_id_prefix device-", "device-"),
        ),
        [bad(
            "auto_id_prefix xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "the value of `auto_id_prefix` has 51 bytes; 50 are allowed",
        )];

    listener_auto_id_prefix:
        seen(
            view::assigned_prefix,
            file("listener PORT 127.0.0.1\nallow_anonymous true", "auto-"),
            file("listener PORT 127.0.0.1\nallow_anonymous true\nlistener_auto_id_prefix device-", "device-"),
        ),
        [bad("listener 1\nlistener_auto_id_prefix", "`listener_auto_id_prefix` has no value")];

    clientid_prefixes:
        seen(
            view::identifiers,
            file(open!(""), "accepted, accepted"),
            file(open!("clientid_prefixes acme-"), "accepted, refused with 0x87"),
        ),
        [bad("clientid_prefixes", "`clientid_prefixes` has no value")];

    check_retain_source:
        seen(
            view::retained_of_alice,
            file_and(open!("acl_file DIR/acl\ncheck_retain_source true"), RIGHTS, "0 retained"),
            file_and(open!("acl_file DIR/acl\ncheck_retain_source false"), RIGHTS, "1 retained"),
        ),
        [bad("check_retain_source never", "`check_retain_source` cannot be `never`")];

    password_file:
        seen(
            view::alice,
            file_and(open!("password_file DIR/users"), &[("users", BOB)], "refused with 0x87"),
            file_and(open!("password_file DIR/users"), &[("users", ALICE)], "accepted"),
        ),
        [
            bad("password_file", "`password_file` has no value"),
            bad("password_file DIR/absent", "/absent"),
        ];

    psk_file: not_yet("listener 1\npsk_file DIR/psk"), [bad("psk_file", "`psk_file` has no value")];

    per_listener_settings:
        seen(
            view::anonymous_at_both,
            file(TWO_ADDRESSES, "accepted, accepted"),
            file(
                "per_listener_settings true\nlistener PORT 127.0.0.1\nallow_anonymous true\nlistener PORT ::1",
                "accepted, refused with 0x87",
            ),
        ),
        [
            bad("per_listener_settings all", "`per_listener_settings` cannot be `all`"),
            bad("allow_anonymous true\nper_listener_settings true", "stands behind `allow_anonymous`"),
        ];
}
