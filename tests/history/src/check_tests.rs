use rustix::io::Errno;

use super::*;
use crate::op::{Call, Kind, Operation, Outcome, Path};

const A: Path = Path { directory: 0, name: 0, leaf: None };
const B: Path = Path { directory: 1, name: 1, leaf: None };

/// One operation, from and to these moments.
fn entry(times: (u64, u64), call: Call, path: Path, value: u64, outcome: Outcome) -> Entry {
    let operation = Operation { call, path, to: B, value };
    let (invoked, returned) = times;
    Entry { log: 0, invoked, returned, operation, outcome: Some(outcome), trusted: true }
}

fn ok() -> Outcome {
    Outcome::default()
}

fn missing() -> Outcome {
    Outcome::error(Errno::NOENT)
}

fn file(mode: u32) -> Outcome {
    Outcome { ino: 7, mode, links: 1, ..ok() }
}

fn word(word: u64) -> Outcome {
    let size = if word == 0 { 0 } else { 8 };
    Outcome { size, word, ..ok() }
}

/// A file is there from time 1 on.
fn created(more: &[Entry]) -> Vec<Entry> {
    let made = entry((0, 1), Call::Create, A, 0, Outcome { ino: 7, ..ok() });
    [&[made], more].concat()
}

fn good(entries: &[Entry]) {
    if let Err(violation) = check(entries) {
        panic!("{violation}");
    }
}

/// The last entry is the one that nothing explains.
fn bad(entries: &[Entry]) {
    bad_at(entries.len() - 1, entries);
}

/// This entry is the one that nothing explains.
fn bad_at(position: usize, entries: &[Entry]) {
    let violation = check(entries).expect_err("a violation");
    assert_eq!(violation.entry, position, "{violation}");
}

#[test]
fn a_name_is_seen_from_its_making_on() {
    good(&created(&[entry((2, 3), Call::Stat, A, 0, file(0o644))]));
    bad(&created(&[entry((2, 3), Call::Stat, A, 0, missing())]));
    // While it is made both may be seen, but not first the new, then the old.
    let making = entry((0, 9), Call::Create, A, 0, Outcome { ino: 7, ..ok() });
    let present = |times| entry(times, Call::Stat, A, 0, file(0o644));
    let absent = |times| entry(times, Call::Stat, A, 0, missing());
    good(&[making, absent((1, 2)), present((3, 4))]);
    bad(&[making, present((1, 2)), absent((3, 4))]);
}

#[test]
fn another_file_under_the_same_name_is_another_file() {
    let remade = [
        entry((2, 3), Call::Unlink, A, 0, ok()),
        entry((4, 5), Call::Create, A, 0, Outcome { ino: 8, ..ok() }),
    ];
    let seen = |ino| entry((6, 7), Call::Stat, A, 0, Outcome { ino, ..file(0o644) });
    good(&created(&[remade.as_slice(), &[seen(8)]].concat()));
    bad(&created(&[remade.as_slice(), &[seen(7)]].concat()));
}

#[test]
fn every_attribute_is_checked() {
    for (call, value, new) in [
        (Call::Chmod, 0o600, Outcome { mode: 0o600, ..file(0) }),
        (Call::Chown, 1000, Outcome { uid: 1000, ..file(0o644) }),
        (Call::Truncate, 20, Outcome { size: 20, ..file(0o644) }),
        (Call::Write, 99, Outcome { size: 8, ..file(0o644) }),
        (Call::Link, 0, Outcome { links: 2, ..file(0o644) }),
        (Call::SetTime, 99, Outcome { time: 99, ..file(0o644) }),
    ] {
        let change = entry((2, 3), call, A, value, ok());
        good(&created(&[change, entry((4, 5), Call::Stat, A, 0, new)]));
        bad(&created(&[change, entry((4, 5), Call::Stat, A, 0, file(0o644))]));
    }
}

#[test]
fn contents_are_checked_also_when_size_and_time_stay() {
    let written =
        [entry((2, 3), Call::Write, A, 11, ok()), entry((4, 5), Call::Write, A, 12, ok())];
    let read = |value| entry((6, 7), Call::Read, A, 0, word(value));
    good(&created(&[written.as_slice(), &[read(12)]].concat()));
    bad(&created(&[written.as_slice(), &[read(11)]].concat()));
    // A write that has not ended yet: once somebody has seen it, everybody does.
    let writing = entry((2, 90), Call::Write, A, 11, ok());
    let read = |times, value| entry(times, Call::Read, A, 0, word(value));
    good(&created(&[writing, read((3, 4), 0), read((5, 6), 11)]));
    bad(&created(&[writing, read((3, 4), 11), read((5, 6), 0)]));
}

#[test]
fn a_read_is_of_one_moment() {
    let (old, new) = (0x1111_1111_1111_1111, 0x2222_2222_2222_2222);
    let written = entry((2, 3), Call::Write, A, old, ok());
    let read = |size, word| entry((5, 6), Call::Read, A, 0, Outcome { size, word, ..ok() });
    // Half of what was there and half of what comes.
    let writing = entry((4, 9), Call::Write, A, new, ok());
    good(&created(&[written, writing, read(8, old)]));
    good(&created(&[written, writing, read(8, new)]));
    bad_at(2 + 1, &created(&[written, writing, read(8, 0x2222_2222_1111_1111)]));
    // The size of after a cut and the bytes of before, and the other way round.
    let cutting = entry((4, 9), Call::Truncate, A, 3, ok());
    good(&created(&[written, cutting, read(3, 0x11_1111)]));
    bad_at(2 + 1, &created(&[written, cutting, read(8, 0x11_1111)]));
    bad_at(2 + 1, &created(&[written, cutting, read(3, old)]));
}

#[test]
fn many_who_write_to_many_files_are_checked_apart() {
    let in_directory = |directory| Path { directory, ..A };
    let files = (0..3).map(|directory| {
        let number = Outcome { ino: 7 + u64::from(directory), ..ok() };
        entry((0, 1), Call::Create, in_directory(directory), 0, number)
    });
    // All at once: so many orders for the three of them together are not searched.
    let writes = (0..21_u64).map(|number| {
        let directory = u8::try_from(number % 3).unwrap();
        entry((2 + number, 100), Call::Write, in_directory(directory), number + 1, ok())
    });
    let all: Vec<_> = files.chain(writes).collect();
    let read = |value| entry((101, 102), Call::Read, A, 0, word(value));
    for written in (0..7).map(|number| number * 3 + 1) {
        good(&[all.as_slice(), &[read(written)]].concat());
    }
    bad(&[all.as_slice(), &[read(2)]].concat());
}

#[test]
fn a_rename_is_one_step() {
    let renaming = entry((2, 90), Call::Rename, A, 0, ok());
    let seen = |times, path, outcome| entry(times, Call::Stat, path, 0, outcome);
    good(&created(&[renaming, seen((3, 4), B, missing()), seen((5, 6), A, missing())]));
    bad(&created(&[renaming, seen((3, 4), A, missing()), seen((5, 6), B, missing())]));
    bad(&created(&[renaming, seen((3, 4), B, file(0o644)), seen((5, 6), A, file(0o644))]));
}

#[test]
fn a_refusal_may_rest_on_two_moments_but_not_on_the_past() {
    // A is moved away while somebody renames it, who finds it, and then finds B, which is new.
    let away = entry((4, 5), Call::Unlink, A, 0, ok());
    let new = entry((6, 7), Call::Create, B, 0, Outcome { ino: 8, ..ok() });
    let exists = Outcome::error(Errno::EXIST);
    let refused = |times| entry(times, Call::RenameNoReplace, A, 0, exists);
    good(&created(&[refused((2, 9)), away, new]));
    bad(&created(&[away, new, refused((8, 9))]));
}

#[test]
fn rights_names_and_listings_are_checked() {
    let refused = Outcome::error(Errno::ACCESS);
    let closed = entry((2, 3), Call::Chmod, A, 0o600, ok());
    good(&created(&[closed, entry((4, 5), Call::Access, A, 4, refused)]));
    bad(&created(&[closed, entry((4, 5), Call::Access, A, 4, ok())]));
    let listed = |names| entry((2, 3), Call::List, A, 0, Outcome { names, ..ok() });
    good(&created(&[listed(0b001)]));
    bad(&created(&[listed(0)]));
    bad(&created(&[listed(0b011)]));
    let set = entry((2, 3), Call::SetXattr, A, 5, ok());
    let nothing = Outcome::error(Errno::NODATA);
    bad(&created(&[set, entry((4, 5), Call::GetXattr, A, 0, nothing)]));
}

#[test]
fn a_walk_through_a_directory_that_moves_ends_in_it_or_not_at_all() {
    let made = entry((0, 1), Call::Mkdir, A, 0, ok());
    let inside = |path| Path { leaf: Some(0), ..path };
    let filled = entry((2, 3), Call::Create, inside(A), 0, Outcome { ino: 9, ..ok() });
    let moved = entry((4, 9), Call::Rename, A, 0, ok());
    let seen = Outcome { ino: 9, ..file(0o644) };
    let look = |times, path, outcome| entry(times, Call::Stat, inside(path), 0, outcome);
    good(&[made, filled, moved, look((5, 6), A, missing()), look((10, 11), B, seen)]);
    bad(&[made, filled, moved, look((10, 11), A, seen)]);
    bad(&[made, filled, moved, look((10, 11), B, missing())]);
}

#[test]
fn what_a_dead_guest_did_happened_or_not_but_not_both() {
    let cut_off = Entry { outcome: None, ..entry((2, 5), Call::Chmod, A, 0o600, ok()) };
    let seen = |times, mode| entry(times, Call::Stat, A, 0, file(mode));
    good(&created(&[cut_off, seen((6, 7), 0o600), seen((8, 9), 0o600)]));
    good(&created(&[cut_off, seen((6, 7), 0o644), seen((8, 9), 0o644)]));
    bad(&created(&[cut_off, seen((6, 7), 0o644), seen((8, 9), 0o600)]));
}

#[test]
fn a_guest_without_promises_may_change_the_file_that_it_remembers() {
    let others = [entry((2, 3), Call::Link, A, 0, ok()), entry((4, 5), Call::Unlink, A, 0, ok())];
    // It writes to A, which nobody else finds any more; the file is still called B.
    let number = Outcome { ino: 7, ..ok() };
    let written = Entry { trusted: false, ..entry((6, 7), Call::Write, A, 99, number) };
    let read = |value| entry((8, 9), Call::Read, B, 0, word(value));
    good(&created(&[others.as_slice(), &[written, read(99)]].concat()));
    bad(&created(&[others.as_slice(), &[written, read(0)]].concat()));
}

#[test]
fn links_point_where_they_did() {
    let made = entry((0, 1), Call::Symlink, A, 77, ok());
    let target = |word| Outcome { word, ..ok() };
    good(&[made, entry((2, 3), Call::ReadLink, A, 0, target(77))]);
    bad(&[made, entry((2, 3), Call::ReadLink, A, 0, target(78))]);
    let link = Outcome { kind: Kind::Link, ..ok() };
    good(&[made, entry((2, 3), Call::Stat, A, 0, link)]);
}
