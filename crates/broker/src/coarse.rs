//! A number in two bytes, for what there is one of for each client and need not be exact.

/// A number that is exact up to 4095, off by one part in 2048 at most above that, and at most about 8 × 10^12.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Coarse(u16);

/// Bits of the number; the others say how far it is shifted.
const BITS: u32 = 11;

impl Coarse {
    #[inline]
    pub(crate) fn new(number: usize) -> Self {
        let top_bit = number.checked_ilog2().unwrap_or(0);
        if top_bit <= BITS {
            // The highest bit stands for a shift of one, which is none.
            return Self(number as u16);
        }
        let shift = top_bit - BITS;
        if shift >= 31 {
            return Self(u16::MAX);
        }
        let rest = (number >> shift) as u16 & ((1 << BITS) - 1);
        Self((shift as u16 + 1) << BITS | rest)
    }

    #[inline]
    pub(crate) fn get(self) -> usize {
        let (shift, rest) = (self.0 >> BITS, usize::from(self.0) & ((1 << BITS) - 1));
        match shift {
            0 => rest,
            shift => (rest | 1 << BITS) << (shift - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_are_exact_and_large_ones_nearly() {
        for number in
            (0..4096).chain((12..42).flat_map(|bit| [(1_usize << bit) - 1, 1 << bit, (1 << bit) + 77]))
        {
            let coarse = Coarse::new(number).get();
            assert!(coarse <= number && (number - coarse) * 2048 <= number, "{number} {coarse}");
            assert!(number >= 4096 || coarse == number, "{number} {coarse}");
            assert_eq!(Coarse::new(coarse).get(), coarse, "{number}");
        }
        assert_eq!(Coarse::new(usize::MAX), Coarse(u16::MAX));
        assert!(Coarse(u16::MAX).get() > 1 << 41);
    }
}
