//! A sender and a receiver over a connection that is lost at any time.

use std::collections::{HashSet, VecDeque};

use noctule_protocol::delivery::{Incoming, Outgoing, PubrecOutcome, Received, Resend};
use noctule_protocol::{PacketId, QoS};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

#[derive(Clone, Copy, Debug)]
enum Packet {
    Publish { id: PacketId, qos: QoS, dup: bool, message: u32 },
    Puback(PacketId),
    Pubrec(PacketId),
    Pubrel(PacketId),
    Pubcomp(PacketId),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The sender has another message.
    Begin(QoS),
    /// The oldest packet to the receiver arrives.
    Forth,
    /// The oldest packet to the sender arrives.
    Back,
    /// The youngest packet to the sender, if it is a PUBACK, overtakes the others: older exchanges are left behind.
    Overtake,
    /// The connection is lost with all that is on it, and there is a new one with this window.
    Lose(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => select(vec![Step::Begin(QoS::AtLeastOnce), Step::Begin(QoS::ExactlyOnce)]),
        8 => Just(Step::Forth),
        8 => Just(Step::Back),
        2 => Just(Step::Overtake),
        1 => (1..6_u16).prop_map(Step::Lose),
    ]
}

struct Pair {
    outgoing: Outgoing<u32>,
    incoming: Incoming<u32>,
    forth: VecDeque<Packet>,
    back: VecDeque<Packet>,
    window: u16,
    begun: Vec<QoS>,
    /// Messages of QoS 1 and of QoS 2 as the receiver passed them on.
    received: [Vec<u32>; 2],
    /// Exchanges whose PUBLISH was sent on this connection and that have not ended.
    on_wire: HashSet<PacketId>,
}

impl Pair {
    /// `used_before` identifiers have been used, so that the cycle may soon begin again.
    fn new(window: u16, used_before: u16) -> Self {
        let mut outgoing = Outgoing::new(window);
        for _ in 0..used_before {
            outgoing.allocate(|_| false);
        }
        Self {
            outgoing,
            incoming: Incoming::new(),
            forth: VecDeque::new(),
            back: VecDeque::new(),
            window,
            begun: Vec::new(),
            received: [Vec::new(), Vec::new()],
            on_wire: HashSet::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Begin(qos) => self.begin(qos),
            Step::Forth => self.forth(),
            Step::Back => self.back(),
            Step::Overtake => {
                let is_puback = matches!(self.back.back(), Some(Packet::Puback(_)));
                self.back.rotate_right(usize::from(is_puback));
            }
            Step::Lose(window) => {
                self.forth.clear();
                self.back.clear();
                self.window = window;
                self.on_wire.clear();
                self.outgoing.interrupt();
                self.outgoing.set_window(window);
                self.resend();
            }
        }
        assert!(self.on_wire.len() <= usize::from(self.window), "the window holds"); // [MQTT-4.9.0-2]
    }

    fn begin(&mut self, qos: QoS) {
        let message = self.begun.len() as u32;
        if let Some(id) = self.outgoing.begin(qos, message) {
            self.begun.push(qos);
            assert!(self.on_wire.insert(id), "an identifier in use is not taken"); // [MQTT-2.2.1-3]
            self.forth.push_back(Packet::Publish { id, qos, dup: false, message });
        }
    }

    fn resend(&mut self) {
        while let Some(resend) = self.outgoing.next_resend() {
            self.forth.push_back(match resend {
                Resend::Publish { packet_id, qos, message } => {
                    self.on_wire.insert(packet_id);
                    Packet::Publish { id: packet_id, qos, dup: true, message: *message }
                }
                Resend::Pubrel { packet_id } => Packet::Pubrel(packet_id),
            });
        }
    }

    fn forth(&mut self) {
        match self.forth.pop_front() {
            Some(Packet::Publish { id, qos: QoS::ExactlyOnce, dup, message }) => {
                let received = self.incoming.publish(id, message);
                assert!(dup || received == Received::New, "only a resend can be a duplicate");
                self.back.push_back(Packet::Pubrec(id));
            }
            Some(Packet::Publish { id, message, .. }) => {
                self.received[0].push(message);
                self.back.push_back(Packet::Puback(id));
            }
            Some(Packet::Pubrel(id)) => {
                self.received[1].extend(self.incoming.pubrel(id));
                self.back.push_back(Packet::Pubcomp(id));
            }
            Some(other) => panic!("{other:?} goes back"),
            None => {}
        }
    }

    fn back(&mut self) {
        match self.back.pop_front() {
            Some(Packet::Puback(id)) => {
                self.outgoing.puback(id).expect("an exchange of QoS 1");
                self.on_wire.remove(&id);
                self.resend();
            }
            Some(Packet::Pubrec(id)) => {
                let outcome = self.outgoing.pubrec(id, false).expect("an exchange of QoS 2");
                assert!(matches!(outcome, PubrecOutcome::Release(_)), "one PUBREC on each connection");
                self.forth.push_back(Packet::Pubrel(id));
            }
            Some(Packet::Pubcomp(id)) => {
                self.outgoing.pubcomp(id).expect("a released exchange");
                self.on_wire.remove(&id);
                self.resend();
            }
            Some(other) => panic!("{other:?} goes forth"),
            None => {}
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_qos_2_arrives_once(
        window in prop_oneof![1..6_u16, Just(200)],
        used_before in prop_oneof![Just(0), 65_500..=u16::MAX],
        steps in vec(step(), 0..200),
    ) {
        let mut pair = Pair::new(window, used_before);
        for step in steps {
            pair.step(step);
        }
        // Let it settle on one last connection.
        pair.step(Step::Lose(5));
        while !pair.forth.is_empty() || !pair.back.is_empty() {
            pair.step(Step::Forth);
            pair.step(Step::Back);
        }
        prop_assert!(pair.outgoing.is_empty());
        prop_assert!(pair.outgoing.has_room());
        prop_assert!(pair.incoming.is_empty());
        let sent = |wanted: QoS| {
            let numbered = (0_u32..).zip(&pair.begun);
            numbered.filter(|(_, qos)| **qos == wanted).map(|(message, _)| message).collect::<Vec<_>>()
        };
        // Exactly once, in order [MQTT-4.6.0-1].
        prop_assert_eq!(&pair.received[1], &sent(QoS::ExactlyOnce));
        // At least once, first arrivals in order.
        let mut first = Vec::new();
        for &message in &pair.received[0] {
            if !first.contains(&message) {
                first.push(message);
            }
        }
        prop_assert_eq!(first, sent(QoS::AtLeastOnce));
    }
}
