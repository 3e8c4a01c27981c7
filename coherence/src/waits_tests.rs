use super::*;

fn stretch(inode: u64, start: u64, end: u64, write: bool) -> Stretch {
    Stretch { file: FileNumber { device: 1, inode }, start, end, write }
}

/// Has locked byte `held` of the one file, and wants byte `wanted`.
fn between(owner: u64, held: u64, wanted: u64) -> Waiting {
    let byte = |at| stretch(7, at, at, true);
    Waiting { owner, wanted: byte(wanted), held: vec![byte(held)] }
}

fn sight(row: usize, waiting: Waiting) -> Sight {
    Sight { row, place: 0, turn: 2, waiting }
}

fn closes(waiting: &Waiting, others: &[Sight]) -> bool {
    closes_circle(0, waiting, || others.to_vec())
}

#[test]
fn a_circle_is_a_way_back() {
    let all = [sight(1, between(1, 1, 2)), sight(2, between(1, 2, 3)), sight(3, between(1, 3, 4))];
    assert!(closes(&between(1, 4, 1), &all), "by four guests");
    assert!(!closes(&between(1, 5, 1), &all), "a queue");
    assert!(!closes(&between(1, 4, 5), &all), "nobody in the way waits");
    assert!(!closes(&between(1, 4, 1), &all[..2]), "one of them works");
    assert!(closes(&between(9, 2, 1), &all), "by two of them");
}

#[test]
fn a_circle_that_others_are_in_is_not_ones_own() {
    let all = [sight(1, between(1, 1, 2)), sight(2, between(1, 2, 1))];
    assert!(!closes(&between(1, 5, 1), &all));
}

#[test]
fn owners_of_the_same_number_in_two_guests_are_two() {
    let other = between(1, 1, 2);
    assert!(closes(&between(1, 2, 1), &[sight(1, other.clone())]));
    assert!(!closes(&between(1, 2, 1), &[sight(0, other)]), "its own older note");
}

#[test]
fn readers_are_in_nobodys_way_who_reads() {
    let reads = |owner, held, wanted| {
        let byte = |at| stretch(7, at, at, false);
        Waiting { owner, wanted: byte(wanted), held: vec![byte(held)] }
    };
    assert!(!closes(&reads(1, 2, 1), &[sight(1, reads(1, 1, 2))]));
    assert!(!closes(&reads(1, 2, 1), &[sight(1, between(1, 3, 2))]));
    assert!(closes(&reads(1, 2, 1), &[sight(1, between(1, 1, 2))]));
    let elsewhere = Waiting { held: vec![stretch(8, 1, 1, true)], ..between(1, 1, 2) };
    assert!(!closes(&between(1, 2, 1), &[sight(1, elsewhere)]), "in another file");
}

#[test]
fn a_circle_counts_that_is_seen_twice() {
    let (mine, other) = (between(1, 2, 1), sight(1, between(1, 1, 2)));
    let mut turn = 0;
    let changing = || {
        turn += 2;
        vec![Sight { turn, ..other.clone() }]
    };
    assert!(!closes_circle(0, &mine, changing));
    let mut looks = vec![vec![], vec![other.clone()]];
    assert!(!closes_circle(0, &mine, || looks.pop().unwrap()), "it was over at the second look");
    let mut looks =
        vec![vec![other.clone()], vec![other.clone()], vec![Sight { turn: 4, ..other }]];
    assert!(closes_circle(0, &mine, || looks.pop().unwrap()), "from the second to the third");
}

#[test]
fn a_note_says_what_was_noted() {
    let words: Vec<_> = (0..MAX_WAITS * NOTE_WORDS).map(|_| SharedU64::new(0)).collect();
    let notes = Notes(&words);
    assert_eq!(notes.all().count(), 0);
    let all = Waiting {
        owner: u64::MAX,
        wanted: stretch(u64::MAX, 0, i64::MAX as u64, true),
        held: (0..MAX_HELD as u64).map(|i| stretch(i, i, i, i % 2 == 0)).collect(),
    };
    notes.write(0, &all);
    notes.write(MAX_WAITS - 1, &between(1, 2, 3));
    let found: Vec<_> = notes.all().collect();
    assert_eq!(found, [(0, 2, all.clone()), (MAX_WAITS - 1, 2, between(1, 2, 3))]);
    let more = Waiting { held: vec![stretch(1, 1, 1, true); MAX_HELD + 1], ..all };
    notes.write(0, &more);
    assert_eq!(
        notes.read(0).unwrap().1.held.len(),
        MAX_HELD,
        "what there is no room for is left out"
    );
    notes.erase(0);
    notes.erase(MAX_WAITS - 1);
    assert_eq!(notes.all().count(), 0);
}
