//! Who takes part in a world.

use std::rc::Rc;
use std::time::Duration;

use mio::Token;

use crate::client::{Client, Habit, Part, Publisher, Receiver, Willed, Wish};
use crate::history::History;
use crate::random::Random;
use crate::wire::Version::{self, V5, V311};

/// Everybody, numbered by their tokens.
pub fn cast(history: &mut History, random: &mut Random) -> Vec<Client> {
    let mut clients = Vec::new();
    publishers(history, random, &mut clients);
    receivers(history, random, &mut clients);
    for (name, version, qos, delay, absence) in [
        ("will-311", V311, 2, 0, 60),
        ("will-5", V5, 1, 0, 0),
        // Away for longer than its Will waits.
        ("will-delayed", V5, 2, 1, 2600),
        // Always back before.
        ("will-never", V5, 2, 40, 30),
    ] {
        let part = Willed::new(name, qos, Duration::from_secs(delay), Duration::from_millis(absence));
        add(&mut clients, name, version, true, Habit::Steady, Part::Willed(part));
    }
    clients
}

/// Clients for the world with default limits: all receivers are away.
pub fn small_cast(history: &mut History) -> Vec<Client> {
    let mut clients = Vec::new();
    for (name, version, window) in [("publisher-311", V311, 20), ("publisher-5", V5, 20)] {
        publisher(history, &mut clients, name, version, true, (50, false, window));
    }
    for (name, version) in [("away-311", V311), ("away-5", V5)] {
        let wishes = vec![Wish::new("l/#", 2)];
        receiver(history, &mut clients, name, version, Habit::Away, None, wishes);
    }
    clients
}

fn add(clients: &mut Vec<Client>, name: &str, version: Version, lasting: bool, habit: Habit, part: Part) {
    clients.push(Client::new(Token(clients.len()), name, version, lasting, habit, part));
}

/// QoS 2 in hundredths, whether it retains, and its window.
type Manner = (u64, bool, usize);

fn publisher(
    history: &mut History,
    clients: &mut Vec<Client>,
    name: &str,
    version: Version,
    lasting: bool,
    (qos_two, retain, window): Manner,
) {
    let number = history.publisher(name);
    let (root, count) = if retain { ("kept", 40) } else { ("l", 3) };
    let topics = (0..count).map(|topic| Rc::from(format!("{root}/{number}/{topic}"))).collect();
    let part = Publisher::new(number, topics, qos_two, retain, window);
    add(clients, name, version, lasting, Habit::Steady, Part::Publisher(part));
}

fn publishers(history: &mut History, random: &mut Random, clients: &mut Vec<Client>) {
    for (name, version, lasting, manner) in [
        ("mixed-311", V311, true, (50, false, 20)),
        ("mixed-5", V5, true, (50, false, 20)),
        ("two-5", V5, true, (100, false, 100)),
        ("one-311", V311, true, (0, false, 100)),
        // Whoever begins anew does not know what became of what was open.
        ("fleeting-311", V311, false, (40, false, 10)),
        ("retaining-5", V5, true, (50, true, 20)),
        ("retaining-311", V311, true, (0, true, 5)),
    ] {
        let (qos_two, retain, window) = manner;
        let window = if random.percent(25) { 1 } else { window };
        publisher(history, clients, name, version, lasting, (qos_two, retain, window));
    }
}

fn receiver(
    history: &mut History,
    clients: &mut Vec<Client>,
    name: &str,
    version: Version,
    habit: Habit,
    group: Option<&'static str>,
    wishes: Vec<Wish>,
) {
    let number = history.receiver(name, true, group);
    let part = Part::Receiver(Receiver::new(number, group, wishes));
    add(clients, name, version, true, habit, part);
}

fn receivers(history: &mut History, random: &mut Random, clients: &mut Vec<Client>) {
    use Habit::{Asleep, Away, Flapping, Steady};
    let first = clients.len();
    for (name, version, habit, group, filter, qos) in [
        ("wills", V311, Steady, None, "wills/#", 2),
        ("steady-311", V311, Steady, None, "l/#", 2),
        ("slow-5", V5, Steady, None, "l/#", 2),
        ("late-5", V5, Flapping, None, "l/+/0", 1),
        ("late-311", V311, Steady, None, "l/+/2", 2),
        ("flapping-311", V311, Flapping, None, "l/#", 2),
        ("flapping-5", V5, Flapping, None, "l/#", 1),
        ("away-311", V311, Away, None, "l/#", 2),
        ("away-5", V5, Away, None, "l/+/1", 1),
        ("asleep-5", V5, Asleep, None, "l/+/2", 2),
        ("kept-5", V5, Steady, None, "kept/#", 1),
        ("kept-away-311", V311, Away, None, "kept/#", 2),
        ("group-steady-5", V5, Steady, Some("all"), "l/#", 2),
        ("group-flapping-311", V311, Flapping, Some("all"), "l/#", 2),
        ("group-away-5", V5, Away, Some("all"), "l/#", 2),
        ("pair-flapping-5", V5, Flapping, Some("pair"), "l/+/1", 1),
        ("pair-away-5", V5, Away, Some("pair"), "l/+/1", 1),
    ] {
        let wishes = vec![Wish::new(filter, qos)];
        receiver(history, clients, name, version, habit, group, wishes);
    }
    for client in &mut clients[first..] {
        if let Part::Receiver(part) = &mut client.part
            && (client.name == "slow-5" || random.percent(20))
        {
            part.patience = Duration::from_millis(random.between(3..=15));
            client.receive_maximum = 50;
        } else {
            client.receive_maximum = random.pick([0, 3, 20]);
        }
    }
    // It has no session to keep, so nobody owes it anything; what it gets must still be right.
    let number = history.receiver("fleeting-5", false, None);
    let part = Part::Receiver(Receiver::new(number, None, vec![Wish::new("l/#", 1)]));
    add(clients, "fleeting-5", V5, false, Flapping, part);
}
