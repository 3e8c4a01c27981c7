//! Read-only shares.

use std::fs;

use fuse::filesystem::{CopyRange, Ioctl, Make, SetAttr, XattrReply, Xattrs};
use fuse::{FileSystem, NodeId, errno};

use super::share::{ROOT, Share, assert_errno, config, creation};
use crate::passthrough::{Config, InodeFileHandles};

fn read_only() -> Share {
    Share::on_disk(&Config { readonly: true, ..config(InodeFileHandles::Prefer) })
}

#[test]
fn reading_goes_on() {
    let share = read_only();
    share.host_file("file", "data");
    let node = share.node("file");
    let file = (node, share.open(node, libc::O_RDONLY).unwrap());
    assert_eq!(share.read(file, 0, 10).unwrap(), b"data");
    assert_eq!(share.attr(node).unwrap().size, 4);
    let root = (NodeId::ROOT, share.opendir(NodeId::ROOT));
    assert_eq!(share.readdir(root, 0, 4096).len(), 3);
    assert!(matches!(share.fs.listxattr(&ROOT, node, 0), Ok(XattrReply::Size(_))));
    let flags = Ioctl { cmd: 0x8008_6601, flags: 0, arg: 0, input: &[], out_size: 8 };
    assert!(share.fs.ioctl(&ROOT, node, file.1, &flags).is_ok());
}

#[test]
fn names_cannot_be_changed() {
    let share = read_only();
    share.host_file("file", "data");
    fs::create_dir(share.path("dir")).unwrap();
    let (root, node, make) = (NodeId::ROOT, share.node("file"), Make::default());
    let fs = &share.fs;
    assert_errno(fs.mkdir(&ROOT, root, c"x", &make), errno::EROFS);
    assert_errno(fs.mknod(&ROOT, root, c"x", &make), errno::EROFS);
    assert_errno(fs.symlink(&ROOT, root, c"x", c"y", &make), errno::EROFS);
    assert_errno(fs.link(&ROOT, node, root, c"x"), errno::EROFS);
    assert_errno(fs.unlink(&ROOT, root, c"file"), errno::EROFS);
    assert_errno(fs.rmdir(&ROOT, root, c"dir"), errno::EROFS);
    assert_errno(fs.rename(&ROOT, (root, c"file"), (root, c"x"), 0), errno::EROFS);
    assert_errno(share.create(&ROOT, root, "x", &creation(0o644)), errno::EROFS);
    assert_errno(fs.tmpfile(&ROOT, root, &creation(0o644)), errno::EROFS);
    assert_eq!(std::fs::read_dir(share.path("")).unwrap().count(), 2);
}

#[test]
fn files_cannot_be_changed() {
    let share = read_only();
    share.host_file("file", "data");
    let node = share.node("file");
    let file = (node, share.open(node, libc::O_RDONLY).unwrap());
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_RDONLY | libc::O_TRUNC, 3] {
        assert_errno(share.open(node, flags), errno::EROFS);
    }
    assert_errno(share.write(file, 0, b"x"), errno::EROFS);
    assert_errno(share.fs.fallocate(&ROOT, node, file.1, 0, 0, 10), errno::EROFS);
    let copy = CopyRange { from: file, from_offset: 0, to: file, to_offset: 2, len: 1, flags: 0 };
    assert_errno(share.fs.copy_file_range(&ROOT, &copy), errno::EROFS);
    let mode = SetAttr { mode: Some(0o600), ..SetAttr::default() };
    assert_errno(share.set(node, &mode), errno::EROFS);
    assert_errno(share.set_xattr(node, c"user.x", b"x"), errno::EROFS);
    assert_errno(share.fs.removexattr(&ROOT, node, c"user.x"), errno::EROFS);
    for cmd in [0x4008_6602, 0x4004_6602, 0x401c_5820] {
        let set = Ioctl { cmd, flags: 0, arg: 0, input: &[0; 28], out_size: 0 };
        assert_errno(share.fs.ioctl(&ROOT, node, file.1, &set), errno::EROFS);
    }
    assert_eq!(fs::read(share.path("file")).unwrap(), b"data");
}
