use std::fs::Permissions;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

use rustix::fs::OFlags;
use shm_layout::{HeaderError, Snapshot};

use super::*;

const WORDS: u64 = 1 << 13;
const ID: TableId = [7; 16];

/// A directory on tmpfs, where tables live.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

fn new() -> (tempfile::TempDir, PathBuf, Table) {
    let directory = directory();
    let path = directory.path().join("table");
    let table = Table::create(&path, NewTable { words: WORDS, group: None }, ID).unwrap();
    (directory, path, table)
}

fn slot(n: u32) -> SlotIndex {
    SlotIndex::new(FIRST_SLOT + n).unwrap()
}

fn blocks(table: &Table) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&table.file.metadata().unwrap())
}

#[test]
fn a_new_table_is_there_complete_and_sparse() {
    let (_directory, path, table) = new();
    assert_eq!(*table.header(), Header { id: ID, words: WORDS });
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (WORDS * 8, 0o600));
    table.look();
    assert!(!table.is_lost());
    assert_eq!(blocks(&table), 8, "the header's page and no more");
    assert_eq!(table.words().end(), WORDS as u32);
    let again = Table::create(&path, NewTable { words: WORDS, group: None }, ID);
    assert!(matches!(again, Err(TableError::Create { .. })), "nothing is replaced");
}

#[test]
fn the_largest_table_takes_a_page() {
    let directory = directory();
    let path = directory.path().join("table");
    let table =
        Table::create(&path, NewTable { words: shm_layout::MAX_WORDS, group: None }, ID).unwrap();
    table.back(slot(1 << 25)).unwrap();
    let ((), [_]) = table.words().observe_all([slot(1 << 25)]).then(|| ());
    table.sweep();
    assert_eq!(blocks(&table), 16, "header and one page of slots");
}

#[test]
fn a_group_may_read() {
    let directory = directory();
    let path = directory.path().join("table");
    let group = rustix::process::getegid().as_raw();
    Table::create(&path, NewTable { words: WORDS, group: Some(group) }, ID).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn sizes_that_are_none_are_refused() {
    for words in [0, 1 << 11, (1 << 12) + 1, 1 << 27, u64::MAX] {
        let made = Table::create(Path::new("/nowhere"), NewTable { words, group: None }, ID);
        assert!(matches!(made, Err(TableError::Words { .. })), "{words}");
    }
}

#[test]
fn each_thing_that_is_no_table_has_its_own_error() {
    let (directory, path, table) = new();
    drop(table);
    let open = |path: &Path| Table::open(path).map(drop).unwrap_err();
    assert!(matches!(open(&directory.path().join("none")), TableError::Missing { .. }));
    let kind = |e| matches!(e, TableError::File { source: FileError::Kind, .. });
    symlink(&path, directory.path().join("link")).unwrap();
    assert!(kind(open(&directory.path().join("link"))));
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(kind(open(&pipe)) && matches!(View::open(&pipe), Err(TableError::File { .. })));
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let mode = FileError::Mode { mode: 0o644, allowed: 0o640 };
    assert_eq!(
        open(&path).to_string(),
        TableError::File { path: path.clone(), source: mode }.to_string()
    );
    assert!(View::open(&path).is_ok(), "the owner and mode are no business of a reader's");
}

#[test]
fn another_users_table_is_refused() {
    let (_directory, path, table) = new();
    drop(table);
    if !rustix::process::geteuid().is_root() {
        println!("skipped: giving a file away takes root");
        return;
    }
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    let owner = Table::open(&path).map(drop).unwrap_err();
    assert!(matches!(owner, TableError::File { source: FileError::Owner { .. }, .. }), "{owner}");
}

#[test]
fn short_long_and_foreign_files_are_refused() {
    let (_directory, path, table) = new();
    let file = table.file().try_clone().unwrap();
    drop(table);
    let open = || Table::open(&path).map(drop).unwrap_err();
    for len in [0, 7, 4096, WORDS * 8 - 1, WORDS * 8 + 4096, 1 << 40] {
        file.set_len(len).unwrap();
        assert!(matches!(open(), TableError::Length { .. }), "{len}");
        assert!(matches!(View::open(&path), Err(TableError::Length { .. })), "{len}");
    }
    file.set_len(WORDS * 4).unwrap();
    assert!(matches!(open(), TableError::Header { source: HeaderError::Magic(0), .. }));
    write_header(&file, &Header { id: ID, words: WORDS }).unwrap();
    assert!(matches!(open(), TableError::CutShort { .. }));
    file.write_all_at(b"NOTATABL", 0).unwrap();
    assert!(matches!(open(), TableError::Header { source: HeaderError::Magic(_), .. }));
}

#[test]
fn a_table_cut_short_under_us_is_lost_and_vouches_for_nothing() {
    let (_directory, path, table) = new();
    let far = slot(4000);
    table.back(far).unwrap();
    let ((), [snapshot]) = table.words().observe_all([far]).then(|| ());
    let view = View::open(&path).unwrap();
    assert!(view.is_current(snapshot));
    table.file().set_len(4096).unwrap();
    assert!(!view.is_current(snapshot));
    assert!(!table.is_lost());
    assert_eq!(table.words().peek(far), SlotWord::UNTOUCHED);
    assert!(table.is_lost());
    let ((), [after]) = table.words().observe_all([far]).then(|| ());
    assert_eq!(after, Snapshot::NOT_COVERED);
}

#[test]
fn a_table_cut_short_is_lost_before_anybody_touches_what_is_gone() {
    let (_directory, _path, table) = new();
    table.file().set_len(4096).unwrap();
    assert!(!table.is_lost());
    table.look();
    assert!(table.is_lost());
}

#[test]
fn a_table_cut_short_and_made_longer_again_is_lost() {
    let (_directory, _path, table) = new();
    table.file().set_len(0).unwrap();
    table.file().set_len(WORDS * 8).unwrap();
    assert!(!table.is_lost());
    table.look();
    assert!(table.is_lost());
}

#[test]
fn a_reader_checks_slot_and_word() {
    let (_directory, path, table) = new();
    let view = View::open(&path).unwrap();
    table.back(slot(0)).unwrap();
    let ((), [snapshot]) = table.words().observe_all([slot(0)]).then(|| ());
    assert!(view.is_current(snapshot));
    assert!(!view.is_current(Snapshot::NOT_COVERED));
    assert!(!view.is_current(Snapshot { slot: 1, ..snapshot }), "the header is no slot");
    assert!(!view.is_current(Snapshot { slot: WORDS as u32, ..snapshot }));
    assert!(!view.is_current(Snapshot { slot: u32::MAX, ..snapshot }));
    assert!(!view.is_current(Snapshot { slot: snapshot.slot + 1, word: 0 }), "untouched");
    table.words().advance(slot(0));
    assert!(!view.is_current(snapshot));
}

#[test]
fn a_sweep_reaches_every_page_that_was_touched() {
    let (_directory, _path, table) = new();
    let slots = [0, 511, 512, 5000, WORDS as u32 - FIRST_SLOT - 1].map(slot);
    let observed = slots.map(|slot| {
        table.back(slot).unwrap();
        table.words().observe_all([slot]).then(|| ()).1[0]
    });
    table.sweep();
    for (slot, before) in slots.into_iter().zip(observed) {
        assert!(!table.words().is_current(slot, SlotWord(before.word)), "{slot:?}");
    }
}

#[test]
fn a_rebuild_moves_every_word_and_keeps_the_retained_marks() {
    let (_directory, _path, table) = new();
    table.back_all().unwrap();
    let words = table.words();
    words.observe_all([slot(0), slot(1)]).then(|| ());
    words.announce(slot(1));
    words.announce(slot(1));
    table.rebuild(|index| u16::from(index == slot(1).get()));
    assert_eq!(words.peek(slot(0)), SlotWord::new(2, 0));
    assert_eq!(words.peek(slot(1)), SlotWord::new(2, 1));
}

#[test]
fn a_sealed_table_cannot_be_cut_and_goes_on() {
    let (directory, path, table) = new();
    if let Err(error) = table.seal() {
        return println!("skipped: a file cannot be made immutable here: {error}");
    }
    let for_writing = || std::fs::OpenOptions::new().write(true).open(&path);
    let is_refused = || for_writing().is_err_and(|error| error.raw_os_error() == Some(libc::EPERM));
    assert!(is_refused());
    assert!(rustix::fs::statat(rustix::fs::CWD, &path, rustix::fs::AtFlags::empty()).is_ok());
    assert!(std::fs::remove_file(&path).is_err(), "nor removed");

    // Slots whose pages are not there yet can be made and moved.
    assert_eq!(blocks(&table), 8);
    table.back(slot(3000)).unwrap();
    table.words().announce(slot(3000));
    assert_eq!(blocks(&table), 16);
    table.back_all().unwrap();
    table.look();
    assert!(!table.is_lost());

    // Other daemons open it, and leave it as it is: also those that then fail, and are gone.
    let other = Table::open(&path).unwrap();
    assert!(other.words().peek(slot(3000)).0 != 0 && is_refused());
    drop(other);
    let for_a_guest = table.reopen(true).unwrap();
    assert!(is_refused());
    assert_eq!(rustix::fs::fcntl_getfl(&for_a_guest).unwrap() & OFlags::RWMODE, OFlags::RDWR);

    unseal(&path);
    drop(directory);
    assert!(!path.exists());
}

/// So that it can be removed.
fn unseal(path: &Path) {
    let file = std::fs::File::open(path).unwrap();
    rustix::fs::ioctl_setflags(&file, rustix::fs::IFlags::empty()).unwrap();
}

#[test]
fn daemons_that_open_a_sealed_table_at_once_all_have_it_and_leave_it_sealed() {
    let (_directory, path, table) = new();
    if let Err(error) = table.seal() {
        return println!("skipped: a file cannot be made immutable here: {error}");
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| drop(Table::open(&path).unwrap())));
        }
    });
    let refused = std::fs::OpenOptions::new().write(true).open(&path).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    unseal(&path);
}
