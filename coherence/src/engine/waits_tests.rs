use super::super::test_kit::{Fixture, kill};
use super::*;
use crate::cuts::FileNumber;
use crate::waits::Stretch;

/// Has locked byte `held` of a file and wants byte `wanted`.
fn between(held: u64, wanted: u64) -> Waiting {
    let file = FileNumber { device: 1, inode: 7 };
    let byte = |at| Stretch { file, start: at, end: at, write: true };
    Waiting { owner: 1, wanted: byte(wanted), held: vec![byte(held)] }
}

#[test]
fn a_circle_over_three_daemons_is_found_by_who_closes_it() {
    let fixture = Fixture::new();
    let [a, b, c] = [(); 3].map(|()| fixture.join());
    let first = a.note_wait(&between(1, 2)).unwrap();
    let _second = b.note_wait(&between(2, 3)).unwrap();
    assert_eq!(c.note_wait(&between(3, 1)).unwrap_err(), Deadlock);
    drop(first);
    let third = c.note_wait(&between(3, 1)).unwrap();
    assert_eq!(a.note_wait(&between(1, 2)).unwrap_err(), Deadlock);
    third.renew(&between(4, 1));
    a.note_wait(&between(1, 2)).unwrap();
}

#[test]
fn who_is_dead_waits_for_nobody() {
    let fixture = Fixture::new();
    let (dying, other) = (fixture.join(), fixture.join());
    std::mem::forget(dying.note_wait(&between(1, 2)).unwrap());
    assert_eq!(other.note_wait(&between(2, 1)).unwrap_err(), Deadlock);
    kill(dying);
    other.note_wait(&between(2, 1)).unwrap();
}

#[test]
fn the_next_daemon_of_a_row_begins_with_no_notes() {
    let fixture = Fixture::new();
    let (dying, other) = (fixture.join(), fixture.join());
    let row = dying.row;
    std::mem::forget(dying.note_wait(&between(1, 2)).unwrap());
    kill(dying);
    other.tick();
    let next = fixture.join();
    assert_eq!(next.row, row, "the test needs the same row");
    other.note_wait(&between(2, 1)).unwrap();
}

#[test]
fn who_finds_no_room_sees_the_others_all_the_same() {
    let fixture = Fixture::new();
    let (crowded, other) = (fixture.join(), fixture.join());
    let held = between(1, 2);
    let notes: Vec<_> = (0..MAX_WAITS as u64)
        .map(|owner| crowded.note_wait(&Waiting { owner: owner + 10, ..between(50, 60) }).unwrap())
        .collect();
    let _waits = other.note_wait(&between(2, 1)).unwrap();
    assert_eq!(crowded.note_wait(&held).unwrap_err(), Deadlock);
    let unseen = crowded.note_wait(&between(3, 4)).unwrap();
    assert!(unseen.place.is_none());
    other.note_wait(&Waiting { owner: 2, ..between(4, 3) }).unwrap();
    drop((notes, unseen));
    assert!(crowded.note_wait(&between(3, 4)).unwrap().place.is_some(), "there is room again");
}
