//! What the command line asks for.

use std::time::Duration;

use clap::ArgMatches;
use noctule_client::protocol::packet::{RetainHandling, SubscriptionOptions};
use noctule_client::protocol::{SubscriptionFilter, TopicFilter, TopicName};

use crate::connect_args::{ConnectArgs, RECEIVE_MAXIMUM, text};
use crate::failure::Failure;
use crate::message_format::MessageFormat;

#[derive(Debug)]
pub(super) struct Request {
    pub(super) connect: ConnectArgs,
    subscribe: Vec<String>,
    unsubscribe: Vec<String>,
    filter_out: Vec<String>,
    pub(super) options: SubscriptionOptions,
    /// End after so many messages.
    pub(super) count: Option<u64>,
    /// Give up after this time.
    pub(super) timeout: Option<Duration>,
    pub(super) exit_after_sub: bool,
    pub(super) retained: Retained,
    pub(super) remove_retained: bool,
    pub(super) format: MessageFormat,
}

/// Which messages are wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Retained {
    Printed,
    NotPrinted,
    /// The first other message is the end.
    Only,
}

impl Request {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, Failure> {
        let count = matches.get_one::<u64>("count").copied();
        // What is received beyond the count would be of use to nobody.
        let wanted = count.and_then(|count| u16::try_from(count).ok()).unwrap_or(RECEIVE_MAXIMUM);
        let v5_flags = ["retain-as-published", "retain-handling"];
        let connect = ConnectArgs::read(matches, &v5_flags, wanted.min(RECEIVE_MAXIMUM))?;
        let mut subscribe = all(matches, "topic");
        subscribe.extend(connect.url_topic.clone());
        let unsubscribe = all(matches, "unsubscribe");
        let filter_out = all(matches, "filter-out");
        if subscribe.is_empty() && unsubscribe.is_empty() {
            return Err(Failure::usage(
                "Error: You must specify a topic to subscribe to (-t) or unsubscribe from (-U).",
            ));
        }
        let check = |filters: &[String], what: &str, is_filter: fn(&str) -> bool| match filters
            .iter()
            .find(|filter| !is_filter(filter))
        {
            None => Ok(()),
            Some(wrong) => Err(Failure::usage(format!(
                "Error: Invalid {what} topic '{wrong}', are all '+' and '#' wildcards correct?"
            ))),
        };
        check(&subscribe, "subscription", |text| SubscriptionFilter::parse(text).is_ok())?;
        check(&unsubscribe, "unsubscribe", |text| SubscriptionFilter::parse(text).is_ok())?;
        check(&filter_out, "filter", |text| TopicFilter::parse(text).is_ok())?;
        let newline = !matches.get_flag("no-newline");
        let format = match text(matches, "format") {
            Some(format) => MessageFormat::parse(&format, newline)?,
            None => MessageFormat::plain(matches.get_flag("verbose"), newline),
        };
        Ok(Self {
            options: subscription_options(matches, &connect),
            connect,
            subscribe,
            unsubscribe,
            filter_out,
            count,
            timeout: matches.get_one::<u32>("timeout").map(|seconds| Duration::from_secs((*seconds).into())),
            exit_after_sub: matches.get_flag("exit-after-sub"),
            retained: match (matches.get_flag("no-retain"), matches.get_flag("retained-only")) {
                (true, _) => Retained::NotPrinted,
                (false, true) => Retained::Only,
                (false, false) => Retained::Printed,
            },
            remove_retained: matches.get_flag("remove-retained"),
            format,
        })
    }

    /// What to subscribe to.
    pub(super) fn subscribe(&self) -> impl Iterator<Item = SubscriptionFilter<'_>> {
        self.subscribe.iter().filter_map(|text| SubscriptionFilter::parse(text).ok())
    }

    /// What to unsubscribe from.
    pub(super) fn unsubscribe(&self) -> impl Iterator<Item = SubscriptionFilter<'_>> {
        self.unsubscribe.iter().filter_map(|text| SubscriptionFilter::parse(text).ok())
    }

    /// Whether messages of this topic are left out.
    pub(super) fn filters_out(&self, topic: &str) -> bool {
        let Ok(topic) = TopicName::parse(topic) else { return false };
        let mut filters = self.filter_out.iter().filter_map(|text| TopicFilter::parse(text).ok());
        filters.any(|filter| filter.matches(topic))
    }
}

fn all(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches.get_many::<String>(name).into_iter().flatten().cloned().collect()
}

fn subscription_options(matches: &ArgMatches, connect: &ConnectArgs) -> SubscriptionOptions {
    SubscriptionOptions {
        retain_as_published: matches.get_flag("retain-as-published"),
        retain_handling: match matches.get_one::<String>("retain-handling").map(String::as_str) {
            Some("new") => RetainHandling::SendAtNewSubscribe,
            Some("never") => RetainHandling::DoNotSend,
            Some(_) | None => RetainHandling::SendAtSubscribe,
        },
        ..SubscriptionOptions::new(connect.qos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_client::protocol::{ProtocolVersion, QoS};

    fn read(line: &str) -> Result<Request, Failure> {
        let words = ["sub"].into_iter().chain(line.split_whitespace());
        let command = super::super::flags(clap::Command::new("sub"));
        Request::read(&command.try_get_matches_from(words).unwrap())
    }

    fn is_refused_by_the_parser(line: &str) -> bool {
        let words = ["sub"].into_iter().chain(line.split_whitespace());
        super::super::flags(clap::Command::new("sub")).try_get_matches_from(words).is_err()
    }

    #[test]
    fn everyday_flags() {
        let request =
            read("-t a/# -t $share/g/b -U c -T a/secret/+ -q 1 -C 3 -W 9 -E -R -N -v -h there -p 1884")
                .unwrap();
        let texts = |filters: Vec<SubscriptionFilter<'_>>| -> Vec<String> {
            filters.iter().map(|filter| filter.as_str().to_owned()).collect()
        };
        assert_eq!(texts(request.subscribe().collect()), ["a/#", "$share/g/b"]);
        assert_eq!(texts(request.unsubscribe().collect()), ["c"]);
        assert!(request.filters_out("a/secret/x") && !request.filters_out("a/open/x"));
        assert_eq!(request.options, SubscriptionOptions::new(QoS::AtLeastOnce));
        assert_eq!((request.count, request.timeout), (Some(3), Some(Duration::from_secs(9))));
        assert!(request.exit_after_sub && request.retained == Retained::NotPrinted);
        assert_eq!(request.format, MessageFormat::plain(true, false));
        assert_eq!(request.connect.endpoint.to_string(), "there:1884");
    }

    #[test]
    fn options_of_mqtt_5() {
        let request = read("-t a --retain-as-published --retain-handling new").unwrap();
        assert_eq!(request.connect.options.version, ProtocolVersion::V5);
        assert!(request.options.retain_as_published);
        assert_eq!(request.options.retain_handling, RetainHandling::SendAtNewSubscribe);
        let handling = |line| read(line).unwrap().options.retain_handling;
        assert_eq!(handling("-t a --retain-handling never"), RetainHandling::DoNotSend);
        assert_eq!(handling("-t a --retain-handling always"), RetainHandling::SendAtSubscribe);
        assert!(read("-t a -V 311 --retain-as-published").is_err());
    }

    #[test]
    fn no_more_is_taken_than_is_wanted() {
        let maximum = |line| read(line).unwrap().connect.options.properties.receive_maximum();
        assert_eq!(maximum("-t a -V 5 -C 3"), Some(3));
        assert_eq!(maximum("-t a -V 5 -C 100000"), Some(20));
        assert_eq!(maximum("-t a -V 5"), Some(20));
        assert_eq!(maximum("-t a -C 3 -D connect receive-maximum 9"), Some(9));
    }

    #[test]
    fn a_url_brings_a_topic() {
        let request = read("-L mqtt://there/x -t a").unwrap();
        assert_eq!(request.subscribe, ["a", "x"]);
    }

    #[test]
    fn mistakes() {
        let check =
            |line, expected: &str| assert_eq!(read(line).unwrap_err(), Failure::usage(expected), "{line}");
        check("", "Error: You must specify a topic to subscribe to (-t) or unsubscribe from (-U).");
        check("-t a#", "Error: Invalid subscription topic 'a#', are all '+' and '#' wildcards correct?");
        check("-t a -U +b", "Error: Invalid unsubscribe topic '+b', are all '+' and '#' wildcards correct?");
        check("-t a -T #/b", "Error: Invalid filter topic '#/b', are all '+' and '#' wildcards correct?");
        check("-t a -F %z", "Error: Invalid format specifier 'z'.");
        for line in ["-t a -C 0", "-t a -W 0", "-t a -R --retained-only", "-t a -q 3", "a"] {
            assert!(is_refused_by_the_parser(line), "{line}");
        }
    }
}
