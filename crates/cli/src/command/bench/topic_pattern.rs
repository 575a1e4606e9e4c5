//! Topics and filters that differ in numbers only, so that the next one is a few digits written over the last.

/// A piece of a pattern.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Number(Number),
}

/// Digits that depend on the number `n` of the topic: `n / divisor % modulus`, padded with zeros to `width`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) divisor: u64,
    pub(super) modulus: u64,
    pub(super) width: usize,
}

/// Topics of equal length, one for each number.
#[derive(Clone, Debug)]
pub(super) struct TopicPattern {
    bytes: Vec<u8>,
    /// Where each number stands.
    numbers: Vec<(usize, Number)>,
}

impl TopicPattern {
    pub(super) fn new(parts: &[Part<'_>]) -> Self {
        let mut pattern = Self { bytes: Vec::new(), numbers: Vec::new() };
        for part in parts {
            match *part {
                Part::Text(text) => pattern.bytes.extend_from_slice(text.as_bytes()),
                Part::Number(number) => {
                    pattern.numbers.push((pattern.bytes.len(), number));
                    pattern.bytes.resize(pattern.bytes.len() + number.width, b'0');
                }
            }
        }
        pattern
    }

    /// The same topic for every number.
    pub(super) fn fixed(topic: &str) -> Self {
        Self::new(&[Part::Text(topic)])
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Writes the digits of `n` into a topic of another number.
    #[inline]
    pub(super) fn write(&self, n: u64, topic: &mut [u8]) {
        for (at, number) in &self.numbers {
            let mut rest = n / number.divisor % number.modulus;
            for digit in topic[*at..*at + number.width].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
    }

    /// Whether this is the topic of number `n`. `scratch` is a buffer to use again.
    #[inline]
    pub(super) fn is(&self, n: u64, topic: &[u8], scratch: &mut Vec<u8>) -> bool {
        if self.numbers.is_empty() {
            return topic == self.bytes;
        }
        scratch.clear();
        scratch.extend_from_slice(&self.bytes);
        self.write(n, scratch);
        topic == scratch.as_slice()
    }

    /// The topic of number `n`.
    pub(super) fn text(&self, n: u64) -> String {
        let mut topic = self.bytes.clone();
        self.write(n, &mut topic);
        String::from_utf8_lossy(&topic).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_where_they_belong() {
        let number = |divisor, modulus, width| Part::Number(Number { divisor, modulus, width });
        let pattern =
            TopicPattern::new(&[Part::Text("a/"), number(1, 100, 2), Part::Text("/+/"), number(100, 10, 3)]);
        assert_eq!(pattern.text(0), "a/00/+/000");
        assert_eq!(pattern.text(742), "a/42/+/007");
        assert_eq!(pattern.text(1742), "a/42/+/007");
        assert_eq!(pattern.len(), 10);
        assert_eq!(TopicPattern::fixed("x").text(5), "x");
    }

    #[test]
    fn a_topic_is_known_again_by_its_number() {
        let pattern = TopicPattern::new(&[
            Part::Text("a/"),
            Part::Number(Number { divisor: 1, modulus: 100, width: 2 }),
        ]);
        let scratch = &mut Vec::new();
        assert!(pattern.is(7, b"a/07", scratch));
        assert!(pattern.is(42, b"a/42", scratch));
        for other in [&b"a/43"[..], b"b/42", b"a/4", b"a/421"] {
            assert!(!pattern.is(42, other, scratch));
        }
        assert!(TopicPattern::fixed("x").is(5, b"x", scratch));
        assert!(!TopicPattern::fixed("x").is(5, b"y", scratch));
    }
}
