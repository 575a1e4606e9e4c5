//! Whether the broker's memory stays flat.

use anyhow::Result;

use crate::empty::resident_bytes;

/// Resident memory over time.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<u64>);

/// What the last third may have above the second, beside a part of it: allocators breathe.
const GROWTH_BYTES: u64 = 2 << 20;
const GROWTH_PART: f64 = 0.05;
/// Fewer say nothing.
const SAMPLES_MIN: usize = 9;

impl Samples {
    pub(crate) fn take(&mut self, pid: u32) -> Result<u64> {
        let bytes = resident_bytes(pid)?;
        self.0.push(bytes);
        Ok(bytes)
    }

    /// Median of the second and of the last third; `None` of too few samples.
    pub(crate) fn thirds(&self) -> Option<(u64, u64)> {
        let third = self.0.len() / 3;
        let median = |samples: &[u64]| {
            let mut samples = samples.to_vec();
            samples.sort_unstable();
            samples[samples.len() / 2]
        };
        (self.0.len() >= SAMPLES_MIN)
            .then(|| (median(&self.0[third..2 * third]), median(&self.0[2 * third..])))
    }

    pub(crate) fn fault(&self) -> Option<String> {
        let (second, last) = self.thirds()?;
        let most = second + GROWTH_BYTES + (second as f64 * GROWTH_PART) as u64;
        (last > most).then(|| {
            format!("memory grows: {second} bytes resident in the second third, {last} in the last, {most} allowed")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_breathing() {
        let flat: Vec<u64> = (0..90).map(|at| (100 << 20) + at % 7 * 100_000).collect();
        assert_eq!(Samples(flat).fault(), None);
        let leak: Vec<u64> = (0..90).map(|at| (100 << 20) + at * 500_000).collect();
        assert!(Samples(leak).fault().is_some());
        let start: Vec<u64> = (0..90).map(|at| if at < 30 { at << 20 } else { 100 << 20 }).collect();
        assert_eq!(Samples(start).fault(), None);
    }
}
