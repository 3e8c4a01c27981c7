use proptest::prelude::*;

use super::*;

fn incarnation(number: u64) -> Incarnation {
    Incarnation::new(number).unwrap()
}

#[test]
fn incarnations_end() {
    assert_eq!(Incarnation::new(0), None);
    assert!(Incarnation::new((1 << INCARNATION_BITS) - 1).is_some());
    assert_eq!(Incarnation::new(1 << INCARNATION_BITS), None);
}

proptest! {
    #[test]
    fn entries_survive_encoding(number in 1..1_u64 << 35, slot in 0..1_u32 << 27) {
        for state in [State::Intent, State::Held, State::Claimed] {
            let entry = Entry { incarnation: incarnation(number), slot, state };
            prop_assert_eq!(Entry::decode(entry.encode()), Some(entry));
            prop_assert_ne!(entry.encode(), FREE);
        }
    }

    #[test]
    fn any_word_decodes_to_nothing_or_to_itself(word in any::<u64>()) {
        if let Some(entry) = Entry::decode(word) {
            prop_assert_eq!(entry.encode(), word);
        }
    }
}

#[test]
fn leaks_are_listed_counted_and_taken_back() {
    let list = [SharedU64::new(0), SharedU64::new(0)];
    let overflow = SharedU64::new(0);
    let leaks = Leaks::new(&list, &overflow);
    // Slots 512 and 513: the first is busy, the second idle, so nothing was left there.
    let slots = [SharedU64::new(1), SharedU64::new(1 << 16)];
    let words = Words::new(&slots);
    leaks.add(512);
    leaks.add(513);
    leaks.add(514);
    assert_eq!(leaks.read(words), (vec![512], 1));
    leaks.remove(512);
    leaks.add(512);
    assert_eq!(leaks.read(words), (vec![512], 1));
}
