//! A disk that fills up: refused early, told, and gone on from by itself.

use e2e::packet::{self, Version};
use e2e::{Broker, Disk, Wire, eventually};

/// The reason code of a QoS 1 message to the session that is away.
fn publish(publisher: &mut Wire, id: u16) -> u8 {
    publisher.send(&packet::publish(Version::V5, "kept", 1, id, b"payload"));
    let (first_byte, body) = publisher.packet();
    assert_eq!((first_byte, &body[..2]), (0x40, &id.to_be_bytes()[..]));
    body.get(2).copied().unwrap_or(0)
}

#[test]
fn a_full_disk_is_refused_and_told_and_gone_on_from() {
    let Some(disk) = Disk::small() else { return };
    let location = disk.path().display();
    let mut broker =
        Broker::start(&format!("persistence true\npersistence_location {location}\nsys_interval 1\n"));
    broker.mosquitto_sub("-c -i away -t kept -q 1 -E").run().succeeds();
    let mut publisher = Wire::connect(&broker, Version::V5, "publisher");
    assert_eq!(publish(&mut publisher, 1), 0);
    disk.fill();
    // It looks after each commit, and once a second while there are some.
    let mut id = 1;
    let mut accepted = 1;
    eventually("a refusal", || {
        id += 1;
        let code = publish(&mut publisher, id);
        accepted += usize::from(code == 0);
        (code == 0x97).then_some(())
    });
    // 3.1.1 has no refusal but the end; it is never told that it was kept.
    let mut old = Wire::connect(&broker, Version::V4, "old");
    old.send(&packet::publish(Version::V4, "kept", 1, 1, b"payload"));
    assert_eq!(old.is_closed(), b"");
    // Operators are told by a number: of one refused there, one here.
    eventually("a count of what was refused", || {
        let told = broker.mosquitto_sub("-t $SYS/broker/store/refused -C 1").run().lines();
        (told[0].parse::<u64>().expect("a number") >= 2).then_some(())
    });
    // What was kept is read, and delivered, though the disk is full.
    let lines = broker.mosquitto_sub(&format!("-c -i away -t kept -q 1 -C {accepted}")).run().lines();
    assert_eq!(lines.len(), accepted);
    disk.empty();
    eventually("room again", || {
        id += 1;
        (publish(&mut publisher, id) == 0).then_some(())
    });
    let said = String::from_utf8(broker.stop().stderr).unwrap();
    for words in ["is nearly full", "was given up", "has room again"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
