use super::*;

#[test]
fn a_kept_message_is_small_and_looks_as_it_did() {
    assert_eq!((size_of::<Message>(), size_of::<Header>()), (8, 40));
    for expires in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
        let view = MessageView {
            topic: "a/\u{e4}",
            payload: b"payload",
            properties: &[1, 1],
            qos: QoS::ExactlyOnce,
            retain: true,
            expires,
            publisher: SessionNumber(7),
        };
        let at = |counter| Sequence { source: 3, counter };
        let message = view.to_message(at(9));
        assert_eq!(message.payload_bytes(), 7);
        assert_eq!(message.is_expired(Duration::from_secs(1)), expires == Some(Duration::ZERO));
        let shared = message.clone();
        let renumbered = message.renumbered(at(10)).renumbered(at(11));
        assert_eq!((shared.sequence(), renumbered.sequence()), (at(9), at(11)));
        for message in [shared, renumbered] {
            let same = MessageView { expires: message.expires(), ..view };
            assert_eq!(format!("{:?}", message.view()), format!("{same:?}"));
            assert_eq!(message.expires().is_some(), expires.is_some());
        }
    }
}

#[test] // [MQTT-3.3.2-6]
fn the_interval_passed_on_is_what_is_left_rounded_up() {
    let view = MessageView {
        topic: "a",
        payload: b"",
        properties: b"",
        qos: QoS::AtMostOnce,
        retain: false,
        expires: Some(Duration::from_secs(10)),
        publisher: SessionNumber(1),
    };
    for (wall_ms, left, expired) in [(0, 10, false), (500, 10, false), (9001, 1, false), (10_000, 0, true)] {
        let wall = Duration::from_millis(wall_ms);
        assert_eq!(view.expiry_left(wall), Some(left));
        assert_eq!(view.is_expired(wall), expired);
    }
}
