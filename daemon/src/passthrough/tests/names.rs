//! RENAME, LINK, UNLINK, RMDIR, SYMLINK.

use std::fs;

use fuse::filesystem::Make;
use fuse::{FileSystem, NodeId, errno};

use super::on_every_share;
use super::share::{ROOT, Share, assert_errno, cstring, is_root};

on_every_share! { renames, rename_flags, whiteouts, links, removals, symlinks }

fn renames(share: &Share) {
    share.host_file("file", "data");
    fs::create_dir_all(share.path("dir/sub")).unwrap();
    let (file, dir, sub) = (share.node("file"), share.node("dir"), share.node("dir/sub"));
    share.rename((NodeId::ROOT, "file"), (dir, "moved"), 0).unwrap();
    assert_eq!(share.node("dir/moved"), file);
    assert_errno(share.lookup(NodeId::ROOT, "file"), errno::ENOENT);
    share.rename((dir, "sub"), (NodeId::ROOT, "top"), 0).unwrap();
    assert_eq!(share.node("top"), sub);
    assert_eq!(share.lookup(sub, "..").unwrap().nodeid, NodeId::ROOT.0);
    assert_errno(share.rename((NodeId::ROOT, "none"), (dir, "x"), 0), errno::ENOENT);
    assert_errno(share.rename((NodeId::ROOT, "dir"), (dir, "self"), 0), errno::EINVAL);
    assert_errno(share.rename((file, "x"), (dir, "y"), 0), errno::ENOTDIR);
}

fn rename_flags(share: &Share) {
    share.host_file("one", "1");
    share.host_file("two", "2");
    let (one, two) = (share.node("one"), share.node("two"));
    let rename = |flags| share.rename((NodeId::ROOT, "one"), (NodeId::ROOT, "two"), flags);
    assert_errno(rename(libc::RENAME_NOREPLACE), errno::EEXIST);
    assert_errno(rename(libc::RENAME_NOREPLACE | libc::RENAME_EXCHANGE), errno::EINVAL);
    assert_errno(rename(1 << 20), errno::EINVAL);
    rename(libc::RENAME_EXCHANGE).unwrap();
    assert_eq!((share.node("one"), share.node("two")), (two, one));
    assert_eq!(share.attr(one).unwrap().nlink, 1);
}

fn whiteouts(share: &Share) {
    if !is_root() {
        return;
    }
    share.host_file("one", "1");
    let flags = libc::RENAME_WHITEOUT;
    match share.rename((NodeId::ROOT, "one"), (NodeId::ROOT, "two"), flags) {
        Ok(()) => {
            let whiteout = share.lookup(NodeId::ROOT, "one").unwrap().attr;
            assert_eq!((whiteout.mode & libc::S_IFMT, whiteout.rdev), (libc::S_IFCHR, 0));
        }
        Err(error) => assert_eq!(error.raw_os_error(), Some(errno::EINVAL)),
    }
}

fn links(share: &Share) {
    share.host_file("file", "data");
    fs::create_dir(share.path("dir")).unwrap();
    let (file, dir) = (share.node("file"), share.node("dir"));
    let entry = share.link(file, dir, "linked").unwrap();
    assert_eq!((entry.nodeid, entry.attr.nlink), (file.0, 2));
    assert_eq!(fs::read(share.path("dir/linked")).unwrap(), b"data");
    // It counted a lookup.
    share.fs.forget(file, 1);
    assert!(share.attr(file).is_ok());
    assert_errno(share.link(file, dir, "linked"), errno::EEXIST);
    assert_errno(share.link(dir, NodeId::ROOT, "x"), errno::EPERM);
    assert_errno(share.link(NodeId(99), dir, "x"), errno::EBADF);
}

fn removals(share: &Share) {
    share.host_file("file", "");
    fs::create_dir(share.path("dir")).unwrap();
    share.unlink(NodeId::ROOT, "file").unwrap();
    assert!(!share.path("file").exists());
    assert_errno(share.unlink(NodeId::ROOT, "file"), errno::ENOENT);
    share.fs.rmdir(&ROOT, NodeId::ROOT, &cstring("dir")).unwrap();
    assert!(!share.path("dir").exists());
    share.host_file("file", "");
    let rmdir = share.fs.rmdir(&ROOT, NodeId::ROOT, &cstring("file"));
    assert_errno(rmdir, errno::ENOTDIR);
}

fn symlinks(share: &Share) {
    // xfs has the shortest limit.
    let target = format!("/{}", "x".repeat(1000));
    let make = Make::default();
    let entry = share.fs.symlink(&ROOT, NodeId::ROOT, c"link", &cstring(&target), &make).unwrap();
    assert_eq!(entry.attr.size, target.len() as u64);
    let read = share.fs.readlink(&ROOT, NodeId(entry.nodeid)).unwrap();
    assert_eq!(read, target.as_bytes());
    let file = share.new_file("file").0;
    assert_errno(share.fs.readlink(&ROOT, file), errno::ENOENT);
}
