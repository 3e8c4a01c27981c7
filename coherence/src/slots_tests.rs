use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[test]
fn a_slot_is_never_in_the_header() {
    assert_eq!(SlotIndex::new(0), None);
    assert_eq!(SlotIndex::new(FIRST_SLOT - 1), None);
    assert_eq!(SlotIndex::new(FIRST_SLOT).map(SlotIndex::position), Some(0));
}

proptest! {
    #[test]
    fn a_set_is_sorted_and_has_each_slot_once(
        numbers in any::<[Option<u8>; MAX_CHANGE_SLOTS]>(),
    ) {
        let slot = |n: u8| SlotIndex::new(FIRST_SLOT + u32::from(n % 16)).unwrap();
        let slots = numbers.map(|n| n.map(slot));
        let expected: BTreeSet<_> = slots.iter().flatten().copied().collect();
        let set = SlotSet::from(slots);
        prop_assert!(set.as_slice().iter().eq(expected.iter()));
        for (i, &slot) in set.as_slice().iter().enumerate() {
            prop_assert_eq!(set.position(slot), Some(i));
        }
    }
}
