//! Measures brokers side by side, and shakes ours until something falls off.

mod broker;
mod compare;
mod disturb;
mod durable;
mod empty;
mod generator;
mod program;
mod relay;
mod restart;
mod scenario;
mod soak;
mod summary;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use compare::{Comparison, Report, Way};
use generator::Generator;
use program::Program;
use scenario::Choice;

/// Measures MQTT brokers on this machine.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs scenarios against brokers, interleaved, each broker fresh for each run, and prints a table.
    Compare(CompareArguments),
    /// What a thousand honest clients notice of a reader that stopped, of a login storm, and of connections that never say
    /// who they are: the latency alone and beside it.
    Disturb {
        /// As in `compare`.
        #[arg(long = "broker", required = true)]
        brokers: Vec<Program>,
        /// How often each pair is run.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// How long a run is.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// As in `compare`.
        #[arg(long)]
        pinned: bool,
    },
    /// What it costs to keep what is acknowledged, with 1 to 1000 publishers: rates, latencies of acknowledgements, bytes
    /// written, and how fast it is drained.
    Durable {
        /// As in `compare`; all ways that are compared in the documentation unless given.
        #[arg(long = "broker")]
        brokers: Vec<Program>,
        /// How often each pair is run.
        #[arg(long, default_value_t = 3)]
        runs: usize,
        /// 1 or 2; both unless given.
        #[arg(long)]
        qos: Option<u8>,
        /// As in `compare`.
        #[arg(long)]
        pinned: bool,
    },
    /// Size, start, memory and wake-ups of brokers that have nothing to do.
    Empty {
        /// As in `compare`.
        #[arg(long = "broker", required = true)]
        brokers: Vec<Program>,
        /// How long each is watched.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// How soon a broker that holds much serves again, after it was ended and after it was killed.
    Restart {
        /// As in `compare`; ours and Mosquitto unless given.
        #[arg(long = "broker")]
        brokers: Vec<Program>,
        /// How often each is run.
        #[arg(long, default_value_t = 3)]
        runs: usize,
        /// Retained messages.
        #[arg(long, default_value_t = 1_000_000)]
        retained: u64,
        /// Messages that wait for sessions.
        #[arg(long, default_value_t = 1_000_000)]
        queued: u64,
        /// Sessions they wait for, with a subscription each.
        #[arg(long, default_value_t = 100_000)]
        sessions: u64,
    },
    /// A long mixed load: steady pairs, a fan-out, a shared subscription, retained messages, reconnect storms, subscription
    /// churn, slow readers and Wills at once. Ends with an error if a message is lost, doubled or out of order, or if the
    /// broker's memory grows.
    Soak {
        /// As in `compare`.
        #[arg(long, default_value = "noctule:threads=2")]
        broker: Program,
        /// How long.
        #[arg(long, default_value_t = 10, conflicts_with = "seconds")]
        minutes: u64,
        /// How long, for a short form.
        #[arg(long)]
        seconds: Option<u64>,
    },
    /// The ceiling: passes bytes on and parses next to nothing.
    Relay {
        /// Where to listen.
        address: SocketAddr,
        /// Acknowledge messages of QoS 1 and 2 when they are in this file and it is synced: what came in one turn at once.
        #[arg(long)]
        log: Option<PathBuf>,
    },
}

#[derive(Args)]
struct CompareArguments {
    /// A scenario of `noctule bench`, or `traffic`, `state` or `all`; flags for the load may follow:
    /// `p2p1:protocol=5`. May be given several times.
    #[arg(long = "scenario", required_unless_present = "small")]
    scenarios: Vec<Choice>,
    /// relay, noctule, mosquitto, rumqttd, nats, or the path of one of these programs; options may follow:
    /// `noctule:threads=2,cores=0-1,name=two shards`. May be given several times; ratios are to the first one.
    #[arg(long = "broker", required = true)]
    brokers: Vec<Program>,
    /// One short run of everything: shows whether the benchmarks work, not how fast anything is.
    #[arg(long, conflicts_with_all = ["runs", "messages", "seconds", "items"])]
    small: bool,
    /// How often each pair is run.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Hold each broker to core 0 (or its `cores`), and the load to core 1.
    #[arg(long)]
    pinned: bool,
    /// How long traffic runs.
    #[arg(long, default_value_t = 3, conflicts_with = "messages")]
    seconds: u64,
    /// How many deliveries traffic makes, instead of `--seconds`.
    #[arg(long)]
    messages: Option<u64>,
    /// How many items the scenarios of state make.
    #[arg(long)]
    items: Option<u64>,
    /// After how many seconds a run has failed.
    #[arg(long, default_value_t = 300)]
    patience: u64,
    /// The program whose `bench` command makes the load; by default `noctule` beside this one.
    #[arg(long)]
    load: Option<PathBuf>,
    /// Print a table that has the brokers side by side, for a document.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print a line of JSON for each phase of each run.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Relay { address, log } => relay::run(address, log.as_deref()).context("relay"),
        Command::Compare(arguments) => compare(arguments),
        Command::Disturb { brokers, runs, seconds, pinned } => {
            ensure!(runs > 0, "--runs must be at least 1");
            set_limits()?;
            let generator = Generator {
                path: std::env::current_exe()?.with_file_name("noctule"),
                cores: pinned.then(|| "1".to_owned()),
                seconds,
                messages: None,
                items: None,
                patience: Duration::from_secs(seconds.saturating_add(60)),
            };
            disturb::run(&brokers, runs, pinned, &generator)
        }
        Command::Durable { brokers, runs, qos, pinned } => {
            ensure!(runs > 0, "--runs must be at least 1");
            ensure!(qos.is_none_or(|qos| qos == 1 || qos == 2), "--qos must be 1 or 2");
            set_limits()?;
            let generator = Generator {
                path: std::env::current_exe()?.with_file_name("noctule"),
                cores: pinned.then(|| "1".to_owned()),
                seconds: 0,
                messages: None,
                items: None,
                patience: Duration::from_secs(120),
            };
            let brokers = if brokers.is_empty() { durable::brokers()? } else { brokers };
            let qos_levels = qos.map_or(vec![1, 2], |qos| vec![qos]);
            durable::run(brokers, &qos_levels, &Way { generator, runs, pinned, is_judged: true })
        }
        Command::Empty { brokers, seconds } => empty::run(&brokers, Duration::from_secs(seconds.max(1))),
        Command::Restart { brokers, runs, retained, queued, sessions } => {
            ensure!(runs > 0, "--runs must be at least 1");
            set_limits()?;
            let load = std::env::current_exe()?.with_file_name("noctule");
            let brokers = if brokers.is_empty() { restart::brokers()? } else { brokers };
            restart::run(&brokers, runs, &restart::Held { retained, queued, sessions }, &load)
        }
        Command::Soak { broker, minutes, seconds } => {
            set_limits()?;
            soak::run(&broker, Duration::from_secs(seconds.unwrap_or(minutes.saturating_mul(60))))
        }
    }
}

fn compare(mut arguments: CompareArguments) -> Result<()> {
    if arguments.small {
        (arguments.runs, arguments.messages, arguments.items) = (1, Some(2000), Some(300));
        if arguments.scenarios.is_empty() {
            arguments.scenarios.push("all".parse().map_err(anyhow::Error::msg)?);
        }
    }
    ensure!(arguments.runs > 0, "--runs must be at least 1");
    set_limits()?;
    let load = match arguments.load {
        Some(load) => load,
        None => std::env::current_exe()?.with_file_name("noctule"),
    };
    let generator = Generator {
        path: load,
        cores: arguments.pinned.then(|| "1".to_owned()),
        seconds: arguments.seconds,
        messages: arguments.messages,
        items: arguments.items,
        patience: Duration::from_secs(arguments.patience),
    };
    let scenarios = arguments.scenarios.into_iter().flat_map(|choice| choice.0).collect();
    let way = Way { generator, runs: arguments.runs, pinned: arguments.pinned, is_judged: !arguments.small };
    let mut report = Report { json: arguments.json };
    let comparison = Comparison::run(arguments.brokers, scenarios, &way, &mut report)?;
    match (arguments.json, arguments.markdown) {
        (true, _) => {}
        (false, true) => print!("{}", table::markdown(&comparison)),
        (false, false) => print!("{}", table::text(&comparison)),
    }
    let failures = comparison.own_failures();
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    Ok(())
}

/// Brokers and load inherit the limits. Ten thousand connections need more open files than a shell's usual thousand; and a
/// broker that asks for more memory than the machine can spare shall end alone.
fn set_limits() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raise the limit of open files")?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_AS)?;
    let most = (memory_bytes()? / 4 * 3).min(soft);
    setrlimit(Resource::RLIMIT_AS, most, hard).context("limit the memory of a process")
}

fn memory_bytes() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let kib: u64 = kib.context("/proc/meminfo has no MemTotal")?.parse()?;
    Ok(kib * 1024)
}
