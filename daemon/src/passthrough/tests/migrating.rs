//! A guest that goes from one daemon to another.

use std::fs;
use std::os::unix::fs::symlink;

use fuse::abi::InitFlags;
use fuse::filesystem::{LockKind, Locks};
use fuse::{Agreement, FileSystem, Handle, NodeId, errno};

use super::share::{ROOT, Share, assert_errno, config};
use crate::migration::{Mode, OnError, Options, State, Whereabouts};
use crate::passthrough::{Config, InodeFileHandles, RestoreError, Restored, SaveError};

const AGREEMENT: Agreement = Agreement { minor: 45, flags: InitFlags::SETXATTR_EXT };
const PATHS: Options =
    Options { mode: Mode::Paths, on_error: OnError::Abort, verify_handles: false };
const VERIFIED: Options = Options { verify_handles: true, ..PATHS };
const HANDLES: Options = Options { mode: Mode::Handles, ..PATHS };

/// The same with errors for the guest.
fn lenient(options: Options) -> Options {
    Options { on_error: OnError::GuestError, ..options }
}

fn mode(share: &Share) -> InodeFileHandles {
    if share.has_handles() { InodeFileHandles::Prefer } else { InodeFileHandles::Never }
}

/// What the daemon tells, as bytes and back.
fn saved(share: &Share, options: Options) -> State {
    let state = share.fs.save(AGREEMENT, options).expect("a state");
    State::decode(&state.encode()).expect("the same state")
}

/// The daemon on the same directory that takes the guest over.
fn other(share: &Share) -> Share {
    share.beside(&config(mode(share)))
}

fn moved(share: &Share, options: Options) -> (Share, Restored) {
    let other = other(share);
    let state = saved(share, options);
    let restored = other.fs.restore(&state, options).expect("the guest");
    (other, restored)
}

/// Whether this daemon may open file handles.
fn ways(share: &Share) -> Vec<Options> {
    if share.has_handles() { vec![PATHS, VERIFIED, HANDLES] } else { vec![PATHS] }
}

fn everything_has_the_same_numbers(share: &Share) {
    fs::create_dir_all(share.path("a/b")).unwrap();
    let deep = share.host_file("a/b/deep", "deep contents");
    share.host_file("old", "renamed contents");
    symlink("a/b", share.path("link")).unwrap();
    let nodes = ["a", "a/b", "a/b/deep", "old", "link"].map(|path| share.node(path));
    let [_, b, deep_node, old, link] = nodes;
    let file = share.open(deep_node, libc::O_RDWR).unwrap();
    let listing = share.fs.opendir(&ROOT, b, 0).unwrap().handle.unwrap();
    share.rename((NodeId::ROOT, "old"), (b, "new"), 0).unwrap();
    let before = share.open(old, libc::O_RDONLY).unwrap();
    for options in ways(share) {
        let (other, restored) = moved(share, options);
        assert_eq!(restored, Restored { inodes: 5, files: 3, lost: 0 }, "{options:?}");
        for node in nodes {
            assert_eq!(other.attr(node).unwrap().ino, share.attr(node).unwrap().ino);
        }
        assert_eq!(other.read((deep_node, file), 5, 100).unwrap(), b"contents");
        assert_eq!(other.write((deep_node, file), 0, b"DEEP").unwrap(), 4);
        assert!(fs::read(&deep).unwrap().starts_with(b"DEEP"));
        fs::write(&deep, "deep contents").unwrap();
        assert_eq!(other.read((old, before), 0, 7).unwrap(), b"renamed");
        assert_eq!(other.fs.readlink(&ROOT, link).unwrap(), b"a/b");
        other.fs.releasedir(&ROOT, b, listing, &super::share::releasing()).unwrap();
        // Numbers go on where they were, and names lead to what is known.
        assert_eq!(other.lookup(b, "deep").unwrap().nodeid, deep_node.0);
        other.host_file("fresh", "");
        assert!(nodes.iter().all(|node| *node < other.node("fresh")));
        assert!(other.open(deep_node, libc::O_RDONLY).unwrap() > before);
        // As often as the guest was told: once by each name, and once just now.
        other.fs.forget(deep_node, 1);
        other.attr(deep_node).unwrap();
        other.fs.forget(deep_node, 2);
        assert_errno(other.attr(deep_node), errno::EBADF);
    }
    share.attr(deep_node).unwrap();
}

fn a_name_that_the_kernel_does_not_remember_is_looked_for(share: &Share) {
    fs::create_dir_all(share.path("x/y")).unwrap();
    let first = share.host_file("first", "contents");
    let node = share.node("first");
    let file = share.open(node, libc::O_RDONLY).unwrap();
    fs::hard_link(&first, share.path("x/y/second")).unwrap();
    fs::remove_file(&first).unwrap();
    let state = saved(share, PATHS);
    let place = Whereabouts::Path { path: b"x/y/second".to_vec(), handle: None };
    assert_eq!(state.inodes[0].place, place);
    let (other, _) = moved(share, PATHS);
    assert_eq!(other.read((node, file), 0, 100).unwrap(), b"contents");
}

fn a_file_without_a_name_is_stale_or_found_by_handle(share: &Share) {
    let (node, file) = share.new_file("gone");
    share.write((node, file), 0, b"contents").unwrap();
    share.unlink(NodeId::ROOT, "gone").unwrap();
    let kept = share.new_file("kept");
    let state = saved(share, PATHS);
    let error = other(share).fs.restore(&state, PATHS).unwrap_err();
    assert!(error.to_string().contains("it has no name any more"), "{error}");
    let (other, restored) = moved(share, lenient(PATHS));
    assert_eq!(restored.lost, 2, "the inode and what it is open as");
    assert_errno(other.attr(node), errno::ESTALE);
    assert_errno(other.read((node, file), 0, 10), errno::ESTALE);
    assert_errno(other.write((node, file), 0, b"x"), errno::ESTALE);
    assert_errno(other.open(node, libc::O_RDONLY), errno::ESTALE);
    let _ = other.release((node, file));
    other.fs.forget(node, 1);
    assert_errno(other.attr(node), errno::EBADF);
    assert_eq!(other.write(kept, 0, b"x").unwrap(), 1, "others are well");
    if share.has_handles() {
        let (other, restored) = moved(share, lenient(HANDLES));
        match restored.lost {
            0 => assert_eq!(other.read((node, file), 0, 100).unwrap(), b"contents"),
            _ => assert_errno(other.read((node, file), 0, 100), errno::ESTALE),
        }
        share.release((node, file)).unwrap();
    }
}

fn another_file_of_the_same_name_is_found_out(share: &Share) {
    let path = share.host_file("file", "right");
    let node = share.node("file");
    for options in [PATHS, VERIFIED] {
        let state = saved(share, options);
        fs::rename(&path, share.path("aside")).unwrap();
        share.host_file("file", "wrong");
        let result = other(share).fs.restore(&state, options);
        assert_eq!(result.is_err(), options.verify_handles, "{result:?}");
        if let Err(error) = result {
            assert!(error.to_string().contains("another file has its name"), "{error}");
        }
        fs::rename(share.path("aside"), &path).unwrap();
    }
    // What is of another type can be told without handles.
    let state = saved(share, PATHS);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(other(share).fs.restore(&state, PATHS).is_err());
    let other = other(share);
    other.fs.restore(&state, lenient(PATHS)).unwrap();
    assert_errno(other.attr(node), errno::ESTALE);
}

super::on_every_share! {
    everything_has_the_same_numbers,
    a_name_that_the_kernel_does_not_remember_is_looked_for,
    a_file_without_a_name_is_stale_or_found_by_handle,
    another_file_of_the_same_name_is_found_out,
}

fn on_disk() -> Share {
    Share::on_disk(&config(InodeFileHandles::Prefer))
}

#[test]
fn a_copy_of_the_directory_will_do_by_path_and_no_other_way() {
    let (share, copy) = (on_disk(), on_disk());
    for either in [&share, &copy] {
        fs::create_dir(either.path("d")).unwrap();
        either.host_file("d/file", "contents");
    }
    let node = share.node("d/file");
    let file = share.open(node, libc::O_RDONLY).unwrap();
    copy.fs.restore(&saved(&share, PATHS), PATHS).unwrap();
    assert_eq!(copy.read((node, file), 0, 100).unwrap(), b"contents");
    for options in [VERIFIED, HANDLES] {
        let result = copy.fs.restore(&saved(&share, options), lenient(options));
        assert!(matches!(result, Err(RestoreError::Root)), "{options:?}: {result:?}");
    }
    assert!(copy.fs.inodes.len() == 0 && copy.fs.handles.len() == 0, "nothing is left");
}

#[test]
fn nothing_outside_is_reached_whatever_the_state_says() {
    let share = on_disk();
    share.host_file("file", "inside");
    let outside = share.outside("secret");
    fs::write(&outside, "outside").unwrap();
    symlink(&outside, share.path("link")).unwrap();
    symlink("..", share.path("up")).unwrap();
    let node = share.node("file");
    let mut state = saved(&share, PATHS);
    for path in ["link", "up/secret"] {
        state.inodes[0].place = Whereabouts::Path { path: path.into(), handle: None };
        let other = other(&share);
        other.fs.restore(&state, lenient(PATHS)).unwrap();
        assert_errno(other.attr(node), errno::ESTALE);
    }
    // A handle needs no path: who may open them must be told that the other daemon can be trusted.
    if share.has_handles() {
        let result = other(&share).fs.restore(&saved(&share, HANDLES), lenient(PATHS));
        assert!(matches!(result, Err(RestoreError::Handles)), "{result:?}");
    }
}

#[test]
fn a_guest_that_holds_locks_stays() {
    let share = on_disk();
    let file = share.new_file("file");
    let flock = |kind| share.fs.flock(&ROOT, file.0, file.1, kind, None).unwrap();
    let record = |kind| {
        let lock = fuse::filesystem::RecordLock { start: 0, end: 9, kind, pid: 1, owner: 7 };
        share.fs.setlk(&ROOT, file.0, file.1, &lock, None).unwrap();
    };
    for lock in [&flock as &dyn Fn(LockKind), &record] {
        lock(LockKind::Write);
        let refused = share.fs.save(AGREEMENT, PATHS);
        assert!(matches!(refused, Err(SaveError::Locks { .. })), "{refused:?}");
        lock(LockKind::Unlock);
        share.fs.save(AGREEMENT, PATHS).unwrap();
    }
}

#[test]
fn what_was_agreed_on_must_be_allowed_here_too() {
    let share = Share::on_disk(&Config { writeback: true, ..config(InodeFileHandles::Never) });
    let state = saved(&share, PATHS);
    let other = share.beside(&config(InodeFileHandles::Never));
    let error = other.fs.restore(&state, PATHS).unwrap_err();
    assert!(error.to_string().contains("WRITEBACK_CACHE"), "{error}");
    let mut coherent = state.clone();
    coherent.session.as_mut().unwrap().agreed |= InitFlags::VERSION_TABLE;
    let error = other.fs.restore(&coherent, PATHS).unwrap_err();
    assert!(matches!(error, RestoreError::Table), "{error}");
    let same = share.beside(&Config { writeback: true, ..config(InodeFileHandles::Never) });
    same.fs.restore(&state, PATHS).unwrap();
    assert_eq!(same.fs.session.flags(), share.fs.session.flags() | AGREEMENT.flags);
}

#[test]
fn open_files_of_a_share_that_is_read_only_here_are_lost() {
    let share = on_disk();
    let file = share.new_file("file");
    let other = share.beside(&Config { readonly: true, ..config(InodeFileHandles::Prefer) });
    let restored = other.fs.restore(&saved(&share, PATHS), lenient(PATHS)).unwrap();
    assert_eq!(restored.lost, 1);
    assert_errno(other.read(file, 0, 1), errno::ESTALE);
    assert!(other.open(file.0, libc::O_RDONLY).unwrap() > Handle(0));
}
