//! Shared subscriptions: a message goes to one member of the group.

use e2e::{Broker, Running};

fn group(broker: &Broker, name: &str, members: usize) -> Vec<Running> {
    (0..members)
        .map(|member| broker.subscriber(&format!("-V mqttv5 -i {name}{member} -t $share/{name}/jobs -q 1")))
        .collect()
}

fn publish(broker: &Broker, from: usize, to: usize) {
    let lines: Vec<String> = (from..to).map(|number| format!("{number}\n")).collect();
    broker.mosquitto_pub("-t jobs -q 1 -l").stdin(lines.concat()).run().succeeds();
}

/// Waits until the members together have this many messages; gives the count of each, and all sorted.
fn shared_out(members: &[Running], count: usize) -> (Vec<usize>, Vec<usize>) {
    e2e::eventually("the group has received all messages", || {
        let messages: Vec<Vec<String>> = members.iter().map(Running::messages).collect();
        let counts: Vec<usize> = messages.iter().map(Vec::len).collect();
        if counts.iter().sum::<usize>() < count {
            return None;
        }
        let mut numbers: Vec<usize> = messages
            .iter()
            .flatten()
            .map(|message| message.rsplit(' ').next().expect("a part").parse().expect("a number"))
            .collect();
        numbers.sort_unstable();
        Some((counts, numbers))
    })
}

#[test]
fn every_member_gets_a_share() {
    let broker = Broker::start("");
    let members = group(&broker, "workers", 3);
    publish(&broker, 0, 300);
    let (counts, numbers) = shared_out(&members, 300);
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    // A member that reads slowly may get less than its third.
    assert!(counts.iter().all(|&count| count >= 20), "no member is starved: {counts:?}");
}

#[test]
fn each_group_and_each_plain_subscription_gets_all() {
    let broker = Broker::start("");
    let groups = [group(&broker, "left", 2), group(&broker, "right", 2)];
    let plain = broker.subscriber("-t jobs -q 1 -C 50");
    publish(&broker, 0, 50);
    for members in groups {
        let (_, numbers) = shared_out(&members, 50);
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    }
    plain.receives(&(0..50).map(|number| format!("jobs 1 0 {number}")).collect::<Vec<_>>());
}

#[test]
fn who_stays_gets_what_comes_after_others_leave() {
    let broker = Broker::start("");
    let stays = group(&broker, "workers", 1).remove(0);
    let alone = broker.open_files();
    let others: Vec<Running> = ["-i a", "-i b"]
        .map(|id| broker.subscriber(&format!("-V mqttv5 {id} -t $share/workers/jobs -q 1")))
        .into();
    drop(others);
    e2e::eventually("the broker has closed what others left", || {
        (broker.open_files() == alone).then_some(())
    });
    publish(&broker, 0, 40);
    assert_eq!(stays.wait_for_messages(40).len(), 40);
}

#[test]
fn version_3_clients_share_too() {
    let broker = Broker::start("");
    let members: Vec<Running> =
        (0..2).map(|_| broker.subscriber("-V mqttv311 -t $share/workers/jobs -q 1")).collect();
    publish(&broker, 0, 100);
    let (counts, numbers) = shared_out(&members, 100);
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
}
