//! A point in time in one word.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// What a clock showed or will show, in nanoseconds: half of a [`Duration`], and no larger as an Option. For what there is
/// one of for each connection. It ends after 584 years and stays there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Moment(NonZeroU64);

impl Moment {
    pub(crate) fn get(self) -> Duration {
        Duration::from_nanos(self.0.get() - 1)
    }
}

impl From<Duration> for Moment {
    fn from(duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }
}

/// How long something lasts, in half a word: 1 ms at least, 49 days at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Milliseconds(NonZeroU32);

impl From<Duration> for Milliseconds {
    fn from(duration: Duration) -> Self {
        let count = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        Self(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN))
    }
}

impl From<Milliseconds> for Duration {
    fn from(Milliseconds(count): Milliseconds) -> Self {
        Self::from_millis(count.get().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small_exact_and_bounded() {
        assert_eq!((size_of::<Option<Moment>>(), size_of::<Option<Milliseconds>>()), (8, 4));
        for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(u32::MAX.into())] {
            assert_eq!(Moment::from(duration).get(), duration);
        }
        let keep_alive_max = Duration::from_millis(u64::from(u16::MAX) * 1500);
        assert_eq!(Duration::from(Milliseconds::from(keep_alive_max)), keep_alive_max);
        assert!(Moment::from(Duration::MAX) > Moment::from(Duration::from_secs(u32::MAX.into())));
    }
}
