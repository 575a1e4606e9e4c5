//! How long messages took.

use hdrhistogram::Histogram;

/// An hour; what takes longer counts as an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;
/// Digits of each value that are kept.
const DIGITS: u8 = 3;

/// Times from when a message was due until it came.
#[derive(Debug)]
pub(super) struct Latency {
    histogram: Histogram<u64>,
    /// Messages of one write come with one read: they are recorded together.
    waiting: (u64, u64),
}

/// Microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

impl Latency {
    pub(super) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("the bounds are 1 and more");
        Self { histogram, waiting: (0, 0) }
    }

    /// One message took so many nanoseconds.
    #[inline]
    pub(super) fn record(&mut self, ns: u64) {
        self.record_for(ns, 1);
    }

    /// The same of so many messages.
    #[inline]
    pub(super) fn record_for(&mut self, ns: u64, count: u64) {
        if self.waiting.0 == ns {
            self.waiting.1 += count;
        } else {
            self.record_waiting();
            self.waiting = (ns, count);
        }
    }

    fn record_waiting(&mut self) {
        let (ns, count) = std::mem::take(&mut self.waiting);
        if count > 0 {
            self.histogram.saturating_record_n(ns, count);
        }
    }

    /// `None` before the first message.
    pub(super) fn percentiles(&mut self) -> Option<Percentiles> {
        self.record_waiting();
        let at = |quantile| self.histogram.value_at_quantile(quantile) as f64 / 1000.0;
        (!self.histogram.is_empty()).then(|| Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.histogram.max() as f64 / 1000.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_that_was_recorded() {
        let mut latency = Latency::new();
        assert_eq!(latency.percentiles(), None);
        (0..98).for_each(|_| latency.record(1_000));
        latency.record(50_000);
        latency.record(u64::MAX);
        let percentiles = latency.percentiles().unwrap();
        assert_eq!(percentiles.p50.round(), 1.0);
        assert_eq!(percentiles.p99.round(), 50.0);
        assert!(percentiles.max >= LONGEST_NS as f64 / 1000.0 * 0.99, "{percentiles:?}");
    }
}
