//! New settings for a broker with clients: what comes next obeys them, and what a client was told stays.

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
