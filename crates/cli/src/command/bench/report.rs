//! What was measured, as a line of JSON for programs or as a table for people.

use serde_json::{Value, json};

use super::check::Tally;
use super::latency::Percentiles;
use super::live::grouped;
use super::plan::Plan;

/// One phase of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    pub(super) qos: u8,
    pub(super) publishers: usize,
    pub(super) subscribers: usize,
    pub(super) has_payload: bool,
    pub(super) window: Option<u64>,
    pub(super) rate: Option<u64>,
    pub(super) published: u64,
    /// Due in an open loop, and not published, since the broker did not keep up.
    pub(super) unpublished: u64,
    pub(super) tally: Tally,
    pub(super) unacknowledged: u64,
    /// Gave up because nothing came any more.
    pub(super) is_stalled: bool,
    pub(super) seconds: f64,
    pub(super) latency: Option<Percentiles>,
    /// Until the broker acknowledged; else until a message came.
    pub(super) is_latency_of_acknowledgements: bool,
    pub(super) load_cpu_seconds: f64,
    pub(super) broker: Option<BrokerCost>,
    pub(super) items: Option<u64>,
    /// Subscriptions made and dropped beside the traffic, whose cost cannot be told from it.
    pub(super) churned: Option<u64>,
    /// Whether the memory that the broker gained is that of the items.
    pub(super) items_stay: bool,
    pub(super) is_interrupted: bool,
}

/// What a phase cost the broker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BrokerCost {
    pub(super) cpu_seconds: f64,
    pub(super) rss_bytes_before: u64,
    pub(super) rss_bytes_after: u64,
    /// Sent to a disk, if that can be seen.
    pub(super) written_bytes: Option<u64>,
}

impl Phase {
    /// Whether all came as it should.
    pub(super) const fn is_clean(&self) -> bool {
        self.tally.is_clean() && self.unacknowledged == 0
    }

    fn deliveries_per_second(&self) -> Option<f64> {
        (self.tally.delivered > 0 && self.seconds > 0.0).then(|| self.tally.delivered as f64 / self.seconds)
    }

    fn broker_cpu_per_million(&self) -> Option<f64> {
        let delivered = self.tally.delivered;
        self.broker.filter(|_| delivered > 0).map(|broker| broker.cpu_seconds * 1e6 / delivered as f64)
    }

    const fn latency_of(&self) -> &'static str {
        if self.is_latency_of_acknowledgements { "acknowledgement" } else { "latency" }
    }

    fn bytes_per_item(&self) -> Option<f64> {
        let (broker, items) = (self.broker?, self.items.filter(|items| *items > 0 && self.items_stay)?);
        Some((broker.rss_bytes_after as f64 - broker.rss_bytes_before as f64) / items as f64)
    }

    fn broker_cpu_us_per_item(&self) -> Option<f64> {
        let (broker, items) = (self.broker?, self.items.filter(|items| *items > 0)?);
        Some(broker.cpu_seconds * 1e6 / items as f64)
    }

    /// One object on one line, keys in a stable order.
    pub(super) fn json(&self, plan: &Plan) -> String {
        let latency = self.latency.map(|latency| {
            let values = [
                ("p50", json!(rounded(latency.p50, 3))),
                ("p90", json!(rounded(latency.p90, 3))),
                ("p99", json!(rounded(latency.p99, 3))),
                ("p999", json!(rounded(latency.p999, 3))),
                ("max", json!(rounded(latency.max, 3))),
            ];
            object(&values)
        });
        let quoted = |value: Value| value.to_string();
        let fields = [
            ("scenario", quoted(json!(plan.scenario))),
            ("phase", quoted(json!(self.name))),
            ("protocol", quoted(json!(plan.protocol_name()))),
            ("qos", quoted(json!(self.qos))),
            ("publishers", quoted(json!(self.publishers))),
            ("subscribers", quoted(json!(self.subscribers))),
            ("payload_bytes", quoted(json!(self.has_payload.then_some(plan.payload_bytes)))),
            ("window", quoted(json!(self.window))),
            ("topics", quoted(json!(plan.topics_each()))),
            ("rate", quoted(json!(self.rate))),
            ("published", quoted(json!(self.published))),
            ("unpublished", quoted(json!(self.unpublished))),
            ("delivered", quoted(json!(self.tally.delivered))),
            ("lost", quoted(json!(self.tally.lost))),
            ("duplicated", quoted(json!(self.tally.duplicated))),
            ("reordered", quoted(json!(self.tally.reordered))),
            ("misrouted", quoted(json!(self.tally.misrouted))),
            ("unacknowledged", quoted(json!(self.unacknowledged))),
            ("seconds", quoted(json!(rounded(self.seconds, 6)))),
            (
                "deliveries_per_second",
                quoted(json!(self.deliveries_per_second().map(|rate| rounded(rate, 1)))),
            ),
            ("latency_us", latency.unwrap_or_else(|| "null".to_owned())),
            ("latency_of", quoted(json!(self.latency.map(|_| self.latency_of())))),
            ("load_cpu_seconds", quoted(json!(rounded(self.load_cpu_seconds, 6)))),
            ("broker_cpu_seconds", quoted(json!(self.broker.map(|broker| rounded(broker.cpu_seconds, 6))))),
            (
                "broker_cpu_seconds_per_million",
                quoted(json!(self.broker_cpu_per_million().map(|cost| rounded(cost, 6)))),
            ),
            ("broker_rss_bytes_before", quoted(json!(self.broker.map(|broker| broker.rss_bytes_before)))),
            ("broker_rss_bytes_after", quoted(json!(self.broker.map(|broker| broker.rss_bytes_after)))),
            ("broker_written_bytes", quoted(json!(self.broker.and_then(|broker| broker.written_bytes)))),
            ("items", quoted(json!(self.items.or(self.churned)))),
            ("bytes_per_item", quoted(json!(self.bytes_per_item().map(|bytes| rounded(bytes, 1))))),
            ("broker_cpu_us_per_item", quoted(json!(self.broker_cpu_us_per_item().map(|us| rounded(us, 4))))),
            ("interrupted", quoted(json!(self.is_interrupted))),
        ];
        let pairs: Vec<_> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}\n", pairs.join(","))
    }

    /// For people.
    pub(super) fn table(&self, plan: &Plan) -> String {
        let mut rows: Vec<(&str, String)> = Vec::new();
        if self.published > 0 {
            rows.push(("published", grouped(self.published)));
        }
        if self.unpublished > 0 {
            let text =
                format!("{}   due, and in the latency as late as they were", grouped(self.unpublished));
            rows.push(("unpublished", text));
        }
        if self.tally.delivered > 0 || self.tally.lost > 0 {
            rows.push(("delivered", grouped(self.tally.delivered)));
        }
        if let Some(items) = self.items {
            rows.push(("items", grouped(items)));
        }
        if let Some(churned) = self.churned {
            rows.push(("churned", grouped(churned)));
        }
        rows.push(("time", format!("{:.3} s", self.seconds)));
        if let Some(rate) = self.deliveries_per_second() {
            rows.push(("rate", format!("{} deliveries/s", grouped(rate as u64))));
        }
        if let Some(latency) = self.latency {
            let Percentiles { p50, p90, p99, p999, max } = latency;
            let text =
                format!("p50 {p50:.0}   p90 {p90:.0}   p99 {p99:.0}   p99.9 {p999:.0}   max {max:.0} µs");
            rows.push((self.latency_of(), text));
        }
        if let Some(broker) = self.broker {
            rows.push(("broker CPU", format!("{:.3} s{}", broker.cpu_seconds, self.cost_text())));
            let (before, after) = (broker.rss_bytes_before, broker.rss_bytes_after);
            let each = self.bytes_per_item().map(|bytes| format!("   {bytes:.0} B each")).unwrap_or_default();
            rows.push(("broker memory", format!("{:.1} → {:.1} MiB{each}", mib(before), mib(after))));
        }
        if let Some(written @ 1..) = self.broker.and_then(|broker| broker.written_bytes) {
            let each = self.items.filter(|items| *items > 0);
            let each = each.map(|items| format!("   {} B each", written / items)).unwrap_or_default();
            rows.push(("broker wrote", format!("{:.1} MiB{each}", mib(written))));
        }
        rows.push(("load CPU", format!("{:.3} s", self.load_cpu_seconds)));
        rows.push(("faults", self.faults()));
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = format!("{}\n", self.title(plan));
        for (name, value) in rows {
            text.push_str(&format!("  {name:<width$}   {value}\n"));
        }
        text
    }

    fn title(&self, plan: &Plan) -> String {
        let mut title =
            format!("{} {}: MQTT {}, QoS {}", plan.scenario, self.name, plan.protocol_name(), self.qos);
        if self.publishers > 0 {
            title.push_str(&format!(", {} publishers", self.publishers));
        }
        if self.subscribers > 0 {
            title.push_str(&format!(", {} subscribers", self.subscribers));
        }
        if self.has_payload {
            title.push_str(&format!(", {} B", plan.payload_bytes));
        }
        if let Some(topics @ 2..) = plan.topics_each() {
            title.push_str(&format!(", {topics} topics each"));
        }
        if let Some(window) = self.window {
            title.push_str(&format!(", window {window}"));
        }
        if let Some(rate) = self.rate {
            title.push_str(&format!(", {rate}/s"));
        }
        if self.is_interrupted {
            title.push_str(" (interrupted)");
        }
        title
    }

    fn cost_text(&self) -> String {
        match (self.broker_cpu_us_per_item(), self.broker_cpu_per_million()) {
            (Some(us), _) => format!("   {us:.2} µs each"),
            (None, Some(cost)) => format!("   {cost:.3} s per million deliveries"),
            (None, None) => String::new(),
        }
    }

    fn faults(&self) -> String {
        if self.is_clean() {
            return "none: each message came once, in order".to_owned();
        }
        let Tally { lost, duplicated, reordered, misrouted, .. } = &self.tally;
        let mut text =
            format!("{lost} lost, {duplicated} doubled, {reordered} reordered, {misrouted} misrouted");
        if self.unacknowledged > 0 {
            text.push_str(&format!(", {} not acknowledged", self.unacknowledged));
        }
        text
    }

    /// What went wrong, a line each, for standard error.
    pub(super) fn complaints(&self, plan: &Plan) -> Vec<String> {
        let mut lines = Vec::new();
        if let (Some(rate), true) = (self.rate, self.unpublished > 0) {
            lines.push(format!(
                "{rate} messages a second are more than the broker takes: {} that were due were not published",
                self.unpublished
            ));
        }
        if self.is_clean() {
            return lines;
        }
        lines.push(format!("error: {} {}: {}", plan.scenario, self.name, self.faults()));
        if self.is_stalled {
            lines.push(format!(
                "nothing came for {} s, so the rest counts as lost; at QoS 0 a broker may drop what it cannot send fast enough",
                plan.stall_max.as_secs()
            ));
        }
        lines.extend(self.tally.examples.iter().map(|example| format!("  {example}")));
        lines
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

fn object(pairs: &[(&str, Value)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::super::flags::Request;
    use super::super::flags::define;
    use super::*;

    fn plan(words: &[&str]) -> Plan {
        let matches = define(clap::Command::new("bench")).try_get_matches_from([&["bench"], words].concat());
        Request::read(&matches.unwrap()).unwrap().plan
    }

    fn phase() -> Phase {
        Phase {
            name: "traffic",
            qos: 1,
            publishers: 10,
            subscribers: 10,
            has_payload: true,
            window: Some(100),
            published: 2_000_000,
            tally: Tally { delivered: 2_000_000, ..Tally::default() },
            seconds: 2.5,
            latency: Some(Percentiles { p50: 1.5, p90: 2.0, p99: 3.0, p999: 4.0, max: 5.25 }),
            load_cpu_seconds: 0.25,
            broker: Some(BrokerCost {
                cpu_seconds: 0.5,
                rss_bytes_before: 1000,
                rss_bytes_after: 3000,
                written_bytes: Some(4096),
            }),
            ..Phase::default()
        }
    }

    #[test]
    fn the_line_of_json_keeps_its_names() {
        assert_eq!(
            phase().json(&plan(&["p2p1"])),
            "{\"scenario\":\"p2p1\",\"phase\":\"traffic\",\"protocol\":\"3.1.1\",\"qos\":1,\"publishers\":10,\
             \"subscribers\":10,\"payload_bytes\":64,\"window\":100,\"topics\":1,\"rate\":null,\"published\":2000000,\"unpublished\":0,\
             \"delivered\":2000000,\"lost\":0,\"duplicated\":0,\"reordered\":0,\"misrouted\":0,\
             \"unacknowledged\":0,\"seconds\":2.5,\"deliveries_per_second\":800000.0,\
             \"latency_us\":{\"p50\":1.5,\"p90\":2.0,\"p99\":3.0,\"p999\":4.0,\"max\":5.25},\"latency_of\":\"latency\",\
             \"load_cpu_seconds\":0.25,\"broker_cpu_seconds\":0.5,\"broker_cpu_seconds_per_million\":0.25,\
             \"broker_rss_bytes_before\":1000,\"broker_rss_bytes_after\":3000,\"broker_written_bytes\":4096,\"items\":null,\
             \"bytes_per_item\":null,\"broker_cpu_us_per_item\":null,\"interrupted\":false}\n"
        );
    }

    #[test]
    fn items_have_a_weight_and_a_price() {
        let stored = Phase { items: Some(100), items_stay: true, ..phase() };
        assert_eq!(stored.bytes_per_item(), Some(20.0));
        assert_eq!(stored.broker_cpu_us_per_item(), Some(5000.0));
        assert_eq!(Phase { items_stay: false, ..stored.clone() }.bytes_per_item(), None);
        assert_eq!(Phase { broker: None, ..stored }.bytes_per_item(), None);
    }

    #[test]
    fn the_table_is_for_people() {
        assert!(phase().table(&plan(&["topics0"])).contains(", 64 B, 16 topics each, window 100\n"));
        let lost = Phase { tally: Tally { delivered: 7, lost: 3, ..Tally::default() }, ..phase() };
        let table = lost.table(&plan(&["p2p1", "-V", "5"]));
        assert!(
            table.starts_with(
                "p2p1 traffic: MQTT 5, QoS 1, 10 publishers, 10 subscribers, 64 B, window 100\n"
            )
        );
        assert!(table.contains("  published       2 000 000\n"), "{table}");
        assert!(table.contains("  faults          3 lost, 0 doubled, 0 reordered, 0 misrouted\n"), "{table}");
        assert_eq!(lost.complaints(&plan(&["p2p1"])).len(), 1);
        assert!(phase().complaints(&plan(&["p2p1"])).is_empty());
        let late = Phase { rate: Some(5000), unpublished: 40, ..phase() };
        assert_eq!(
            late.complaints(&plan(&["latency"])),
            ["5000 messages a second are more than the broker takes: 40 that were due were not published"]
        );
        assert!(late.is_clean() && late.table(&plan(&["latency"])).contains("  unpublished     40   due"));
    }
}
