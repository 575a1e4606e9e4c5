//! Averages that forget: how much happens in a minute.

use std::time::Duration;

use super::Span;

/// An exponential moving average of what a counter grows by, a minute, as Mosquitto computes it.
///
/// ```text
/// rate = growth × 60 s / elapsed          keep = exp(-elapsed / span)
/// average = rate + keep × (average − rate)
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    average: f64,
    count: u64,
}

impl Load {
    /// The average, now that the counter shows `count`, and `elapsed` after the last time.
    pub(super) fn update(&mut self, count: u64, elapsed: Duration, span: Span) -> f64 {
        if elapsed.is_zero() {
            // There is no rate yet. What was counted until now counts from the next time on.
            return self.average;
        }
        let growth = count.saturating_sub(std::mem::replace(&mut self.count, count));
        let elapsed = elapsed.as_secs_f64();
        let rate = growth as f64 * 60.0 / elapsed;
        let keep = (-elapsed / span.seconds()).exp();
        self.average = rate + keep * (self.average - rate);
        self.average
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Mosquitto 2.0.11 showed, which publishes every two seconds if told to do so every second.
    #[test]
    fn mosquittos_figures() {
        let two = Duration::from_secs(2);
        let table = [
            (Span::OneMinute, ["38.36", "183.64", "177.62", "171.80"]),
            (Span::FiveMinutes, ["7.77", "37.42", "37.17", "36.93"]),
            (Span::FifteenMinutes, ["2.60", "12.51", "12.49", "12.46"]),
        ];
        for (span, expected) in table {
            let mut load = Load::default();
            let seen = [39, 188, 188, 188].map(|count| format!("{:.2}", load.update(count, two, span)));
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn nothing_for_long_is_nothing() {
        let mut load = Load::default();
        load.update(1_000_000, Duration::from_secs(10), Span::OneMinute);
        assert_eq!(
            format!("{:.2}", load.update(1_000_000, Duration::from_secs(3600), Span::OneMinute)),
            "0.00"
        );
        assert!(load.update(1_000_000, Duration::ZERO, Span::OneMinute).is_finite());
    }
}
