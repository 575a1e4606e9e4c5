//! Clients that say anything at any time. Whatever they do: no panic, no packet a server may not send or the client
//! may not get, and when their sessions have ended nothing is left of them.

use noctule_broker::metric::Metric;
use noctule_protocol::packet::RetainHandling;
use noctule_protocol::property::Property;
use noctule_protocol::{ProtocolVersion, QoS, ReasonCode};
use proptest::prelude::*;
use proptest::sample::select;

use crate::desk::*;

const CLIENTS: [&str; 4] = ["a", "b", "c", "d"];
const TOPICS: [&str; 4] = ["t", "t/u", "v", "$x"];
const FILTERS: [&str; 9] = ["t", "t/u", "#", "+", "t/#", "$x", "$share/g/t", "$share/h/#", "$share/g/#"];

#[derive(Clone, Debug)]
enum Step {
    Connect(usize, Who),
    Send(usize, Vec<Wire>),
    StopReading(usize),
    Read(usize, usize),
    Lose(usize),
    Sleep(f64),
    Hold,
    Durable,
    WriteAtOnce,
    Crash,
}

/// How a client comes.
#[derive(Clone, Debug)]
struct Who {
    version: ProtocolVersion,
    clean_start: bool,
    expiry: u32,
    is_bridge: bool,
    keep_alive: u16,
    receive_maximum: u16,
    packet_max: Option<u32>,
    aliases: u16,
    will: Option<(usize, QoS, bool, u32)>,
}

fn any_qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn who() -> impl Strategy<Value = Who> {
    let version = select(VERSIONS.to_vec());
    let expiry = select(vec![0, 3, 20, u32::MAX]);
    let will = prop::option::of((0..TOPICS.len(), any_qos(), any::<bool>(), select(vec![0, 2, 10])));
    let limits = (1..4_u16, select(vec![None, None, Some(30), Some(200)]), select(vec![0, 2]));
    (version, any::<bool>(), expiry, prop::bool::weighted(0.1), select(vec![0, 5]), limits, will).prop_map(
        |(version, clean_start, expiry, is_bridge, keep_alive, limits, will)| {
            let (receive_maximum, packet_max, aliases) = limits;
            Who {
                version,
                clean_start,
                expiry,
                is_bridge,
                keep_alive,
                receive_maximum,
                packet_max,
                aliases,
                will,
            }
        },
    )
}

fn a_publish() -> impl Strategy<Value = Wire> {
    let properties = (prop::option::of(0..5_u32), prop::option::of(1..3_u16), any::<bool>());
    (0..TOPICS.len(), any_qos(), 1..5_u16, 0..60_usize, any::<bool>(), properties).prop_map(
        |(topic, qos, id, size, retain, (expiry, alias, user))| {
            let mut packet = publish(TOPICS[topic], vec![b'x'; size]).at(qos, id);
            packet.flag = retain;
            packet.dup = qos != QoS::AtMostOnce && size % 7 == 0;
            if let Some(seconds) = expiry {
                packet = packet.with(Property::MessageExpiryInterval(seconds));
            }
            if let Some(alias) = alias {
                packet = packet.with(Property::TopicAlias(alias));
            }
            if user {
                packet = packet.with(Property::UserProperty("k", "v"));
            }
            packet
        },
    )
}

fn an_acknowledgement() -> impl Strategy<Value = Wire> {
    (0..4_usize, 1..6_u16, prop::bool::weighted(0.2)).prop_map(|(kind, id, refused)| {
        let packet = [puback, pubrec, pubrel, pubcomp][kind](id);
        match kind {
            0 | 1 if refused => packet.reason(ReasonCode::QuotaExceeded),
            _ => packet,
        }
    })
}

fn a_subscribe() -> impl Strategy<Value = Wire> {
    let handling = select(vec![RetainHandling::SendAtSubscribe, IF_NEW, NEVER_AGAIN]);
    let options = (0..3_u8, any::<bool>(), any::<bool>(), handling);
    (0..FILTERS.len(), options, 0..3_u32).prop_map(|(filter, (level, no_local, published, handling), id)| {
        let filter = FILTERS[filter];
        let mut options = qos(level).retain_handling(handling);
        if no_local && !filter.starts_with("$share") {
            options = options.no_local();
        }
        if published {
            options = options.retain_as_published();
        }
        let packet = subscribe(7, filter, options);
        if id == 0 { packet } else { packet.with(Property::SubscriptionIdentifier(id)) }
    })
}

fn a_packet() -> impl Strategy<Value = Wire> {
    let leave = select(vec![ReasonCode::Success, ReasonCode::DisconnectWithWillMessage]);
    prop_oneof![
        8 => a_publish(),
        8 => an_acknowledgement(),
        4 => a_subscribe(),
        1 => (0..FILTERS.len()).prop_map(|filter| unsubscribe(8, [FILTERS[filter]])),
        1 => Just(pingreq()),
        1 => (leave, prop::option::of(select(vec![0, 5]))).prop_map(|(reason, expiry)| match expiry {
            None => disconnect().reason(reason),
            Some(seconds) => disconnect().reason(reason).with(Property::SessionExpiryInterval(seconds)),
        }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = || 0..CLIENTS.len();
    let step = prop_oneof![
        5 => (client(), who()).prop_map(|(client, who)| Step::Connect(client, who)),
        20 => (client(), prop::collection::vec(a_packet(), 1..4)).prop_map(|(client, packets)| Step::Send(client, packets)),
        1 => client().prop_map(Step::StopReading),
        2 => (client(), 0..100_usize).prop_map(|(client, most)| Step::Read(client, most)),
        2 => client().prop_map(Step::Lose),
        2 => (0.0..8.0).prop_map(Step::Sleep),
        1 => Just(Step::Hold),
        2 => Just(Step::Durable),
        1 => Just(Step::WriteAtOnce),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..80)
}

fn hello(desk: &Desk, id: &str, who: &Who) -> Hello {
    let mut hello = desk.hello(id).version(who.version).keep_alive(who.keep_alive).expiry(who.expiry);
    if !who.clean_start {
        hello = hello.resume();
    }
    if who.is_bridge && who.version != ProtocolVersion::V5 {
        hello = hello.bridge();
    }
    if let Some(bytes) = who.packet_max {
        hello = hello.maximum_packet_size(bytes);
    }
    if let Some((topic, qos, retain, delay)) = who.will {
        let testament = will(TOPICS[topic], "gone").qos(qos).delay(delay);
        hello = hello.will(if retain { testament.retained() } else { testament });
    }
    hello.receive_maximum(who.receive_maximum).with(Property::TopicAliasMaximum(who.aliases))
}

fn run(steps: Vec<Step>) {
    let desk = Desk::with(|settings| {
        settings.max_inflight_messages = 3;
        settings.max_queued_messages = 4;
        settings.outbox_bytes_max = 300;
        settings.queue_qos0_messages = true;
    });
    let mut clients: [Option<Client>; CLIENTS.len()] = [const { None }; CLIENTS.len()];
    let mut crashed = false;
    for step in steps {
        match step {
            Step::Connect(n, who) => {
                if let Some(old) = clients[n].replace(hello(&desk, CLIENTS[n], &who).send()) {
                    old.take();
                    old.lose();
                }
            }
            Step::Send(n, packets) => {
                if let Some(client) = &clients[n] {
                    client.send_all(packets);
                }
            }
            Step::StopReading(n) => clients[n].iter().for_each(Client::stop_reading),
            Step::Read(n, most) => clients[n].iter().for_each(|client| {
                client.read_on();
                client.take();
                client.stop_reading();
                client.read(most);
            }),
            Step::Lose(n) => clients[n].iter().for_each(Client::lose),
            Step::Sleep(seconds) => desk.sleep(seconds),
            Step::Hold => desk.hold_batches(),
            Step::Durable => desk.durable(),
            Step::WriteAtOnce => desk.write_at_once(),
            Step::Crash => {
                crashed = true;
                desk.restart();
                clients.iter().flatten().for_each(|client| drop(client.take_bytes()));
                clients = [const { None }; CLIENTS.len()];
            }
        }
    }
    // All leave for good.
    desk.durable();
    desk.write_at_once();
    clients.iter().flatten().for_each(Client::read_on);
    clients.iter().flatten().for_each(|client| drop(client.take()));
    for id in CLIENTS {
        let client = desk.client(id);
        client.send(disconnect());
        client.expect_closed();
    }
    assert_eq!((desk.session_count(), desk.subscription_count()), (0, 0));
    desk.disk(|disk| {
        assert!(disk.sessions.is_empty() && disk.subscriptions.is_empty());
        assert!(disk.is_settled(), "something was left on the disk");
        assert_eq!(disk.retained.len(), desk.retained_count());
    });
    let pairs = [
        (Metric::SessionsCreated, Metric::SessionsEnded),
        (Metric::ConnectionsOpened, Metric::ConnectionsClosed),
    ];
    for (began, ended) in pairs {
        assert!(crashed || desk.metric(began) == desk.metric(ended), "{began:?} {ended:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_left(steps in steps()) {
        run(steps);
    }
}
