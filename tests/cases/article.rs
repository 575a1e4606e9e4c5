//! A tutorial's example, as its readers type it: a Python program and two command lines. Only the port is ours,
//! since 1883 may be in use on the machine that runs the tests.

use std::fs;

use e2e::clients::{Library, mosquitto_pub, python_file};
use e2e::{Broker, environment, eventually};

#[test]
fn python_program_with_paho_1() {
    the_python_program_prints_what_the_article_says(Library::Paho1);
}

#[test]
fn python_program_with_paho_2() {
    the_python_program_prints_what_the_article_says(Library::Paho2);
}

fn the_python_program_prints_what_the_article_says(library: Library) {
    let broker = Broker::start("");
    let program = fs::read_to_string(environment::source("python/article.py")).expect("a file of ours");
    assert_eq!(program.matches("1883").count(), 1);
    let copy = broker.file("article.py");
    fs::write(&copy, program.replace("1883", &broker.port().to_string())).expect("a directory of ours");

    let subscriber = python_file(library, copy).start();
    subscriber.wait_for_line("Connected with result code 0");
    // The program does not say when it has subscribed, so the command line is repeated until it has.
    eventually("the message arrives", || {
        publish_as_the_article_does(&broker);
        subscriber.lines().get(1).cloned()
    });
    assert_eq!(subscriber.lines()[..2], ["Connected with result code 0", "Received: test/topic Hello MQTT"]);
}

#[test]
fn command_lines() {
    let broker = Broker::start("");
    let subscriber = broker.mosquitto_sub("-h localhost -t test/topic").start();
    eventually("the message arrives", || {
        publish_as_the_article_does(&broker);
        subscriber.lines().first().cloned()
    });
    assert_eq!(subscriber.lines()[0], "Hello MQTT");
}

fn publish_as_the_article_does(broker: &Broker) {
    let line = mosquitto_pub(broker.port(), "-h localhost -t test/topic -m").arg("Hello MQTT");
    line.run().succeeds();
}
