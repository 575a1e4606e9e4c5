//! The line on a terminal that tells how far a run is.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two redraws: five a second.
const REDRAW: Duration = Duration::from_millis(200);

/// On standard error, and only if that is a terminal.
#[derive(Debug)]
pub(super) struct Live {
    is_shown: bool,
    has_color: bool,
    phase: String,
    began: Instant,
    drawn_at: Instant,
    done_then: u64,
}

impl Live {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let is_shown =
            std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        // https://no-color.org: set and not empty.
        let has_color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { is_shown, has_color, phase: String::new(), began: now, drawn_at: now, done_then: 0 }
    }

    /// What follows is of this phase.
    pub(super) fn begin(&mut self, phase: &str) {
        self.clear();
        let now = Instant::now();
        (self.phase, self.began, self.drawn_at, self.done_then) = (phase.to_owned(), now, now, 0);
    }

    /// Draws the line if it is time to.
    pub(super) fn update(&mut self, now: Instant, done: u64, under_way: Option<u64>) {
        let since = now.saturating_duration_since(self.drawn_at);
        if !self.is_shown || since < REDRAW {
            return;
        }
        let rate = done.saturating_sub(self.done_then) as f64 / since.as_secs_f64();
        let elapsed = now.saturating_duration_since(self.began);
        let line = line(&self.phase, elapsed, rate, done, under_way);
        let (dim, plain) = if self.has_color { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        draw(&format!("\r\x1b[K{dim}{line}{plain}"));
        (self.drawn_at, self.done_then) = (now, done);
    }

    /// Takes the line away, so that something else can be written.
    pub(super) fn clear(&self) {
        if self.is_shown {
            draw("\r\x1b[K");
        }
    }
}

fn draw(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // Nobody may be looking, and that is no reason to fail.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

fn line(phase: &str, elapsed: Duration, rate: f64, done: u64, under_way: Option<u64>) -> String {
    let mut line = format!(
        "{phase}  {:.1} s  {}/s  {} done",
        elapsed.as_secs_f64(),
        grouped(rate as u64),
        grouped(done)
    );
    if let Some(under_way) = under_way {
        line.push_str(&format!("  {} in flight", grouped(under_way)));
    }
    line
}

/// 1234567 is `1 234 567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let texts = [0, 12, 123, 1234, 123_456, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "12", "123", "1 234", "123 456", "1 234 567"]);
    }

    #[test]
    fn the_line_tells_how_far_it_is() {
        let text = line("p2p0 traffic", Duration::from_millis(2340), 1_234_567.8, 3_000_000, Some(42));
        assert_eq!(text, "p2p0 traffic  2.3 s  1 234 567/s  3 000 000 done  42 in flight");
    }
}
