//! No descriptor left for another connection.

use e2e::packet::{self, Version};
use e2e::{Broker, Wire, eventually};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

const ROOM: usize = 10;
const MORE: usize = 6;

#[test]
fn who_finds_no_room_is_served_as_soon_as_somebody_leaves() {
    let broker = Broker::start("");
    let mut first = Wire::connect(&broker, Version::V4, "first");
    first.ping();
    let limit = (broker.open_files() + ROOM) as u64;
    let pid = Pid::from_raw(broker.process().pid() as i32);
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(limit), maximum: Some(limit) })
        .expect("limits may be lowered");

    let mut crowd: Vec<_> = (0..ROOM + MORE)
        .map(|number| {
            let hello = packet::connect(Version::V4, &format!("member-{number}"), true, 0);
            Wire::open(&broker, Version::V4, &hello)
        })
        .collect();
    let mut waiting = crowd.split_off(ROOM);
    for wire in &mut crowd {
        assert_eq!(wire.packet(), (0x20, vec![0, 0]));
    }
    let complaints = || broker.process().errors().matches("Unable to accept new connection").count();
    eventually("the broker says so", || (complaints() > 0).then_some(()));
    // Those inside notice nothing.
    first.ping();

    crowd.truncate(ROOM - MORE);
    for wire in &mut waiting {
        assert_eq!(wire.packet(), (0x20, vec![0, 0]), "there is room again");
    }
    assert_eq!(complaints(), 1, "once a minute is enough");
}
