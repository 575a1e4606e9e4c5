//! Keep Alive (section 3.1.2.10).

use std::time::Duration;

/// Longest silence of a client that a server bears: one and a half times the Keep Alive [MQTT-3.1.2-22]; `None` if it is
/// 0.
pub const fn silence_max(keep_alive: u16) -> Option<Duration> {
    match keep_alive {
        0 => None,
        seconds => Some(Duration::from_millis(seconds as u64 * 1500)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_a_half_times() {
        assert_eq!(silence_max(0), None);
        assert_eq!(silence_max(1), Some(Duration::from_millis(1500)));
        assert_eq!(silence_max(60), Some(Duration::from_secs(90)));
        assert_eq!(silence_max(u16::MAX), Some(Duration::from_millis(98_302_500)));
    }
}
