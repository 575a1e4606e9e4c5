//! The flags that every client command has: where to connect, as whom, and how to say goodbye.
//!
//! The letters are Mosquitto's: `-h` is the host and `-V` the protocol version.

mod property_arg;
mod url;

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::ffi::OsStringExt;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use noctule_client::Endpoint;
use noctule_client::protocol::connection::ConnectOptions;
use noctule_client::protocol::connection::client::WillOptions;
use noctule_client::protocol::property::{Properties, Property};
use noctule_client::protocol::{ProtocolVersion, QoS, TopicName};

use crate::failure::{Failure, needs_v5};
pub(crate) use property_arg::PropertyArgs;
use url::Url;

/// What the common flags ask for.
#[derive(Debug)]
pub(crate) struct ConnectArgs {
    pub(crate) endpoint: Endpoint,
    pub(crate) options: ConnectOptions,
    /// Of `-L`.
    pub(crate) url_topic: Option<String>,
    /// Of the messages or subscriptions of the command.
    pub(crate) qos: QoS,
    pub(crate) properties: PropertyArgs,
    pub(crate) debug: bool,
    pub(crate) quiet: bool,
}

/// Messages in flight that a client announces, if it wants no fewer.
pub(crate) const RECEIVE_MAXIMUM: u16 = 20;

/// Adds the common flags.
pub(crate) fn add(command: Command) -> Command {
    command
        .disable_help_flag(true)
        .next_help_heading("Connection")
        .arg(host())
        .arg(port())
        .arg(
            value("url", Some('L'), "URL", "mqtt://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC, instead of -h -p -u -P -t")
                .conflicts_with_all(["host", "port"]),
        )
        .arg(user_name())
        .arg(password())
        .arg(value("id", Some('i'), "ID", "Client identifier [default: the broker chooses]").allow_hyphen_values(true))
        .arg(
            value("id-prefix", Some('I'), "PREFIX", "Client identifier: this and the process id")
                .conflicts_with("id"),
        )
        .arg(value("keepalive", Some('k'), "SECONDS", "Longest silence; 0 is no limit [default: 60]").value_parser(value_parser!(u16)))
        .arg(switch("disable-clean-session", Some('c'), "Keep the session when the client is gone; needs -i"))
        .arg(
            value("session-expiry-interval", Some('x'), "SECONDS", "How long to keep it; -1 is for ever (MQTT 5)")
                .allow_hyphen_values(true),
        )
        .arg(
            value("protocol-version", Some('V'), "VERSION", "MQTT version: 31, 311 or 5 [default: 311]")
                .value_parser(["31", "mqttv31", "311", "mqttv311", "5", "mqttv5"])
                .hide_possible_values(true),
        )
        .arg(
            Arg::new("property")
                .short('D')
                .long("property")
                .num_args(1..=4)
                .value_names(["PACKET", "NAME", "VALUE"])
                .action(ArgAction::Append)
                .help("A property of connect, publish, subscribe, unsubscribe, disconnect or will; user-property takes a name and a value (MQTT 5)"),
        )
        .next_help_heading("Will: what the broker publishes if this client is lost")
        .arg(value("will-topic", None, "TOPIC", "Its topic"))
        .arg(
            value("will-payload", None, "TEXT", "Its payload [default: empty]")
                .value_parser(value_parser!(OsString))
                .allow_hyphen_values(true),
        )
        .arg(value("will-qos", None, "QOS", "Its QoS [default: 0]").value_parser(value_parser!(u8).range(0..=2)))
        .arg(switch("will-retain", None, "Publish it as a retained message"))
        .next_help_heading("Output")
        .arg(switch("debug", Some('d'), "Show every packet on standard error"))
        .arg(switch("quiet", None, "Say nothing on standard error"))
        .arg(Arg::new("help").long("help").action(ArgAction::Help).help("Show this help"))
}

/// Where the broker is and who asks, for a command that has connections but no single client.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) endpoint: Endpoint,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<String>,
}

impl Server {
    /// The flags that say it; `-P` may be bytes, so its reader is the command.
    pub(crate) fn args() -> [Arg; 5] {
        [
            host(),
            port(),
            value("url", Some('L'), "URL", "mqtt://[USER[:PASSWORD]@]HOST[:PORT], instead of -h -p -u -P")
                .conflicts_with_all(["host", "port"]),
            user_name(),
            password(),
        ]
    }

    pub(crate) fn read(matches: &ArgMatches) -> Result<Self, Failure> {
        let url = matches.get_one::<String>("url").map(|text| Url::parse_server(text)).transpose()?;
        Ok(Self {
            endpoint: endpoint(matches, url.as_ref()),
            user_name: text(matches, "username").or(url.as_ref().and_then(|url| url.user_name.clone())),
            password: url.and_then(|url| url.password),
        })
    }
}

fn host() -> Arg {
    value("host", Some('h'), "HOST", "Host of the broker [default: localhost]")
}

fn port() -> Arg {
    value("port", Some('p'), "PORT", "Port of the broker [default: 1883]")
        .value_parser(value_parser!(u16).range(1..))
}

fn user_name() -> Arg {
    value("username", Some('u'), "NAME", "User name").allow_hyphen_values(true)
}

fn password() -> Arg {
    value("pw", Some('P'), "PASSWORD", "Password; other users of this machine can see it in the process list")
        .value_parser(value_parser!(OsString))
        .allow_hyphen_values(true)
}

fn endpoint(matches: &ArgMatches, url: Option<&Url>) -> Endpoint {
    match url {
        Some(url) => url.endpoint(),
        None => Endpoint::new(
            text(matches, "host").unwrap_or_else(|| "localhost".to_owned()),
            matches.get_one("port").copied().unwrap_or(Endpoint::DEFAULT_PORT),
        ),
    }
}

/// A flag with a value.
pub(crate) fn value(
    name: &'static str,
    short: Option<char>,
    value_name: &'static str,
    help: &'static str,
) -> Arg {
    Arg::new(name).long(name).short(short).value_name(value_name).help(help)
}

/// A flag without a value.
pub(crate) fn switch(name: &'static str, short: Option<char>, help: &'static str) -> Arg {
    Arg::new(name).long(name).short(short).action(ArgAction::SetTrue).help(help)
}

/// `-q`, whose meaning differs from command to command.
pub(crate) fn qos(help: &'static str) -> Arg {
    value("qos", Some('q'), "QOS", help).value_parser(value_parser!(u8).range(0..=2))
}

impl ConnectArgs {
    /// Reads the common flags. `v5_flags` are those of the command that only MQTT 5 has; `receive_maximum` is announced
    /// unless `-D connect receive-maximum` says otherwise.
    pub(crate) fn read(
        matches: &ArgMatches,
        v5_flags: &[&str],
        receive_maximum: u16,
    ) -> Result<Self, Failure> {
        let url = matches.get_one::<String>("url").map(|text| Url::parse(text)).transpose()?;
        let version = version(matches, v5_flags)?;
        let properties =
            PropertyArgs::parse(matches.get_occurrences::<String>("property").into_iter().flatten())?;
        let mut options = ConnectOptions::new(version, client_id(matches, version));
        options.clean_start = !matches.get_flag("disable-clean-session");
        options.keep_alive = keep_alive(matches)?;
        options.user_name = text(matches, "username").or(url.as_ref().and_then(|url| url.user_name.clone()));
        options.password = bytes(matches, "pw")
            .or(url.as_ref().and_then(|url| url.password.clone().map(String::into_bytes)));
        if options.password.is_some() && options.user_name.is_none() && version != ProtocolVersion::V5 {
            // [MQTT311-3.1.2-22]
            return Err(Failure::usage_with_hint(
                "Error: -P needs a user name.",
                "give -u too; only MQTT 5 knows a password without a user name",
            ));
        }
        options.will = will(matches, &properties)?;
        options.properties = connect_properties(matches, &options, &properties.connect, receive_maximum)?;
        options.maximum_packet_size = options.properties.maximum_packet_size().unwrap_or(u32::MAX);
        Ok(Self {
            endpoint: endpoint(matches, url.as_ref()),
            options,
            url_topic: url.map(|url| url.topic),
            qos: qos_of(matches, "qos"),
            properties,
            debug: matches.get_flag("debug"),
            quiet: matches.get_flag("quiet"),
        })
    }
}

/// A text value.
pub(crate) fn text(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.get_one::<String>(name).cloned()
}

/// A value that need not be UTF-8.
pub(crate) fn bytes(matches: &ArgMatches, name: &str) -> Option<Vec<u8>> {
    matches.get_one::<OsString>(name).cloned().map(OsString::into_vec)
}

fn qos_of(matches: &ArgMatches, name: &str) -> QoS {
    matches.get_one::<u8>(name).and_then(|level| QoS::from_level(*level)).unwrap_or_default()
}

/// What only MQTT 5 has chooses it, as in Mosquitto; together with another `-V` it is a contradiction.
fn version(matches: &ArgMatches, v5_flags: &[&str]) -> Result<ProtocolVersion, Failure> {
    let asked = match matches.get_one::<String>("protocol-version").map(String::as_str) {
        None => None,
        Some("31" | "mqttv31") => Some(ProtocolVersion::V31),
        Some("5" | "mqttv5") => Some(ProtocolVersion::V5),
        // The parser knows no others.
        Some(_) => Some(ProtocolVersion::V311),
    };
    let given = |name: &&str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let v5_flag = ["property", "session-expiry-interval"].iter().chain(v5_flags).find(|name| given(name));
    match (asked, v5_flag) {
        (Some(version @ (ProtocolVersion::V31 | ProtocolVersion::V311)), Some(flag)) => {
            Err(needs_v5(&format!("--{flag}"), version))
        }
        (None, Some(_)) => Ok(ProtocolVersion::V5),
        (asked, _) => Ok(asked.unwrap_or(ProtocolVersion::V311)),
    }
}

/// Empty to let the broker choose, which 3.1 does not know.
fn client_id(matches: &ArgMatches, version: ProtocolVersion) -> String {
    match (text(matches, "id"), text(matches, "id-prefix")) {
        (Some(id), _) => id,
        (None, Some(prefix)) => format!("{prefix}{}", std::process::id()),
        // 23 characters is the most that 3.1 allows. The hasher's keys are random.
        (None, None) if version == ProtocolVersion::V31 => {
            format!("noctule{:016x}", RandomState::new().build_hasher().finish())
        }
        (None, None) => String::new(),
    }
}

fn keep_alive(matches: &ArgMatches) -> Result<u16, Failure> {
    match matches.get_one::<u16>("keepalive").copied() {
        None => Ok(60),
        Some(1..=4) => {
            Err(Failure::usage("Error: Invalid keepalive given, it must be between 5 and 65535 inclusive."))
        }
        Some(seconds) => Ok(seconds),
    }
}

fn will(matches: &ArgMatches, properties: &PropertyArgs) -> Result<Option<WillOptions>, Failure> {
    let Some(topic) = text(matches, "will-topic") else {
        let orphan = ["will-payload", "will-retain", "will-qos"]
            .into_iter()
            .find(|name| matches.value_source(name) == Some(ValueSource::CommandLine));
        return match orphan {
            Some(name) => {
                let what = name.replace('-', " ").replacen('w', "W", 1);
                Err(Failure::usage(format!("Error: {what} given, but no will topic given.")))
            }
            None if properties.will.is_empty() => Ok(None),
            None => Err(Failure::usage("Error: Will properties given, but no will topic given.")),
        };
    };
    if TopicName::parse(&topic).is_err() {
        return Err(Failure::usage(format!(
            "Error: Invalid will topic '{topic}', does it contain '+' or '#'?"
        )));
    }
    let payload = bytes(matches, "will-payload").unwrap_or_default();
    if payload.len() > usize::from(u16::MAX) {
        return Err(Failure::usage(
            "Error: --will-payload is longer than 65535 bytes, the most that MQTT allows.",
        ));
    }
    Ok(Some(WillOptions {
        topic,
        payload,
        qos: qos_of(matches, "will-qos"),
        retain: matches.get_flag("will-retain"),
        properties: properties.will.clone(),
    }))
}

/// Session Expiry Interval and Receive Maximum, and what `-D` says, which goes before.
fn connect_properties(
    matches: &ArgMatches,
    options: &ConnectOptions,
    given: &Properties<'static>,
    receive_maximum: u16,
) -> Result<Properties<'static>, Failure> {
    let nameless = options.client_id.is_empty() || matches.contains_id("id-prefix");
    if !options.version.has_properties() {
        if !options.clean_start && nameless {
            return Err(Failure::usage(
                "Error: You must provide a client id if you are using the -c option.",
            ));
        }
        return Ok(Properties::EMPTY);
    }
    let mut properties = given.clone();
    let session_expiry = match text(matches, "session-expiry-interval") {
        Some(text) => Some(session_expiry(&text)?),
        None if given.session_expiry_interval().is_some() || options.clean_start => None,
        None => Some(u32::MAX),
    };
    if let Some(seconds @ 1..) = session_expiry {
        if seconds == u32::MAX && nameless {
            return Err(Failure::usage(
                "Error: You must provide a client id if you are using an infinite session expiry interval.",
            ));
        }
        if given.session_expiry_interval().is_some() {
            return Err(Failure::usage(
                "Error: -x and -D connect session-expiry-interval say the same twice.",
            ));
        }
        properties.push(Property::SessionExpiryInterval(seconds));
    }
    if given.receive_maximum().is_none() {
        properties.push(Property::ReceiveMaximum(receive_maximum));
    }
    Ok(properties)
}

fn session_expiry(text: &str) -> Result<u32, Failure> {
    if text == "∞" {
        return Ok(u32::MAX);
    }
    match text.parse::<i64>() {
        Ok(-1) => Ok(u32::MAX),
        Ok(seconds) => {
            u32::try_from(seconds).map_err(|_| Failure::usage("Error: session-expiry-interval out of range."))
        }
        Err(_) => Err(Failure::usage("Error: session-expiry-interval not a number.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<ConnectArgs, Failure> {
        let words = [&["command"], words].concat();
        let command = add(Command::new("command")).arg(qos("")).arg(switch("only-v5", None, ""));
        ConnectArgs::read(&command.try_get_matches_from(words).unwrap(), &["only-v5"], RECEIVE_MAXIMUM)
    }

    fn refused(words: &[&str], expected: &str) {
        assert_eq!(read(words).unwrap_err(), Failure::usage(expected), "{words:?}");
    }

    #[test]
    fn nothing_is_the_local_broker() {
        let args = read(&[]).unwrap();
        assert_eq!(args.endpoint, Endpoint::new("localhost", 1883));
        assert_eq!((args.options.version, args.options.keep_alive), (ProtocolVersion::V311, 60));
        assert!(args.options.clean_start && args.options.client_id.is_empty() && args.options.will.is_none());
        assert!(!args.debug && !args.quiet);
    }

    #[test]
    fn short_and_long_are_the_same() {
        let short = "-h there -p 1884 -u joe -P secret -i me -k 0 -c -x 7 -V 5 -q 2 -D connect receive-maximum 3 -d --quiet";
        let long = "--host there --port 1884 --username joe --pw secret --id me --keepalive 0 \
                    --disable-clean-session --session-expiry-interval 7 --protocol-version mqttv5 --qos 2 \
                    --property connect receive-maximum 3 --debug --quiet";
        for line in [short, long] {
            let args = read(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
            assert_eq!(args.endpoint, Endpoint::new("there", 1884));
            assert_eq!(args.qos, QoS::ExactlyOnce);
            let options = args.options;
            assert_eq!(options.version, ProtocolVersion::V5);
            assert_eq!(options.user_name.as_deref(), Some("joe"));
            assert_eq!(options.password.as_deref(), Some(&b"secret"[..]));
            assert_eq!(
                (options.client_id.as_str(), options.clean_start, options.keep_alive),
                ("me", false, 0)
            );
            assert_eq!(options.properties.session_expiry_interval(), Some(7));
            assert_eq!(options.properties.receive_maximum(), Some(3));
            assert!(args.debug && args.quiet);
        }
    }

    #[test]
    fn a_url_says_where_and_who() {
        let args = read(&["-L", "mqtt://joe:secret@there:1884/lamp/1"]).unwrap();
        assert_eq!(args.endpoint, Endpoint::new("there", 1884));
        assert_eq!(args.url_topic.as_deref(), Some("lamp/1"));
        assert_eq!(args.options.user_name.as_deref(), Some("joe"));
        assert_eq!(args.options.password.as_deref(), Some(&b"secret"[..]));
        let other = read(&["-L", "mqtt://joe:secret@there/lamp", "-u", "ann"]).unwrap();
        assert_eq!(other.options.user_name.as_deref(), Some("ann"));
    }

    #[test]
    fn flags_of_mqtt_5_choose_it_and_contradict_others() {
        for words in
            [&["-x", "-1", "-i", "me"][..], &["-D", "connect", "receive-maximum", "3"], &["--only-v5"]]
        {
            assert_eq!(read(words).unwrap().options.version, ProtocolVersion::V5, "{words:?}");
            let old = [words, &["-V", "311"]].concat();
            assert!(read(&old).is_err(), "{old:?}");
        }
        assert_eq!(read(&["-V", "mqttv31"]).unwrap().options.version, ProtocolVersion::V31);
    }

    #[test]
    fn a_kept_session_needs_a_name() {
        refused(&["-c"], "Error: You must provide a client id if you are using the -c option.");
        refused(&["-c", "-I", "x"], "Error: You must provide a client id if you are using the -c option.");
        let infinite =
            "Error: You must provide a client id if you are using an infinite session expiry interval.";
        refused(&["-c", "-V", "5"], infinite);
        refused(&["-x", "∞"], infinite);
        let expiry = |words: &[&str]| read(words).unwrap().options.properties.session_expiry_interval();
        assert_eq!(expiry(&["-c", "-V", "5", "-i", "me"]), Some(u32::MAX));
        assert_eq!(expiry(&["-c", "-x", "0", "-i", "me"]), None);
        assert_eq!(expiry(&["-x", "9"]), Some(9));
        assert_eq!(expiry(&["-V", "5"]), None);
        refused(&["-x", "4294967296"], "Error: session-expiry-interval out of range.");
        refused(&["-x", "-2"], "Error: session-expiry-interval out of range.");
        refused(&["-x", "soon"], "Error: session-expiry-interval not a number.");
    }

    #[test]
    fn identifiers() {
        let id = |words: &[&str]| read(words).unwrap().options.client_id;
        assert_eq!(id(&["-i", "-me-"]), "-me-");
        assert_eq!(id(&["-I", "x-"]), format!("x-{}", std::process::id()));
        let made_up = id(&["-V", "31"]);
        assert_eq!(made_up.len(), 23, "{made_up}");
        assert_ne!(made_up, id(&["-V", "31"]));
    }

    #[test]
    fn a_will_needs_a_topic() {
        let will =
            read(&["--will-topic", "gone", "--will-payload", "-x", "--will-qos", "1", "--will-retain"]);
        let will = will.unwrap().options.will.unwrap();
        assert_eq!((will.topic.as_str(), will.payload.as_slice()), ("gone", &b"-x"[..]));
        assert_eq!((will.qos, will.retain), (QoS::AtLeastOnce, true));
        refused(&["--will-payload", "x"], "Error: Will payload given, but no will topic given.");
        refused(&["--will-retain"], "Error: Will retain given, but no will topic given.");
        refused(&["--will-topic", "a/#"], "Error: Invalid will topic 'a/#', does it contain '+' or '#'?");
    }

    #[test]
    fn a_short_keep_alive_is_refused_as_in_mosquitto() {
        refused(&["-k", "4"], "Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.");
        assert_eq!(read(&["-k", "5"]).unwrap().options.keep_alive, 5);
    }

    #[test]
    fn a_password_alone_is_mqtt_5s() {
        assert!(read(&["-P", "x"]).is_err());
        assert!(read(&["-P", "x", "-V", "5"]).is_ok());
    }
}
