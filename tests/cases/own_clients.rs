//! `noctule pub` and `noctule sub`, each with a stranger at the other end: Debian's clients and Debian's broker.

use e2e::Broker;
use e2e::clients::noctule;
use e2e::port::Port;
use e2e::program::Running;

const VERSIONS: [&str; 3] = ["31", "311", "5"];

/// `noctule sub`, subscribed; what it prints is `TOPIC QOS RETAIN PAYLOAD`.
fn subscriber(port: u16, args: &str) -> Running {
    let running = noctule("sub", port, args).args("-d -F").arg("message %t %q %r %p").start();
    running.wait_for_line("Subscribed (mid:");
    running
}

#[test]
fn what_we_publish_debians_client_receives() {
    let broker = Broker::start("");
    for version in VERSIONS {
        for qos in [0, 1, 2] {
            let subscriber = broker.subscriber("-t lamp/# -q 2 -C 1");
            let text = format!("{version}-{qos}");
            noctule("pub", broker.port(), &format!("-V {version} -t lamp/on -q {qos} -m {text}"))
                .run()
                .succeeds();
            subscriber.receives(&[format!("lamp/on {qos} 0 {text}")]);
        }
    }
}

#[test]
fn what_debians_client_publishes_we_receive() {
    let broker = Broker::start("");
    for version in VERSIONS {
        for qos in [0, 1, 2] {
            let subscriber = subscriber(broker.port(), &format!("-V {version} -t lamp/+ -q 2 -C 1"));
            let text = format!("{version}-{qos}");
            broker.mosquitto_pub(&format!("-t lamp/on -q {qos} -m {text}")).run().succeeds();
            subscriber.receives(&[format!("lamp/on {qos} 0 {text}")]);
        }
    }
}

#[test]
fn they_talk_through_debians_broker() {
    let broker = Broker::debian("");
    for version in VERSIONS {
        let subscriber = subscriber(broker.port(), &format!("-V {version} -t lamp -q 2 -C 2"));
        noctule("pub", broker.port(), &format!("-V {version} -t lamp -q 1 -m one")).run().succeeds();
        noctule("pub", broker.port(), &format!("-V {version} -t lamp -q 2 -m two")).run().succeeds();
        subscriber.receives(&["lamp 1 0 one", "lamp 2 0 two"]);
    }
}

#[test]
fn lines_of_standard_input_are_messages_in_order() {
    let broker = Broker::start("");
    let subscriber = broker.subscriber("-t numbers -q 1 -C 500");
    let lines: Vec<String> = (1..=500).map(|number| number.to_string()).collect();
    noctule("pub", broker.port(), "-t numbers -q 1 -l").stdin(lines.join("\n") + "\n").run().succeeds();
    subscriber.receives(&lines.iter().map(|line| format!("numbers 1 0 {line}")).collect::<Vec<_>>());
}

#[test]
fn bytes_pass_as_they_are() {
    let broker = Broker::start("");
    let payload: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    noctule("pub", broker.port(), "-t bytes -r -s").stdin(payload.clone()).run().succeeds();
    let ours = noctule("sub", broker.port(), "-t bytes -C 1 -N").run();
    assert!(ours.succeeds().stdout == payload, "noctule sub prints other bytes");
    let theirs = broker.mosquitto_sub("-t bytes -C 1 -N").run();
    assert!(theirs.succeeds().stdout == payload, "mosquitto_sub prints other bytes");
}

#[test]
fn a_will_is_published_for_a_killed_noctule_sub() {
    let broker = Broker::start("");
    let watcher = broker.subscriber("-t status -C 1");
    let mortal = subscriber(broker.port(), "-t x --will-topic status --will-payload gone --will-retain");
    mortal.kill();
    watcher.receives(&["status 0 0 gone"]);
}

#[test]
fn nobody_listens_there() {
    let port = Port::reserve(); // and nobody else gets it meanwhile
    noctule("pub", port.number(), "-t a -m b").run().exits_with(1).complains("Connection refused");
}
