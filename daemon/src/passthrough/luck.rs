//! Whether to ask for a name's file handle before opening it. That saves two system calls where the daemon has open what
//! the name means, and costs a little where it has not: so each thread goes by how it fared lately.

use std::cell::Cell;

/// The most that a run of good luck counts for.
const MOST: u8 = 32;
/// Without luck, one lookup in so many tries all the same.
const ONE_IN: u8 = 16;

#[derive(Clone, Copy)]
struct Luck {
    /// Grows when a try was worth it, shrinks with each try.
    credit: u8,
    /// Lookups since the last try.
    waited: u8,
}

thread_local! {
    static LUCK: Cell<Luck> = const { Cell::new(Luck { credit: MOST, waited: 0 }) };
}

/// Whether this thread shall try once more.
pub(super) fn is_worth_a_try() -> bool {
    LUCK.with(|cell| {
        let (luck, worth) = cell.get().spend();
        cell.set(luck);
        worth
    })
}

/// The last try was worth it.
pub(super) fn had() {
    LUCK.with(|cell| cell.set(cell.get().earn()));
}

impl Luck {
    fn spend(self) -> (Self, bool) {
        match (self.credit, self.waited + 1) {
            (0, waited) if waited < ONE_IN => (Self { waited, ..self }, false),
            (credit, _) => (Self { credit: credit.saturating_sub(1), waited: 0 }, true),
        }
    }

    /// Two, so that one hit in two misses pays: a hit saves twice what a miss costs.
    fn earn(self) -> Self {
        Self { credit: (self.credit + 2).min(MOST), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `turns` lookups try, where every one of `hit` tries is worth it.
    fn tries(luck: &mut Luck, turns: u32, hit: u32) -> u32 {
        let mut tries = 0;
        for _ in 0..turns {
            let (next, worth) = luck.spend();
            *luck = next;
            if worth {
                tries += 1;
                if tries % hit == 0 {
                    *luck = luck.earn();
                }
            }
        }
        tries
    }

    #[test]
    fn hits_keep_it_going_and_misses_end_it() {
        let mut luck = Luck { credit: MOST, waited: 0 };
        assert_eq!(tries(&mut luck, 1000, 2), 1000, "one hit in two");
        let few = tries(&mut luck, 1600, u32::MAX);
        assert!((100..160).contains(&few), "no hits: {few}");
        assert!(tries(&mut luck, 1600, 1) > 1500, "hits again");
    }
}
