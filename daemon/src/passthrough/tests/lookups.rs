//! LOOKUP, FORGET and GETATTR.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::Duration;

use fuse::{FileSystem, NodeId, errno};

use super::on_every_share;
use super::share::{Share, assert_errno, cstring};

on_every_share! {
    attributes_are_the_hosts, missing_names_and_ids, ids_are_not_used_again, hard_links_share_an_id,
    forget_counts, forgetting_too_much_is_harmless, a_file_is_no_directory, dots, symlinks_are_not_followed,
    lookups_and_forgets_race, a_new_session_starts_clean, file_replaced_by_the_host,
}

fn attributes_are_the_hosts(share: &Share) {
    let path = share.host_file("file", "12345");
    let entry = share.lookup(NodeId::ROOT, "file").unwrap();
    let host = fs::metadata(path).unwrap();
    assert_eq!(entry.generation, 0);
    assert_eq!(entry.entry_ttl, Duration::from_secs(1));
    assert_eq!(entry.attr_ttl, Duration::from_secs(1));
    let attr = entry.attr;
    assert_eq!((attr.ino, attr.size, attr.mode), (host.ino(), 5, host.mode()));
    assert_eq!((attr.nlink, attr.uid, attr.gid), (1, host.uid(), host.gid()));
    assert_eq!((attr.blocks, attr.blksize), (host.blocks(), host.blksize() as u32));
    assert_eq!((attr.mtime as i64, i64::from(attr.mtimensec)), (host.mtime(), host.mtime_nsec()));
    assert_eq!((attr.ctime as i64, i64::from(attr.ctimensec)), (host.ctime(), host.ctime_nsec()));
    assert_eq!(share.attr(NodeId(entry.nodeid)).unwrap(), attr);
    assert_eq!(attr.flags, 0);
}

fn missing_names_and_ids(share: &Share) {
    assert_errno(share.lookup(NodeId::ROOT, "missing"), errno::ENOENT);
    assert_errno(share.lookup(NodeId::ROOT, &"x".repeat(256)), errno::ENAMETOOLONG);
    assert_errno(share.lookup(NodeId(4711), "x"), errno::EBADF);
    assert_errno(share.attr(NodeId(4711)), errno::EBADF);
    assert_errno(share.attr(NodeId(0)), errno::EBADF);
}

fn ids_are_not_used_again(share: &Share) {
    share.host_file("file", "");
    let first = share.node("file");
    share.fs.forget(first, 1);
    assert_errno(share.attr(first), errno::EBADF);
    let second = share.node("file");
    assert_ne!(first, second);
    share.fs.init(&(fuse::abi::InitFlags::all()).into()).unwrap();
    assert!(share.node("file") > second);
}

fn hard_links_share_an_id(share: &Share) {
    let path = share.host_file("one", "");
    fs::hard_link(path, share.path("two")).unwrap();
    fs::create_dir(share.path("dir")).unwrap();
    fs::hard_link(share.path("one"), share.path("dir/three")).unwrap();
    let node = share.node("one");
    assert_eq!(share.node("two"), node);
    assert_eq!(share.node("dir/three"), node);
    assert_eq!(share.attr(node).unwrap().nlink, 3);
}

fn forget_counts(share: &Share) {
    share.host_file("file", "");
    let node = share.node("file");
    assert_eq!(share.node("file"), node);
    assert_eq!(share.node("file"), node);
    share.fs.forget(node, 2);
    assert!(share.attr(node).is_ok());
    share.fs.forget(node, 1);
    assert_errno(share.attr(node), errno::EBADF);
    assert_eq!(share.fs.inodes.len(), 0);
}

fn forgetting_too_much_is_harmless(share: &Share) {
    share.host_file("file", "");
    let node = share.node("file");
    share.fs.forget(node, u64::MAX);
    share.fs.forget(node, 1);
    share.fs.forget(NodeId(99), 1);
    share.fs.forget(NodeId::ROOT, u64::MAX);
    assert!(share.attr(NodeId::ROOT).is_ok());
    assert!(share.attr(share.node("file")).is_ok());
}

fn a_file_is_no_directory(share: &Share) {
    share.host_file("file", "");
    assert_errno(share.lookup(share.node("file"), "x"), errno::ENOTDIR);
}

fn dots(share: &Share) {
    fs::create_dir_all(share.path("dir/sub")).unwrap();
    let dir = share.node("dir");
    let sub = share.node("dir/sub");
    assert_eq!(share.lookup(sub, ".").unwrap().nodeid, sub.0);
    assert_eq!(share.lookup(sub, "..").unwrap().nodeid, dir.0);
    assert_eq!(share.lookup(dir, "..").unwrap().nodeid, NodeId::ROOT.0);
    for name in [".", ".."] {
        let entry = share.lookup(NodeId::ROOT, name).unwrap();
        assert_eq!(entry.nodeid, NodeId::ROOT.0);
        assert_eq!(entry.attr.ino, fs::metadata(share.path("")).unwrap().ino());
    }
}

fn symlinks_are_not_followed(share: &Share) {
    share.host_file("target", "12345");
    symlink("target", share.path("link")).unwrap();
    let entry = share.lookup(NodeId::ROOT, "link").unwrap();
    assert_eq!(entry.attr.mode & libc::S_IFMT, libc::S_IFLNK);
    assert_eq!(entry.attr.size, 6);
    let target = share.fs.readlink(&super::share::ROOT, NodeId(entry.nodeid)).unwrap();
    assert_eq!(target, b"target");
}

fn lookups_and_forgets_race(share: &Share) {
    share.host_file("file", "");
    let name = cstring("file");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let entry = share.fs.lookup(&super::share::ROOT, NodeId::ROOT, &name).unwrap();
                    let node = NodeId(entry.nodeid);
                    // Counted, so it must be known until it is forgotten.
                    assert!(share.attr(node).is_ok());
                    share.fs.forget(node, 1);
                }
            });
        }
    });
    assert_eq!(share.fs.inodes.len(), 0);
}

fn a_new_session_starts_clean(share: &Share) {
    let before = share.fs.descriptors.left();
    let file = share.new_file("file");
    share.node("file");
    share.fs.init(&(fuse::abi::InitFlags::all()).into()).unwrap();
    assert_errno(share.attr(file.0), errno::EBADF);
    assert_errno(share.read(file, 0, 1), errno::EBADF);
    assert_eq!((share.fs.inodes.len(), share.fs.handles.len()), (0, 0));
    assert_eq!(share.fs.descriptors.left(), before);
    assert!(share.lookup(NodeId::ROOT, "file").is_ok());
}

fn file_replaced_by_the_host(share: &Share) {
    share.host_file("file", "old");
    let old = share.node("file");
    let fresh = share.host_file("fresh", "newer");
    fs::rename(fresh, share.path("file")).unwrap();
    let new = share.lookup(NodeId::ROOT, "file").unwrap();
    assert_ne!(new.nodeid, old.0);
    assert_eq!(new.attr.size, 5);
}
