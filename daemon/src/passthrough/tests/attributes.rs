//! SETATTR, STATX and STATFS.

use std::fs;
use std::os::unix::fs::MetadataExt;

use fuse::filesystem::{SetAttr, SetTime};
use fuse::{FileSystem, NodeId, errno};

use super::on_every_share;
use super::share::{ROOT, Share, assert_errno, is_root};

on_every_share! { modes, owners, owner_and_mode_together, times, statx, statfs, through_a_handle }

fn modes(share: &Share) {
    share.host_file("file", "");
    fs::create_dir(share.path("dir")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(share.path("socket")).unwrap();
    for (name, mode) in [("file", 0o4701), ("dir", 0o1777), ("socket", 0o600)] {
        let set = SetAttr { mode: Some(mode | libc::S_IFLNK), ..SetAttr::default() };
        let attr = share.set(share.node(name), &set).unwrap();
        assert_eq!(attr.mode & 0o7777, mode);
        assert_eq!(fs::metadata(share.path(name)).unwrap().mode(), attr.mode);
    }
}

fn owners(share: &Share) {
    if !is_root() {
        return;
    }
    share.host_file("file", "");
    let node = share.node("file");
    let attr = share.set(node, &SetAttr { uid: Some(11), ..SetAttr::default() }).unwrap();
    assert_eq!((attr.uid, attr.gid), (11, 0));
    let attr = share.set(node, &SetAttr { gid: Some(22), ..SetAttr::default() }).unwrap();
    assert_eq!((attr.uid, attr.gid), (11, 22));
    let nobody = SetAttr { uid: Some(u32::MAX), ..SetAttr::default() };
    assert_errno(share.set(node, &nobody), errno::EINVAL);
}

fn owner_and_mode_together(share: &Share) {
    if !is_root() {
        return;
    }
    share.host_file("file", "");
    let node = share.node("file");
    let both = SetAttr { mode: Some(0o6755), uid: Some(11), gid: Some(22), ..SetAttr::default() };
    let attr = share.set(node, &both).unwrap();
    assert_eq!((attr.mode & 0o7777, attr.uid, attr.gid), (0o6755, 11, 22));
}

fn times(share: &Share) {
    share.host_file("file", "");
    let node = share.node("file");
    let set = SetAttr {
        atime: Some(SetTime::At(-5, 123)),
        mtime: Some(SetTime::At(1_700_000_000, 999_999_999)),
        ..SetAttr::default()
    };
    let attr = share.set(node, &set).unwrap();
    assert_eq!((attr.atime as i64, attr.atimensec), (-5, 123));
    assert_eq!((attr.mtime, attr.mtimensec), (1_700_000_000, 999_999_999));
    let now = SetAttr { mtime: Some(SetTime::Now), ..SetAttr::default() };
    let attr = share.set(node, &now).unwrap();
    assert!(attr.mtime > 1_700_000_000);
    assert_eq!((attr.atime as i64, attr.atimensec), (-5, 123));
    // UTIME_NOW and UTIME_OMIT, smuggled in.
    for nanoseconds in [0x3fff_ffff, 0x3fff_fffe, 1_000_000_000] {
        let bad = SetAttr { atime: Some(SetTime::At(0, nanoseconds)), ..SetAttr::default() };
        assert_errno(share.set(node, &bad), errno::EINVAL);
    }
}

fn statx(share: &Share) {
    let path = share.host_file("file", "12345");
    let node = share.node("file");
    let all = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    let statx = share.fs.statx(&ROOT, node, None, 0, all).unwrap().statx;
    let host = fs::metadata(path).unwrap();
    assert_eq!((statx.ino, statx.size, u32::from(statx.mode)), (host.ino(), 5, host.mode()));
    assert_eq!(statx.mask & libc::STATX_BASIC_STATS, libc::STATX_BASIC_STATS);
    assert_eq!(statx.mask & !all, 0);
    if let Ok(created) = host.created() {
        let seconds = created.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!((statx.btime.tv_sec as u64, statx.mask & libc::STATX_BTIME), (seconds, 0x800));
    }
    let handle = share.open(node, libc::O_RDONLY).unwrap();
    let flags = libc::AT_STATX_DONT_SYNC as u32 | 0x8000_0000;
    let again = share.fs.statx(&ROOT, node, Some(handle), flags, u32::MAX).unwrap().statx;
    assert_eq!((again.ino, again.size), (statx.ino, 5));
}

fn statfs(share: &Share) {
    let figures = share.fs.statfs(&ROOT, NodeId::ROOT).unwrap();
    let host = rustix::fs::statvfs(share.path("")).unwrap();
    assert_eq!((figures.blocks, u64::from(figures.bsize)), (host.f_blocks, host.f_bsize));
    assert_eq!((u64::from(figures.frsize), figures.namelen), (host.f_frsize, 255));
    assert!(figures.bfree > 0 && figures.bfree >= figures.bavail);
    assert!(figures.files >= figures.ffree);
}

fn through_a_handle(share: &Share) {
    let file = share.new_file("file");
    let set = SetAttr {
        mode: Some(0o600),
        size: Some(10),
        mtime: Some(SetTime::At(1, 2)),
        ..SetAttr::default()
    };
    let attr = share.fs.setattr(&ROOT, file.0, Some(file.1), &set).unwrap().attr;
    assert_eq!((attr.mode & 0o7777, attr.size, attr.mtime, attr.mtimensec), (0o600, 10, 1, 2));
    assert_eq!(share.fs.getattr(&ROOT, file.0, Some(file.1)).unwrap().attr, attr);
}
