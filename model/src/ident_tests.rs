use super::*;

fn layout(hashing: Hashing) -> Layout {
    Layout { names: 3, dirs: 2, inodes: 5, hashing, parents: [Ino(0); MAX_NAMES], folds: false }
}

#[test]
fn identities_have_slots_of_their_own_unless_they_collide() {
    let apart = layout(Hashing::Apart);
    let mut slots: Vec<u8> = apart.identities().map(|id| apart.slot(id)).collect();
    slots.sort_unstable();
    let all: Vec<u8> = (0..apart.slots()).collect();
    assert_eq!(slots, all, "each slot has exactly one identity");

    let few = layout(Hashing::Into(4));
    assert!(few.identities().all(|id| few.slot(id) < 4));
    assert_eq!(few.slots(), 4);
}

#[test]
fn folded_names_are_one_name_to_the_host() {
    let folding = Layout { folds: true, ..layout(Hashing::Apart) };
    assert_eq!(folding.stored_as(Name(1)), folding.stored_as(Name(0)));
    assert_ne!(folding.stored_as(Name(2)), folding.stored_as(Name(0)));
    assert!(!folding.is_folded(Name(2)));
}
