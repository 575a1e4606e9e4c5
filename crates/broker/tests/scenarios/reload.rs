//! New settings for a broker with clients: what comes next obeys them, and what a client was told stays.

use std::sync::Arc;

use noctule_broker::{ListenerSettings, Revoked};
use noctule_protocol::ProtocolVersion::V311;
use noctule_protocol::ReasonCode as Reason;

use crate::desk::*;

#[test]
fn a_route_that_is_remembered_is_resolved_anew() {
    let desk = Desk::new();
    let mut client = desk.client("a");
    client.subscribe("a/+", 0);
    client.subscribe("a/#", 0);
    let publisher = desk.client("p");
    let copies = || {
        // Remembered from the second time on.
        (0..3).for_each(|_| publisher.send(publish("a/b", "x")));
        client.take().len()
    };
    assert_eq!(copies(), 6);
    desk.change_settings(|settings| settings.allow_duplicate_messages = false);
    assert_eq!(copies(), 3);
    desk.change_settings(|settings| settings.allow_duplicate_messages = true);
    assert_eq!(copies(), 6);
}

#[test] // [MQTT-3.2.2-14]
fn retained_messages_are_refused_from_then_on() {
    let desk = Desk::new();
    let client = desk.client("a");
    client.send(publish("t", "x").retained());
    desk.change_settings(|settings| settings.retain_available = false);
    client.send(publish("t", "y").retained());
    client.expect_end(Reason::RetainNotSupported);
    assert_eq!(desk.retained_count(), 1);
}

#[test] // [MQTT-3.3.4-7]
fn a_client_may_send_as_many_as_it_was_told_when_it_came() {
    let desk = Desk::new();
    let told = |client: &Client| client.connack.receive_maximum();
    let client = desk.hello("a").lasting().connect();
    desk.change_settings(|settings| settings.max_inflight_messages = 2);
    client.send_all((1..=20).map(|id| publish("t", "x").qos2(id)));
    assert_eq!((told(&client), client.take().len()), (Some(20), 20));
    client.send(publish("t", "x").qos2(21));
    client.expect_end(Reason::ReceiveMaximumExceeded);
    let next = desk.client("b");
    next.send_all((1..=3).map(|id| publish("t", "x").qos2(id)));
    assert_eq!(told(&next), Some(2));
    assert!(next.is_closed());
}

#[test]
fn deliveries_in_flight_stay_as_many_as_were_agreed_upon() {
    let desk = Desk::new();
    let mut client = desk.hello("a").receive_maximum(3).connect();
    client.subscribe("t", 1);
    desk.change_settings(|settings| settings.max_inflight_messages = 1);
    let publisher = desk.client("p");
    (1..=5).for_each(|n| publisher.send(publish("t", n.to_string()).qos1(n)));
    assert_eq!(client.take().len(), 3);
    let mut next = desk.client("b");
    next.subscribe("u", 1);
    (1..=5).for_each(|n| publisher.send(publish("u", n.to_string()).qos1(n)));
    assert_eq!(next.take().len(), 1);
}

#[test]
fn sessions_without_connection_end_by_what_holds_when_their_client_leaves() {
    use noctule_protocol::ProtocolVersion::V311;
    for (before, after, lives) in
        [(None, Some(5), 5.0), (Some(5), None, f64::INFINITY), (Some(5), Some(9), 9.0)]
    {
        let span = |seconds: Option<u64>| seconds.map(std::time::Duration::from_secs);
        let desk = Desk::with(|settings| settings.persistent_client_expiration = span(before));
        let client = desk.hello("a").version(V311).resume().connect();
        desk.change_settings(|settings| settings.persistent_client_expiration = span(after));
        client.lose();
        desk.sleep(lives.min(1e6) - 1.0);
        assert_eq!(desk.session_count(), 1);
        desk.sleep(2.0);
        assert_eq!(desk.session_count(), usize::from(lives > 1e6));
    }
}

#[test]
fn time_to_connect_and_keep_alive_are_those_of_the_beginning() {
    let desk = Desk::new();
    let early = desk.open(noctule_protocol::ProtocolVersion::V5);
    let client = desk.hello("a").keep_alive(100).connect();
    desk.change_settings(|settings| {
        settings.connect_timeout = std::time::Duration::from_secs(5);
        settings.max_keepalive = 10;
    });
    let late = desk.open(noctule_protocol::ProtocolVersion::V5);
    desk.sleep(6.0);
    assert_eq!((early.is_closed(), late.is_closed(), client.is_closed()), (false, true, false));
    desk.sleep(25.0);
    assert_eq!((early.is_closed(), client.is_closed()), (true, false));
    let keep_alive = |client: &Client| client.connack.server_keep_alive();
    assert_eq!((keep_alive(&client), keep_alive(&desk.client("b"))), (None, Some(10)));
}

#[test]
fn less_memory_is_felt_at_once() {
    let desk = Desk::new();
    desk.use_memory(980);
    desk.client("a");
    desk.change_settings(|settings| settings.memory_limit = 1000);
    assert_eq!(desk.hello("b").send().next().map(|connack| connack.code), Some(Reason::QuotaExceeded.code()));
    desk.change_settings(|settings| settings.memory_limit = 0);
    desk.client("b");
}

#[test]
fn a_message_is_delivered_as_it_was_resolved_while_shards_have_different_settings() {
    // By way of a subscription, and of a group whose owner has new settings and whose member has not, or the other way.
    for filter in ["t", "$share/g/t"] {
        for (first, upgraded) in [(0, true), (1, true), (0, false), (1, false)] {
            let desk = Desk::sharded(2, |settings| settings.upgrade_outgoing_qos = !upgraded);
            let publishers = [desk.client("p"), desk.client("q")];
            let mut idle = desk.hello("o").lasting().connect();
            let mut client = desk.hello("a").lasting().connect();
            if filter != "t" {
                // The group is owned by the other shard.
                idle.subscribe(filter, 1);
            }
            client.subscribe(filter, 1);
            idle.send(unsubscribe(1, [filter]));
            idle.take();
            let expect_one = || {
                let received = client.acknowledge_all();
                assert_eq!(received.len(), 1, "{filter} {first} {upgraded}");
            };
            desk.change_settings_of(first, |settings| settings.upgrade_outgoing_qos = upgraded);
            for publisher in &publishers {
                publisher.send(publish("t", "x"));
                expect_one();
            }
            desk.change_settings_of(1 - first, |settings| settings.upgrade_outgoing_qos = upgraded);
            for publisher in &publishers {
                publisher.send(publish("t", "x"));
                expect_one();
            }
            // What was recorded is done with.
            assert_eq!(desk.disk_rows(&[noctule_broker::record::Table::Message]), 0, "{filter} {first}");
        }
    }
}

/// The users whose password does not hold any more.
fn revoke(names: &[&str]) -> Revoked {
    Revoked::Users(Arc::new(names.iter().map(|name| Box::from(*name)).collect()))
}

#[test]
fn who_could_not_come_in_any_more_is_sent_away() {
    for shards in [1, 3] {
        let desk = Desk::sharded(shards, |settings| {
            settings.listeners = vec![ListenerSettings { authenticates: true, ..Default::default() }; 2];
        });
        let mut watcher = desk.hello("watcher").user_name("watcher").connect();
        watcher.subscribe("gone/#", 0);
        let hello = |id: &str| desk.hello(id);
        let gone = hello("gone").user_name("gone").will(will("gone/v5", "x")).connect();
        let gone_v3 = hello("gone3").version(V311).user_name("gone").connect();
        let stays = hello("stays").user_name("stays").connect();
        let nameless = hello("nameless").connect();
        let elsewhere = hello("elsewhere").at(1).user_name("gone").connect();

        desk.change_settings(|settings| settings.listeners[0].revoked = revoke(&["gone", "absent"]));
        gone.expect_end(Reason::NotAuthorized);
        assert!(gone_v3.is_closed());
        watcher.expect_payloads(["x"]);
        for client in [&stays, &nameless, &elsewhere] {
            assert!(!client.is_closed());
        }
        assert!(desk.log().iter().any(|line| line.ends_with("disconnected: not authorised.")));
        // With the new password.
        let back = hello("gone").user_name("gone").connect();

        desk.change_settings(|settings| {
            settings.listeners[0].revoked = Revoked::Nobody;
            settings.listeners[0].allow_anonymous = false;
        });
        nameless.expect_end(Reason::NotAuthorized);
        assert!(!back.is_closed() && !stays.is_closed());
        // Without a file there is nobody who could come in by name.
        desk.change_settings(|settings| settings.listeners[0].authenticates = false);
        back.expect_end(Reason::NotAuthorized);
        stays.expect_end(Reason::NotAuthorized);
        assert!(!elsewhere.is_closed());
        // And by a new one nobody was checked.
        desk.change_settings(|settings| {
            settings.listeners[0].authenticates = true;
            settings.listeners[1].revoked = Revoked::Everybody;
        });
        elsewhere.expect_end(Reason::NotAuthorized);
    }
}

#[test]
fn very_many_are_sent_away_a_part_a_turn() {
    let desk = Desk::with(|settings| settings.listeners[0].authenticates = true);
    let clients: Vec<_> = (0..300)
        .map(|number| desk.hello(&format!("c{number}")).user_name(["a", "b"][number % 2]).connect())
        .collect();
    desk.change_settings(|settings| settings.listeners[0].revoked = revoke(&["a"]));
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(client.is_closed(), number % 2 == 0, "{number}");
    }
}
