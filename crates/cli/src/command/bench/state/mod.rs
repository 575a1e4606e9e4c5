//! Scenarios about what a broker holds rather than what passes through it: its memory, and the cost of each item.

pub(super) mod filters;
pub(super) mod idle;
pub(super) mod offline;
pub(super) mod retained;

use super::report::Phase;
use super::run::Run;

/// Takes each phase when it is over.
pub(super) type OnPhase<'a> = &'a mut dyn FnMut(&Run, Phase);

/// Of `items`, numbered from 0 and dealt in turn to `publishers`, how many each one gets.
fn dealt(items: u64, publishers: usize) -> Vec<u64> {
    let count = publishers as u64;
    (0..count).map(|place| items.saturating_sub(place).div_ceil(count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_dealt_like_cards() {
        assert_eq!(dealt(7, 3), [3, 2, 2]);
        assert_eq!(dealt(2, 3), [1, 1, 0]);
        assert_eq!(dealt(6, 3), [2, 2, 2]);
    }
}
