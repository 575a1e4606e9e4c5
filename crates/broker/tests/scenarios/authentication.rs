//! User Name and Password: a CONNECT that waits for their check.

use noctule_protocol::ProtocolVersion::{V5, V31, V311};
use noctule_protocol::ReasonCode as Reason;
use noctule_protocol::property::Property;
use noctule_protocol::{ConnectReturnCode, ProtocolVersion};

use crate::desk::*;

fn desk() -> Desk {
    Desk::with(|settings| settings.listeners[0].authenticates = true)
}

/// The CONNACK of each version that says this.
fn refusal(version: ProtocolVersion, reason: Reason, code: ConnectReturnCode) -> Wire {
    if version == V5 { connack(reason.code()) } else { refused(code) }
}

fn not_authorized(version: ProtocolVersion) -> Wire {
    refusal(version, Reason::NotAuthorized, ConnectReturnCode::NotAuthorised)
}

#[test] // [MQTT-3.1.4-2] [MQTT-3.1.4-3]
fn who_is_not_known_yet_does_not_disturb_the_session() {
    for (user, is_let_in) in [("friend", true), ("stranger", false)] {
        let desk = desk();
        let mut old = desk.hello("a").lasting().user_name("friend").connect();
        old.subscribe("t", 1);
        desk.hold_answers();
        let new = desk.hello("a").lasting().user_name(user).send();
        new.expect_nothing();
        assert!(new.is_paused());
        desk.client("p").send(publish("t", "1"));
        old.expect_payloads(["1"]);
        assert_eq!(desk.answer(), 1);
        if is_let_in {
            old.expect_end(Reason::SessionTakenOver);
            assert!(new.accepted().session_present);
        } else {
            new.expect([not_authorized(V5)]);
            new.expect_closed();
            desk.client("q").send(publish("t", "2"));
            old.expect_payloads(["2"]);
        }
    }
}

#[test]
fn a_session_elsewhere_is_found_after_the_check_and_nobody_is_asked_twice() {
    let desk = Desk::sharded(3, |settings| settings.listeners[0].authenticates = true);
    let first = desk.hello("a").lasting().user_name("friend").connect();
    first.lose();
    for _ in 0..4 {
        desk.hold_answers();
        let hello = desk.hello("a").lasting().user_name("friend");
        let client = hello.send();
        client.expect_nothing();
        assert_eq!((desk.answer(), desk.answer()), (1, 0));
        let client = client.accepted();
        assert!(client.session_present);
        client.lose();
    }
}

#[test]
fn who_was_checked_by_other_settings_is_asked_where_the_session_is() {
    let desk = Desk::sharded(2, |settings| settings.listeners[0].authenticates = true);
    desk.hello("a").lasting().user_name("friend").connect().lose();
    desk.change_settings_of(0, |settings| settings.max_keepalive = 7);
    let mut asked = Vec::new();
    for _ in 0..2 {
        desk.hold_answers();
        let client = desk.hello("a").lasting().user_name("friend").send();
        asked.push([desk.answer(), desk.answer(), desk.answer()]);
        let client = client.accepted();
        assert!(client.session_present);
        client.lose();
    }
    asked.sort_unstable();
    assert_eq!(asked, [[1, 0, 0], [1, 1, 0]]);
}

#[test] // [MQTT-3.2.0-1] [MQTT311-3.2.0-1]
fn what_comes_behind_the_connect_is_kept() {
    for version in VERSIONS {
        let desk = desk();
        desk.hold_answers();
        let hello = desk.hello("a").version(version).user_name("friend");
        let mut bytes = hello.bytes();
        bytes.extend(subscribe(3, "t", 0).encode(version));
        bytes.extend(publish("t", "x").encode(version));
        bytes.extend(&pingreq().encode(version)[..1]);
        let client = desk.open(version);
        client.send_bytes(&bytes);
        client.send_bytes(&pingreq().encode(version)[1..]);
        client.expect_nothing();
        desk.answer();
        let client = client.accepted();
        client.expect([suback(3, [0]), publish("t", "x"), pingresp()]);
    }
}

#[test]
fn what_is_wrong_is_refused_as_by_mosquitto() {
    for version in VERSIONS {
        let desk = desk();
        let client = desk.hello("me").version(version).user_name("stranger").send();
        client.expect([not_authorized(version)]);
        client.expect_closed();
        let last = desk.log().pop().expect("a line");
        assert_eq!(last, "Client me [127.0.0.1:50000] disconnected: not authorised.");
        let client = desk.hello("me").version(version).user_name("late").send();
        client.expect([refusal(version, Reason::ServerBusy, ConnectReturnCode::ServerUnavailable)]);
        client.expect_closed();
        assert_eq!(desk.session_count(), 0);
    }
}

/// Seen with Mosquitto 2.0.11: an empty User Name is none, and so is a Password alone.
#[test]
fn without_a_user_name_it_is_for_allow_anonymous_to_say() {
    for version in VERSIONS {
        for allow_anonymous in [true, false] {
            let desk = desk();
            desk.change_settings(|settings| settings.listeners[0].allow_anonymous = allow_anonymous);
            desk.hold_answers();
            let hello = desk.hello("a").version(version);
            let password_only = hello.clone().password("secret");
            for hello in [hello.clone(), hello.user_name(""), password_only] {
                if version != V5 && hello.has_password_only() {
                    continue; // They have no such CONNECT.
                }
                let client = hello.send();
                if allow_anonymous {
                    client.accepted();
                } else {
                    client.expect([not_authorized(version)]);
                }
            }
            assert_eq!(desk.answer(), 0);
        }
    }
}

#[test]
fn a_user_name_that_nobody_checks_proves_nothing() {
    for version in VERSIONS {
        let desk = Desk::with(|settings| settings.listeners[0].allow_anonymous = false);
        desk.hello("a").version(version).user_name("friend").send().expect([not_authorized(version)]);
        desk.change_settings(|settings| settings.listeners[0].allow_anonymous = true);
        desk.hello("a").version(version).user_name("stranger").connect();
    }
}

#[test]
fn the_time_to_connect_goes_on() {
    let desk = desk();
    desk.hold_answers();
    let client = desk.hello("a").user_name("friend").send();
    desk.sleep(31.0);
    assert!(client.is_closed());
    // The answer comes too late, and its place may be another's by now.
    let next = desk.open(V5);
    assert_eq!(desk.answer(), 1);
    next.expect_nothing();
    assert!(!next.is_closed());
    assert_eq!((desk.session_count(), desk.next_timeout().map(|at| at > 20.0)), (0, Some(true)));
}

#[test]
fn who_goes_away_meanwhile_is_forgotten() {
    for user in ["friend", "stranger", "late"] {
        let desk = desk();
        desk.hold_answers();
        let client = desk.hello("a").will(will("t", "gone")).user_name(user).send();
        client.lose();
        desk.answer();
        assert_eq!((desk.session_count(), desk.next_timeout()), (0, None));
    }
}

/// Seen with Mosquitto 2.0.11.
#[test]
fn the_user_name_can_be_the_client_identifier() {
    for version in VERSIONS {
        let desk = Desk::with(|settings| settings.listeners[0].use_username_as_clientid = true);
        for nobody in [desk.hello("c"), desk.hello("c").user_name("")] {
            nobody.version(version).send().expect([not_authorized(version)]);
        }
        let client = desk.hello("c").version(version).user_name("n").connect();
        let log = desk.log();
        assert!(log.iter().any(|line| line.contains(" as n (")), "{log:?}");
        // A client that has not told one hears which it has [MQTT-3.1.3-7].
        let empty = desk.hello("").version(version).user_name("n").send();
        match version {
            V31 => {
                empty.expect([refused(ConnectReturnCode::IdentifierRejected)]);
                continue;
            }
            V311 => client.expect_closed(),
            V5 => client.expect_end(Reason::SessionTakenOver),
        }
        let empty = empty.accepted();
        assert_eq!(empty.connack.assigned_client_identifier(), (version == V5).then_some("n"));
    }
}

/// Seen with Mosquitto 2.0.11: the prefix is that of the identifier the client sent, or was given.
#[test]
fn client_identifiers_need_their_prefix() {
    for version in VERSIONS {
        let desk = Desk::with(|settings| settings.clientid_prefixes = "ab".to_owned());
        for good in ["ab", "abc"] {
            desk.hello(good).version(version).connect();
        }
        for bad in ["a", "xab"] {
            desk.hello(bad).version(version).send().expect([not_authorized(version)]);
        }
        if version != V31 {
            desk.hello("").version(version).send().expect([not_authorized(version)]);
            desk.change_settings(|settings| settings.listeners[0].auto_id_prefix = "ab-".to_owned());
            desk.hello("").version(version).connect();
        }
        desk.change_settings(|settings| settings.listeners[0].use_username_as_clientid = true);
        desk.hello("ab").version(version).user_name("x").connect();
        desk.hello("x").version(version).user_name("ab").send().expect([not_authorized(version)]);
    }
}

#[test] // [MQTT-3.1.2-2] [MQTT311-3.1.2-2]
fn versions_can_be_left_out() {
    for accepted in VERSIONS {
        let desk = Desk::with(|settings| settings.listeners[0].protocol_versions = vec![accepted]);
        for version in VERSIONS {
            let client = desk.hello("a").version(version).send();
            if version == accepted {
                client.accepted();
            } else {
                let code = ConnectReturnCode::UnacceptableProtocolVersion;
                client.expect([refusal(version, Reason::UnsupportedProtocolVersion, code)]);
                client.expect_closed();
            }
        }
    }
}

#[test] // [MQTT-4.12.0-1]
fn an_authentication_method_is_refused_before_anybody_is_asked() {
    let desk = desk();
    desk.hold_answers();
    let client = desk.hello("a").user_name("friend").with(Property::AuthenticationMethod("x")).send();
    client.expect([connack(Reason::BadAuthenticationMethod.code())]);
    assert_eq!(desk.answer(), 0);
}
