//! The clients of others, ready to run against a port.

use std::env;

use crate::broker::Broker;
use crate::environment::{broker, client, source};
use crate::program::{Finished, Program, Running};

/// What [`subscriber`] puts before each message, to tell it from the debug output around it.
const MESSAGE: &str = "message ";

/// Debian's `mosquitto_pub`.
pub fn mosquitto_pub(port: u16, args: &str) -> Program {
    mosquitto("/usr/bin/mosquitto_pub", port, args)
}

/// Debian's `mosquitto_sub`.
pub fn mosquitto_sub(port: u16, args: &str) -> Program {
    mosquitto("/usr/bin/mosquitto_sub", port, args)
}

/// Debian's `mosquitto_sub`, started and subscribed. Its messages read `TOPIC QOS RETAIN PAYLOAD`.
#[track_caller]
pub fn subscriber(port: u16, args: &str) -> Running {
    let running = returning_subscriber(port, args);
    running.wait_for_line("Subscribed (mid:");
    running
}

/// [`subscriber`], without waiting until it has subscribed: a session that it returns to may give it all it
/// wants before that.
#[track_caller]
pub fn returning_subscriber(port: u16, args: &str) -> Running {
    let format = format!("{MESSAGE}%t %q %r %p");
    mosquitto_sub(port, args).args("-d -F").arg(format).start()
}

/// The command `noctule pub` or `noctule sub` of the program under test.
pub fn noctule(command: &str, port: u16, args: &str) -> Program {
    Program::new(broker()).arg(command).args(&format!("-p {port} {args}"))
}

pub(crate) fn mosquitto(program: &str, port: u16, args: &str) -> Program {
    // Into a pipe they would write their debug output when they end. And options from the files of the user
    // who runs the tests must not reach them.
    Program::new("stdbuf")
        .arg("-oL")
        .arg(client(program))
        .env("XDG_CONFIG_HOME", env::temp_dir())
        .args(&format!("-p {port} {args}"))
}

impl Broker {
    /// [`mosquitto_pub`] to this broker.
    pub fn mosquitto_pub(&self, args: &str) -> Program {
        mosquitto_pub(self.port(), args)
    }

    /// [`mosquitto_sub`] to this broker.
    pub fn mosquitto_sub(&self, args: &str) -> Program {
        mosquitto_sub(self.port(), args)
    }

    /// [`subscriber`] to this broker.
    #[track_caller]
    pub fn subscriber(&self, args: &str) -> Running {
        subscriber(self.port(), args)
    }

    /// [`returning_subscriber`] to this broker.
    #[track_caller]
    pub fn returning_subscriber(&self, args: &str) -> Running {
        returning_subscriber(self.port(), args)
    }
}

impl Running {
    /// What a [`subscriber`] has received.
    pub fn messages(&self) -> Vec<String> {
        messages(&self.lines())
    }

    /// Waits until a [`subscriber`] has received this many messages, or more; gives all of them.
    #[track_caller]
    pub fn wait_for_messages(&self, count: usize) -> Vec<String> {
        self.wait_for(&format!("{count} messages"), |lines| {
            Some(messages(lines)).filter(|messages| messages.len() >= count)
        })
    }

    /// A [`subscriber`] ends by itself, for example by `-C`, having received exactly these.
    #[track_caller]
    pub fn receives(self, expected: &[impl AsRef<str>]) -> Finished {
        let finished = self.finish();
        finished.succeeds();
        let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
        assert_eq!(messages(&finished.lines()), expected, "the messages received");
        finished
    }
}

fn messages(lines: &[String]) -> Vec<String> {
    lines.iter().filter_map(|line| line.strip_prefix(MESSAGE)).map(str::to_owned).collect()
}

/// A Python program of `tests/clients/python`, which is told the port, with the library of this version.
pub fn python(library: Library, script: &str, port: u16) -> Program {
    python_file(library, source("python").join(script)).arg(port.to_string())
}

/// A Python program from anywhere.
pub fn python_file(library: Library, script: impl AsRef<std::path::Path>) -> Program {
    let environment = match library {
        Library::Paho1 => "paho1/bin/python",
        Library::Paho2 => "paho2/bin/python",
    };
    Program::new(client(environment)).arg("-u").arg(script.as_ref())
}

/// Which Python library.
#[derive(Clone, Copy, Debug)]
pub enum Library {
    /// paho-mqtt 1.6.1
    Paho1,
    /// paho-mqtt 2 and aiomqtt
    Paho2,
}

/// A program of `tests/clients/node` with mqtt.js, which is told the port.
pub fn node(script: &str, port: u16) -> Program {
    let libraries = client("node/node_modules");
    Program::new("node").env("NODE_PATH", libraries).arg(source("node").join(script)).arg(port.to_string())
}

/// `tests/clients/go` with Paho's Go client: a command, the port, more arguments.
pub fn go(command: &str, port: u16, args: &str) -> Program {
    Program::new(client("go-client")).arg(command).arg(port.to_string()).args(args)
}
