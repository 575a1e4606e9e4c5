//! What the broker tells about itself below `$SYS`: THE table of these topics, and which of them are news.

mod load;
mod reading;
mod table;

use std::fmt::Write as _;
use std::time::Duration;

use load::Load;

pub use reading::Reading;
pub use table::{SYS_TOPICS, Span, SysTopic, Value, reference_markdown};

/// What was last published below `$SYS`. Only what differs is published again.
#[derive(Debug, Default)]
pub(crate) struct SysTopics {
    /// When the first was published, and the last.
    times: Option<(Duration, Duration)>,
    /// In the order of the table.
    rows: Vec<Row>,
}

#[derive(Debug, Default)]
struct Row {
    /// Empty: nothing was.
    payload: String,
    load: Load,
    /// The highest value so far.
    maximum: u64,
}

impl SysTopics {
    /// Brings all values up to date, and gives those that are news, in the order of the table. `now` is on the monotonic
    /// clock and never goes back.
    pub(crate) fn update<'a>(
        &'a mut self,
        reading: &Reading<'_>,
        now: Duration,
    ) -> impl Iterator<Item = (&'static str, &'a str)> {
        let (start, last) = self.times.unwrap_or((now, now));
        self.times = Some((start, now));
        self.rows.resize_with(SYS_TOPICS.len(), Row::default);
        let (uptime, elapsed) = (now.saturating_sub(start), now.saturating_sub(last));
        self.rows.iter_mut().zip(SYS_TOPICS).filter_map(move |(row, topic)| {
            let is_news = row.update(topic.value, reading, uptime, elapsed);
            is_news.then_some((topic.topic, row.payload.as_str()))
        })
    }
}

impl Row {
    /// Whether the value differs from what was published last.
    fn update(&mut self, value: Value, reading: &Reading<'_>, uptime: Duration, elapsed: Duration) -> bool {
        let mut payload = String::new();
        let written = match value {
            Value::Version => payload.write_str(reading.version),
            Value::Uptime => write!(payload, "{} seconds", uptime.as_secs()),
            Value::Number(read) => write!(payload, "{}", read(reading)),
            Value::Maximum(read) => {
                self.maximum = self.maximum.max(read(reading));
                write!(payload, "{}", self.maximum)
            }
            Value::Load(read, span) => {
                write!(payload, "{:.2}", self.load.update(read(reading), elapsed, span))
            }
        };
        written.expect("a String takes all");
        let is_news = self.payload != payload;
        self.payload = payload;
        is_news
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;
    use crate::metric::Metric;
    use crate::settings::Settings;
    use crate::shared::Shared;

    #[test]
    fn only_what_changed_is_news() {
        let shared = Shared::new(&Settings::default());
        let mut topics = SysTopics::default();
        let mut news = |seconds| {
            let reading = Reading::new(&shared, "noctule version 1");
            let now = Duration::from_secs(seconds);
            topics
                .update(&reading, now)
                .map(|(topic, payload)| (topic, payload.to_owned()))
                .collect::<Vec<_>>()
        };
        let first = news(100);
        assert_eq!(first.len(), SYS_TOPICS.len());
        assert_eq!(first[0], ("$SYS/broker/version", "noctule version 1".to_owned()));
        assert_eq!(first[1], ("$SYS/broker/uptime", "0 seconds".to_owned()));
        assert_eq!(news(110), [("$SYS/broker/uptime", "10 seconds".to_owned())]);
        shared.metrics.add(Metric::PublishReceived, 7);
        let expected = [
            ("$SYS/broker/uptime", "20 seconds"),
            ("$SYS/broker/publish/messages/received", "7"),
            // 42 a minute, of which a part by the time that has passed: 1 - exp(-10/60) and so on.
            ("$SYS/broker/load/publish/received/1min", "6.45"),
            ("$SYS/broker/load/publish/received/5min", "1.38"),
            ("$SYS/broker/load/publish/received/15min", "0.46"),
        ];
        assert_eq!(news(120), expected.map(|(topic, payload)| (topic, payload.to_owned())));
        shared.set_memory_used(70);
        let heap = |seconds, news: Vec<(&str, String)>| {
            let of_heap = news.into_iter().filter(|(topic, _)| topic.contains("heap"));
            (seconds, of_heap.map(|(_, payload)| payload).collect::<Vec<_>>())
        };
        assert_eq!(heap(130, news(130)), (130, vec!["70".to_owned(), "70".to_owned()]));
        shared.set_memory_used(30);
        assert_eq!(heap(140, news(140)), (140, vec!["30".to_owned()]));
    }
}
