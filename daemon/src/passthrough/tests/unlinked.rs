//! Inodes whose last name is gone while the guest still uses them.

use std::fs;

use fuse::filesystem::SetAttr;
use fuse::{FileSystem, NodeId, errno};

use super::on_every_share;
use super::share::{ROOT, Share, assert_errno, creation, cstring};

on_every_share! {
    open_files, files_that_are_not_open, replaced_files, directories, one_of_two_names, failed_removals,
    files_without_a_name, forgetting_closes, removed_by_the_host,
    replaced_between_lookup_and_open, removed_by_the_host_while_it_is_open, replaced_among_many, last_names_race,
}

fn open_files(share: &Share) {
    let file = share.new_file("file");
    share.write(file, 0, b"data").unwrap();
    share.unlink(NodeId::ROOT, "file").unwrap();
    assert_errno(share.lookup(NodeId::ROOT, "file"), errno::ENOENT);
    assert_eq!(share.attr(file.0).unwrap().nlink, 0);
    share.write(file, 4, b"more").unwrap();
    share.set(file.0, &SetAttr { size: Some(6), mode: Some(0o600), ..SetAttr::default() }).unwrap();
    assert_eq!(share.read(file, 0, 100).unwrap(), b"datamo");
    // As by /proc/self/fd in the guest.
    let again = (file.0, share.open(file.0, libc::O_RDONLY).unwrap());
    share.release(file).unwrap();
    assert_eq!(share.read(again, 0, 100).unwrap(), b"datamo");
}

fn files_that_are_not_open(share: &Share) {
    share.host_file("file", "data");
    let node = share.node("file");
    share.unlink(NodeId::ROOT, "file").unwrap();
    let attr = share.attr(node).unwrap();
    assert_eq!((attr.nlink, attr.size), (0, 4));
    let file = (node, share.open(node, libc::O_RDONLY).unwrap());
    assert_eq!(share.read(file, 0, 100).unwrap(), b"data");
}

fn replaced_files(share: &Share) {
    share.host_file("old", "old");
    share.host_file("new", "new");
    let old = share.node("old");
    let new = share.node("new");
    share.rename((NodeId::ROOT, "new"), (NodeId::ROOT, "old"), 0).unwrap();
    assert_eq!(share.attr(old).unwrap().nlink, 0);
    assert_eq!(share.node("old"), new);
    assert_errno(share.lookup(NodeId::ROOT, "new"), errno::ENOENT);
}

fn directories(share: &Share) {
    fs::create_dir(share.path("dir")).unwrap();
    let dir = share.node("dir");
    share.fs.rmdir(&ROOT, NodeId::ROOT, &cstring("dir")).unwrap();
    assert!(share.attr(dir).is_ok());
    assert_errno(share.lookup(dir, "x"), errno::ENOENT);
    assert_errno(share.mkdir(dir, "x"), errno::ENOENT);
}

fn one_of_two_names(share: &Share) {
    share.host_file("one", "data");
    fs::hard_link(share.path("one"), share.path("two")).unwrap();
    let node = share.node("one");
    share.unlink(NodeId::ROOT, "one").unwrap();
    assert_eq!(share.attr(node).unwrap().nlink, 1);
    assert_eq!(share.node("two"), node);
    assert!(!share.fs.inodes.get(node).unwrap().is_held());
}

fn failed_removals(share: &Share) {
    fs::create_dir(share.path("dir")).unwrap();
    share.host_file("dir/file", "");
    let dir = share.node("dir");
    assert_errno(share.fs.rmdir(&ROOT, NodeId::ROOT, &cstring("dir")), libc::ENOTEMPTY);
    assert_errno(share.unlink(NodeId::ROOT, "dir"), errno::EISDIR);
    assert!(!share.fs.inodes.get(dir).unwrap().is_held());
    assert!(share.lookup(dir, "file").is_ok());
    assert_errno(share.unlink(NodeId::ROOT, "missing"), errno::ENOENT);
}

fn files_without_a_name(share: &Share) {
    let (entry, opened) = share.fs.tmpfile(&ROOT, NodeId::ROOT, &creation(0o640)).unwrap();
    let file = (NodeId(entry.nodeid), opened.handle.unwrap());
    assert_eq!((entry.attr.nlink, entry.attr.mode), (0, libc::S_IFREG | 0o640));
    share.write(file, 0, b"data").unwrap();
    assert_eq!(fs::read_dir(share.path("")).unwrap().count(), 0);
    // Closed and linked: the guest may hold it by O_PATH.
    share.release(file).unwrap();
    let linked = share.link(file.0, NodeId::ROOT, "named").unwrap();
    assert_eq!((linked.nodeid, linked.attr.nlink), (entry.nodeid, 1));
    assert_eq!(fs::read(share.path("named")).unwrap(), b"data");
    assert_eq!(share.node("named"), file.0);

    let mut exclusive = creation(0o600);
    exclusive.flags |= libc::O_EXCL as u32;
    let (entry, _) = share.fs.tmpfile(&ROOT, NodeId::ROOT, &exclusive).unwrap();
    assert_errno(share.link(NodeId(entry.nodeid), NodeId::ROOT, "never"), errno::ENOENT);
    let mut read_only = creation(0o600);
    read_only.flags = libc::O_RDONLY as u32;
    assert_errno(share.fs.tmpfile(&ROOT, NodeId::ROOT, &read_only), errno::EINVAL);
}

fn forgetting_closes(share: &Share) {
    let before = share.fs.descriptors.left();
    share.host_file("file", "data");
    let node = share.node("file");
    share.unlink(NodeId::ROOT, "file").unwrap();
    assert_eq!(share.fs.descriptors.left(), before - 1);
    share.fs.forget(node, 1);
    assert_eq!(share.fs.descriptors.left(), before);
}

fn removed_by_the_host(share: &Share) {
    share.host_file("file", "data");
    let node = share.node("file");
    fs::remove_file(share.path("file")).unwrap();
    share.fs.descriptors.shed();
    if share.has_handles() {
        // The guest's kernel looks the path up again.
        assert_errno(share.attr(node), errno::ESTALE);
        assert_errno(share.open(node, libc::O_RDONLY), errno::ESTALE);
    } else {
        assert_eq!(share.attr(node).unwrap().nlink, 0);
    }
}

/// An application would be told of a second `ESTALE` in a row.
fn replaced_between_lookup_and_open(share: &Share) {
    share.host_file("file", "old");
    let known = share.node("file");
    // As after a long time, so that it is met again.
    share.fs.descriptors.shed();
    for (text, next) in [("old", "new"), ("new", "newest")] {
        let node = share.node("file");
        assert_eq!(node == known, text == "old");
        share.host_file("file.new", next);
        fs::rename(share.path("file.new"), share.path("file")).unwrap();
        let file = (node, share.open(node, libc::O_RDONLY).unwrap());
        assert_eq!(share.read(file, 0, 100).unwrap(), text.as_bytes());
        assert_eq!(share.attr(node).unwrap().nlink, 0);
        share.release(file).unwrap();
    }
}

fn removed_by_the_host_while_it_is_open(share: &Share) {
    share.host_file("file", "data");
    let node = share.node("file");
    let file = (node, share.open(node, libc::O_RDWR).unwrap());
    fs::remove_file(share.path("file")).unwrap();
    share.fs.descriptors.shed();
    assert_eq!(share.attr(node).unwrap().nlink, 0, "as by fstat");
    share.fs.descriptors.shed();
    let again = (node, share.open(node, libc::O_RDONLY).unwrap());
    assert_eq!(share.read(again, 0, 100).unwrap(), b"data");
    share.fs.descriptors.shed();
    share.set(node, &SetAttr { size: Some(2), ..SetAttr::default() }).unwrap();
    assert_eq!(share.read(again, 0, 100).unwrap(), b"da");
    share.release(again).unwrap();
    share.release(file).unwrap();
}

/// Many other names are looked up before the file is opened, but fewer than are remembered.
fn replaced_among_many(share: &Share) {
    let others: Vec<_> = (0..300).map(|i| format!("other{i}")).collect();
    for name in &others {
        share.host_file(name, "");
    }
    share.host_file("file", "data");
    let node = share.node("file");
    fs::remove_file(share.path("file")).unwrap();
    for _ in 0..3 {
        for name in &others {
            share.node(name);
        }
        assert!(share.open(node, libc::O_RDONLY).is_ok());
    }
}

/// Threads that remove one name each of the same files do not lose sight of the last one.
fn last_names_race(share: &Share) {
    for round in 0..50 {
        let name = |link: usize| format!("{round}-{link}");
        let path = share.host_file(&name(0), "data");
        (1..4).for_each(|link| fs::hard_link(&path, share.path(&name(link))).unwrap());
        let node = share.node(&name(0));
        share.fs.descriptors.shed();
        std::thread::scope(|scope| {
            for link in 0..4 {
                scope.spawn(move || share.unlink(NodeId::ROOT, &name(link)).unwrap());
            }
        });
        share.fs.descriptors.shed();
        assert_eq!(share.attr(node).unwrap().nlink, 0);
    }
}
