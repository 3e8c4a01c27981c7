use shm_layout::SlotWord;

use super::test_kit::*;
use super::*;
use crate::host::host_path;
use crate::limits::MAX_DAEMONS;
use crate::table::{TableError, View};

#[test]
fn the_options_size_must_be_the_tables() {
    let f = Fixture::new();
    let _a = f.join();
    let other = Options { words: Some(1 << 14), ..f.options() };
    let error = Engine::attach(other).map(drop).unwrap_err();
    assert!(matches!(error, AttachError::Words { wanted: 0x4000, found: 0x2000, .. }), "{error}");
    assert_eq!(
        Engine::attach(Options { words: None, ..f.options() }).unwrap().table_words(),
        1 << 13
    );
}

#[test]
fn what_cannot_be_leaves_nothing_behind() {
    let f = Fixture::new();
    let size = Options { words: Some(5), ..f.options() };
    let error = Engine::attach(size).map(drop).unwrap_err();
    assert!(matches!(error, AttachError::Table(TableError::Words { words: 5 })), "{error}");
    let absent = Options { create: false, ..f.options() };
    let error = Engine::attach(absent).map(drop).unwrap_err();
    assert!(matches!(error, AttachError::Table(TableError::Missing { .. })), "{error}");
    assert_eq!(entries(f.directory.path()), 0);
}

#[test]
fn a_place_that_is_not_on_tmpfs_is_refused() {
    // /proc is on no disk either: that it is not tmpfs counts.
    for path in ["/proc/self/table", "/proc/self/status"] {
        let error = Engine::attach(Options::new(path)).map(drop).unwrap_err().to_string();
        assert!(
            error.contains(path) && error.contains("tmpfs") && error.contains("/dev/shm"),
            "{error}"
        );
    }
    let missing = Engine::attach(Options::new("/proc/self/none/table")).map(drop).unwrap_err();
    assert!(!missing.to_string().contains("tmpfs"), "{missing}");
}

#[test]
fn a_last_daemon_leaves_a_table_that_the_next_one_rebuilds() {
    let f = Fixture::new();
    let view;
    let before = {
        let a = f.join();
        view = View::open(&f.path()).unwrap();
        stamp(&a, inode(&a, 1).attr)
    };
    assert!(!view.is_current(before), "leaving sweeps");
    let b = f.join();
    assert_eq!(b.row, 0);
    let again = stamp(&b, inode(&b, 1).attr);
    assert_eq!(again.slot, before.slot, "the key stays");
    assert!(SlotWord(again.word).generation() > SlotWord(before.word).generation());
}

#[test]
fn alone_on_a_table_a_daemon_takes_every_mark_away() {
    let f = Fixture::new();
    let a = f.join();
    let slots = inode(&a, 1);
    let mut worker = a.worker().unwrap();
    std::mem::forget(worker.announce([slots.attr].into()).unwrap());
    std::mem::forget(worker);
    // A mark that no ledger knows.
    a.words().announce(slots.data);
    let before = [slots.attr, slots.data].map(|s| a.words().peek(s));
    kill(a);
    let b = f.join();
    let after = [slots.attr, slots.data].map(|s| b.words().peek(s));
    for (before, after) in before.into_iter().zip(after) {
        assert_eq!(after, SlotWord::new(before.generation() + 1, 0));
    }
}

#[test]
fn a_rebuild_keeps_the_holds_of_a_living_front_end() {
    let f = Fixture::new();
    let a = f.join();
    let slots = inode(&a, 1);
    // This process is a front end that lives.
    a.set_front_end(Some(std::process::id() as i32));
    std::mem::forget(a.hold([slots.data].into()).unwrap());
    kill(a);
    let b = f.join();
    assert_eq!(b.row, 1);
    assert_eq!((busy(&b, slots.data), busy(&b, slots.attr)), (1, 0));
}

#[test]
fn a_thousand_daemons_and_no_more() {
    let f = Fixture::new();
    let a = f.join();
    for row in 1..MAX_DAEMONS {
        // Others that live: this process's locks would not stand in its own way, so they are taken by another open file.
        a.host.sign_in(row, Incarnation::new(1000 + row as u64).unwrap());
    }
    let others = std::fs::OpenOptions::new().write(true).open(host_path(&f.path())).unwrap();
    let (first, last) = (crate::host::row_base(1), crate::host::row_base(MAX_DAEMONS));
    let (offset, len) = (first as u64 * 8, (last - first) as u64 * 8);
    assert!(crate::sys::try_lock(&others, offset, len, crate::sys::LockKind::Exclusive).unwrap());
    assert!(matches!(f.fails(), AttachError::TooManyDaemons { .. }));
    drop(others);
    let b = f.join();
    assert_eq!(b.row, 1, "one that is dead makes room");
    assert_eq!(b.host.occupied().count(), 2, "and all the others are cleared away");
}

#[test]
fn a_deleted_host_file_keeps_newcomers_out_while_daemons_live() {
    let f = Fixture::new();
    let a = f.join();
    std::fs::remove_file(host_path(&f.path())).unwrap();
    assert!(matches!(f.fails(), AttachError::Orphans { .. }));
    assert_eq!(entries(f.directory.path()), 1, "the new host file is gone again");
    let before = stamp(&a, inode(&a, 1).attr);
    kill(a);
    let b = f.join();
    assert!(!View::open(&f.path()).unwrap().is_current(before), "a new key, a rebuilt table");
    drop(b);
}

#[test]
fn a_deleted_table_keeps_newcomers_out_while_daemons_live() {
    let f = Fixture::new();
    let a = f.join();
    let old = a.table_id();
    std::fs::remove_file(f.path()).unwrap();
    assert!(matches!(f.fails(), AttachError::Replaced { .. }));
    kill(a);
    assert_ne!(f.join().table_id(), old);
}

#[test]
fn a_table_that_was_swapped_for_another_is_noticed() {
    let (f, g) = (Fixture::new(), Fixture::new());
    let a = f.join();
    drop(g.join());
    std::fs::rename(g.path(), f.path()).unwrap();
    assert!(matches!(f.fails(), AttachError::Replaced { .. }));
    kill(a);
    assert_eq!(f.join().table_id(), *f.join().table_id().as_slice());
}

#[test]
fn one_that_starts_for_ever_is_named() {
    let f = Fixture::new();
    drop(f.join());
    let starting = std::fs::OpenOptions::new().write(true).open(host_path(&f.path())).unwrap();
    assert!(crate::sys::try_lock(&starting, 0, 1, crate::sys::LockKind::Exclusive).unwrap());
    assert!(matches!(f.fails(), AttachError::Starting { .. }));
}

#[test]
fn files_that_are_no_host_files_have_their_own_errors() {
    use std::os::unix::fs::FileExt;
    let f = Fixture::new();
    drop(f.join());
    let file = std::fs::OpenOptions::new().write(true).open(host_path(&f.path())).unwrap();
    file.write_all_at(&1_u64.to_le_bytes(), 8).unwrap();
    let host = |e: AttachError| match e {
        AttachError::Host(e) => e,
        e => panic!("{e}"),
    };
    assert!(matches!(host(f.fails()), crate::HostFileError::Version { found: 1, .. }));
    // Other versions lay it out in other ways: its length is none of this one's business.
    file.set_len(4096).unwrap();
    let error = host(f.fails());
    assert!(matches!(error, crate::HostFileError::Version { found: 1, .. }));
    let (error, name) = (error.to_string(), host_path(&f.path()));
    assert!(
        error.starts_with(name.to_str().unwrap()) && error.ends_with("then delete it"),
        "{error}"
    );
    let seen = crate::inspect::inspect(&f.path()).unwrap().host.unwrap_err();
    assert_eq!(seen, error);
    file.write_all_at(&7_u64.to_le_bytes(), 0).unwrap();
    assert!(matches!(host(f.fails()), crate::HostFileError::Magic { magic: 7, .. }));
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(host_path(&f.path()), readable).unwrap();
    assert!(matches!(host(f.fails()), crate::HostFileError::File { .. }));
}

#[test]
fn a_daemon_that_joins_finishes_what_the_dead_left() {
    let f = Fixture::new();
    let (a, b) = (f.join(), f.join());
    let slots = inode(&a, 1);
    let mut worker = a.worker().unwrap();
    std::mem::forget(worker.announce([slots.attr].into()).unwrap());
    std::mem::forget(worker);
    kill(a);
    let _c = f.join();
    assert_eq!(busy(&b, slots.attr), 0);
}

#[test]
fn a_file_for_the_guest_is_another_open_file_of_the_same_table() {
    use std::io::Write;
    let f = Fixture::new();
    let a = f.join();
    let mut read_only = a.open_for_guest(GuestAccess::ReadOnly).unwrap();
    assert!(read_only.write_all(b"x").is_err());
    let _writable = a.open_for_guest(GuestAccess::ReadWrite).unwrap();
    drop(a);
    let table = Table::open(&f.path()).unwrap();
    let alone = crate::sys::try_lock(table.file(), 0, 1, crate::sys::LockKind::Exclusive);
    assert!(alone.unwrap(), "what the VMM keeps open holds no lock");
}
