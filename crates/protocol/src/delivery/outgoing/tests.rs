use super::*;

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// All that can be sent again now: "p1" is PUBLISH 1, "r2" is PUBREL 2.
fn resend(outgoing: &mut Outgoing<&str>) -> Vec<String> {
    let mut sent = Vec::new();
    while let Some(resend) = outgoing.next_resend() {
        sent.push(match resend {
            Resend::Publish { packet_id, .. } => format!("p{}", packet_id.get()),
            Resend::Pubrel { packet_id } => format!("r{}", packet_id.get()),
        });
    }
    sent
}

#[test]
fn qos_1_ends_with_puback() {
    let mut outgoing = Outgoing::new(10);
    assert_eq!(outgoing.begin(QoS::AtMostOnce, "a"), None);
    assert_eq!(outgoing.begin(QoS::AtLeastOnce, "a"), Some(id(1)));
    assert_eq!(outgoing.pubrec(id(1), false), Err(UnknownPacketId));
    assert_eq!(outgoing.pubcomp(id(1)), Err(UnknownPacketId));
    assert_eq!(outgoing.puback(id(2)), Err(UnknownPacketId));
    assert_eq!(outgoing.puback(id(1)), Ok(Some("a")));
    assert_eq!(outgoing.puback(id(1)), Err(UnknownPacketId));
    assert!(outgoing.is_empty());
}

#[test]
fn qos_2_ends_with_pubcomp_or_a_refusal() {
    let mut outgoing = Outgoing::new(10);
    outgoing.begin(QoS::ExactlyOnce, "a");
    assert_eq!(outgoing.puback(id(1)), Err(UnknownPacketId));
    assert_eq!(outgoing.pubcomp(id(1)), Err(UnknownPacketId));
    assert_eq!(outgoing.pubrec(id(1), false), Ok(PubrecOutcome::Release(Some("a")))); // [MQTT-4.3.3-4]
    assert_eq!(outgoing.pubrec(id(1), false), Ok(PubrecOutcome::Repeated));
    assert_eq!(outgoing.pubcomp(id(1)), Ok(()));
    outgoing.begin(QoS::ExactlyOnce, "b");
    assert_eq!(outgoing.pubrec(id(2), true), Ok(PubrecOutcome::Refused(Some("b")))); // [MQTT-4.4.0-2]
    assert!(outgoing.is_empty());
}

#[test]
fn the_window_holds() {
    let mut outgoing = Outgoing::new(2); // [MQTT-4.9.0-2]
    assert_eq!(outgoing.begin(QoS::AtLeastOnce, "a"), Some(id(1)));
    assert_eq!(outgoing.begin(QoS::ExactlyOnce, "b"), Some(id(2)));
    assert_eq!(outgoing.begin(QoS::AtLeastOnce, "c"), None);
    outgoing.pubrec(id(2), false).unwrap();
    assert!(!outgoing.has_room());
    outgoing.pubcomp(id(2)).unwrap();
    assert_eq!(outgoing.begin(QoS::AtLeastOnce, "c"), Some(id(3)));
    assert_eq!(outgoing.forget(id(1)), Some("a"));
    assert!(outgoing.has_room());
}

#[test]
fn a_new_connection_resends_in_order() {
    let mut outgoing = Outgoing::new(10);
    for (qos, message) in
        [(QoS::AtLeastOnce, "a"), (QoS::ExactlyOnce, "b"), (QoS::AtLeastOnce, "c"), (QoS::ExactlyOnce, "d")]
    {
        outgoing.begin(qos, message);
    }
    outgoing.pubrec(id(2), false).unwrap();
    outgoing.interrupt();
    assert_eq!(outgoing.begin(QoS::AtLeastOnce, "e"), None);
    // [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-4.3.3-6]
    assert_eq!(resend(&mut outgoing), ["p1", "r2", "p3", "p4"]);
    assert_eq!(outgoing.begin(QoS::AtLeastOnce, "e"), Some(id(5)));
    outgoing.interrupt();
    assert_eq!(resend(&mut outgoing), ["p1", "r2", "p3", "p4", "p5"]);
}

#[test]
fn a_smaller_window_delays_publish_but_not_pubrel() {
    let mut outgoing = Outgoing::new(10);
    for message in ["a", "b", "c", "d"] {
        outgoing.begin(QoS::ExactlyOnce, message);
    }
    outgoing.pubrec(id(4), false).unwrap();
    outgoing.interrupt();
    outgoing.set_window(1);
    assert_eq!(resend(&mut outgoing), ["p1", "r4"]); // [MQTT-4.9.0-3]
    assert_eq!(outgoing.pubcomp(id(4)), Ok(()));
    assert_eq!(resend(&mut outgoing), [""; 0]);
    outgoing.pubrec(id(1), true).unwrap();
    assert_eq!(resend(&mut outgoing), ["p2"]);
    assert!(!outgoing.has_room());
}

#[test]
fn what_ends_before_it_is_resent_is_not_resent() {
    let mut outgoing = Outgoing::new(10);
    for message in ["a", "b", "c"] {
        outgoing.begin(QoS::AtLeastOnce, message);
    }
    outgoing.interrupt();
    assert_eq!(outgoing.puback(id(2)), Ok(Some("b")));
    assert_eq!(outgoing.puback(id(3)), Ok(Some("c")));
    assert_eq!(resend(&mut outgoing), ["p1"]);
    assert!(outgoing.has_room());
    outgoing.interrupt();
    assert_eq!(outgoing.puback(id(1)), Ok(Some("a")));
    assert!(outgoing.has_room());
}

#[test]
fn exchanges_come_back_from_disk() {
    let mut outgoing = Outgoing::new(10);
    outgoing.begin_with(id(7), QoS::AtLeastOnce, "a");
    outgoing.begin_released(id(3));
    outgoing.begin_with(id(1), QoS::ExactlyOnce, "b");
    assert_eq!(outgoing.begin(QoS::AtLeastOnce, "c"), None);
    assert_eq!(resend(&mut outgoing), ["p7", "r3", "p1"]);
    assert_eq!(outgoing.begin(QoS::AtLeastOnce, "c"), Some(id(2)));
    assert_eq!(outgoing.begin(QoS::AtLeastOnce, "d"), Some(id(4)));
    let all: Vec<_> = outgoing.iter().map(|(id, _, message)| (id.get(), message.copied())).collect();
    assert_eq!(all, [(7, Some("a")), (3, None), (1, Some("b")), (2, Some("c")), (4, Some("d"))]);
}

#[test]
fn some_are_taken_out() {
    let mut outgoing = Outgoing::new(3);
    for (qos, message) in [(QoS::AtLeastOnce, "a"), (QoS::ExactlyOnce, "b"), (QoS::AtLeastOnce, "c")] {
        outgoing.begin(qos, message);
    }
    let out = outgoing.extract_if(|_, qos, _| qos == QoS::AtLeastOnce);
    assert_eq!(out, [(id(1), QoS::AtLeastOnce, Some("a")), (id(3), QoS::AtLeastOnce, Some("c"))]);
    assert!(outgoing.has_room());
    outgoing.retain(|_, _, message| message != Some(&"b"));
    assert!(outgoing.is_empty());
}

#[test]
fn an_early_pubrec_takes_its_place_in_the_window() {
    let mut outgoing = Outgoing::new(2);
    outgoing.begin(QoS::ExactlyOnce, "a");
    outgoing.begin(QoS::ExactlyOnce, "b");
    outgoing.interrupt();
    outgoing.set_window(1);
    assert_eq!(outgoing.pubrec(id(1), false), Ok(PubrecOutcome::Release(Some("a"))));
    assert_eq!(resend(&mut outgoing), [""; 0]);
    outgoing.pubcomp(id(1)).unwrap();
    assert_eq!(resend(&mut outgoing), ["p2"]);
}

#[test]
fn the_order_survives_when_the_numbers_run_out() {
    let mut outgoing = Outgoing::new(10);
    for message in ["a", "b", "c"] {
        outgoing.begin(QoS::ExactlyOnce, message);
    }
    outgoing.pubrec(id(2), false).unwrap();
    outgoing.interrupt();
    outgoing.puback(id(3)).unwrap_err();
    outgoing.forget(id(3));
    outgoing.begun.as_mut().unwrap().count = u32::MAX;
    outgoing.begin_with(id(1000), QoS::AtLeastOnce, "d");
    outgoing.begin_with(id(999), QoS::AtLeastOnce, "e");
    assert_eq!(outgoing.begun.as_ref().unwrap().count, 4);
    assert_eq!(resend(&mut outgoing), ["p1", "r2", "p1000", "p999"]);
    let order: Vec<_> = outgoing.iter().map(|(id, ..)| id.get()).collect();
    assert_eq!(order, [1, 2, 1000, 999]);
}

#[test]
fn an_idle_end_is_small() {
    let mut outgoing: Outgoing<u64> = Outgoing::new(10);
    assert!(size_of::<Outgoing<u64>>() <= 16 && outgoing.begun.is_none());
    outgoing.begin(QoS::AtLeastOnce, 1);
    outgoing.puback(id(1)).unwrap();
    outgoing.interrupt();
    assert!(outgoing.begun.is_none());
}

#[test]
fn a_bare_exchange_is_acknowledged_like_others_and_never_sent_again() {
    let mut outgoing = Outgoing::new(10);
    assert_eq!(outgoing.begin_bare(QoS::AtMostOnce), None);
    assert_eq!(outgoing.begin_bare(QoS::AtLeastOnce), Some(id(1)));
    assert_eq!(outgoing.begin_bare(QoS::ExactlyOnce), Some(id(2)));
    assert_eq!(outgoing.begin(QoS::AtLeastOnce, "a"), Some(id(3)));
    assert_eq!(outgoing.begin_bare(QoS::ExactlyOnce), Some(id(4)));
    assert_eq!((outgoing.in_flight(), outgoing.bare()), (4, 3));
    assert_eq!(outgoing.pubrec(id(1), false), Err(UnknownPacketId));
    assert_eq!(outgoing.puback(id(1)), Ok(None));
    assert_eq!(outgoing.pubrec(id(2), false), Ok(PubrecOutcome::Release(None)));
    assert_eq!(outgoing.bare(), 1);
    outgoing.interrupt();
    assert_eq!(resend(&mut outgoing), ["r2", "p3"]);
    assert_eq!((outgoing.in_flight(), outgoing.bare()), (2, 0));
    assert!(outgoing.has_room());
}

#[test]
fn the_one_free_identifier_among_all_is_found_at_once() {
    let mut outgoing: Outgoing<u8> = Outgoing::new(u16::MAX);
    for _ in 1..=u16::MAX {
        outgoing.begin_bare(QoS::AtLeastOnce).unwrap();
    }
    assert_eq!(outgoing.allocate(|_| false), None);
    // By looking at all of them this would be thousands of millions of steps.
    for round in 1..=60_000_u16 {
        let free = id(round.wrapping_mul(48_271).max(1));
        assert_eq!(outgoing.puback(free), Ok(None));
        assert_eq!(outgoing.begin_bare(QoS::AtLeastOnce), Some(free));
    }
    for number in 1..=u16::MAX {
        assert_eq!(outgoing.puback(id(number)), Ok(None));
    }
    assert!(outgoing.is_empty() && outgoing.begun.is_some_and(|begun| begun.taken.is_none()));
}

#[test]
fn at_rest_nothing_is_kept_but_what_is_under_way() {
    let mut outgoing = Outgoing::new(10);
    outgoing.begin(QoS::AtLeastOnce, "a");
    outgoing.begin(QoS::ExactlyOnce, "b");
    outgoing.puback(id(1)).unwrap();
    outgoing.rest();
    assert_eq!(outgoing.message(id(2)), Some(&"b"));
    outgoing.pubrec(id(2), false).unwrap();
    outgoing.pubcomp(id(2)).unwrap();
    assert!(outgoing.begun.is_some());
    outgoing.rest();
    assert!(outgoing.begun.is_none());
    // Identifiers go on where they were.
    assert_eq!(outgoing.begin(QoS::AtLeastOnce, "c"), Some(id(3)));
}
