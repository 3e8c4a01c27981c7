//! When suid, sgid and capabilities are cleared.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use fuse::filesystem::{CopyRange, Open, SetAttr, Write, Xattrs};
use fuse::{FileSystem, NodeId, errno};

use super::on_every_share;
use super::share::{ROOT, Share, USER, assert_errno, is_root, writing};

on_every_share! { writes, truncations, opens, owners, ranges, acls, capabilities, threads_keep_their_capability }

/// Root's file with suid and sgid.
fn file_with_bits(share: &Share, name: &str) -> NodeId {
    let path = share.host_file(name, "0123456789");
    fs::set_permissions(path, fs::Permissions::from_mode(0o6755)).unwrap();
    share.node(name)
}

fn mode(share: &Share, name: &str) -> u32 {
    fs::metadata(share.path(name)).unwrap().mode() & 0o7777
}

fn writes(share: &Share) {
    if !is_root() {
        return;
    }
    let node = file_with_bits(share, "file");
    let file = (node, share.open(node, libc::O_WRONLY).unwrap());
    share.write(file, 0, b"x").unwrap();
    assert_eq!(mode(share, "file"), 0o6755);
    let kill = Write { kill_suidgid: true, ..writing(0, 1) };
    share.write_as(file, b"x", &kill).unwrap();
    assert_eq!(mode(share, "file"), 0o755);
}

fn truncations(share: &Share) {
    if !is_root() {
        return;
    }
    for with_handle in [false, true] {
        let node = file_with_bits(share, "file");
        let handle = with_handle.then(|| share.open(node, libc::O_WRONLY).unwrap());
        let keep = SetAttr { size: Some(5), ..SetAttr::default() };
        share.fs.setattr(&ROOT, node, handle, &keep).unwrap();
        assert_eq!(mode(share, "file"), 0o6755);
        let kill = SetAttr { size: Some(4), kill_suidgid: true, ..SetAttr::default() };
        share.fs.setattr(&USER, node, handle, &kill).unwrap();
        assert_eq!(mode(share, "file"), 0o755);
    }
}

fn opens(share: &Share) {
    if !is_root() {
        return;
    }
    let node = file_with_bits(share, "file");
    let cut = |kill_suidgid| Open { flags: (libc::O_WRONLY | libc::O_TRUNC) as u32, kill_suidgid };
    share.fs.open(&ROOT, node, &cut(false)).unwrap();
    assert_eq!(mode(share, "file"), 0o6755);
    share.host_file("file", "again");
    share.fs.open(&USER, node, &cut(true)).unwrap();
    assert_eq!(mode(share, "file"), 0o755);
}

fn owners(share: &Share) {
    if !is_root() {
        return;
    }
    let node = file_with_bits(share, "file");
    let owner = SetAttr { uid: Some(5), kill_suidgid: true, ..SetAttr::default() };
    assert_eq!(share.set(node, &owner).unwrap().mode & 0o7777, 0o755);
    fs::create_dir(share.path("dir")).unwrap();
    fs::set_permissions(share.path("dir"), fs::Permissions::from_mode(0o2755)).unwrap();
    assert_eq!(share.set(share.node("dir"), &owner).unwrap().mode & 0o7777, 0o2755);
}

/// These requests do not say; only root keeps the bits.
fn ranges(share: &Share) {
    if !is_root() {
        return;
    }
    let node = file_with_bits(share, "file");
    let file = (node, share.open(node, libc::O_RDWR).unwrap());
    let from = share.new_file("from");
    share.write(from, 0, b"data").unwrap();
    let copy = CopyRange { from, from_offset: 0, to: file, to_offset: 0, len: 4, flags: 0 };
    share.fs.fallocate(&ROOT, file.0, file.1, 0, 0, 4096).unwrap();
    share.fs.copy_file_range(&ROOT, &copy).unwrap();
    assert_eq!(mode(share, "file"), 0o6755);
    share.fs.copy_file_range(&USER, &copy).unwrap();
    assert_eq!(mode(share, "file"), 0o755);
    file_with_bits(share, "file");
    share.fs.fallocate(&USER, file.0, file.1, 0, 0, 8192).unwrap();
    assert_eq!(mode(share, "file"), 0o755);
}

/// `u::rwx,g::r-x,o::r-x`.
const ACL: [u8; 28] = [
    2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 5, 0, 255, 255, 255, 255, 32, 0, 5, 0, 255,
    255, 255, 255,
];

fn acls(share: &Share) {
    if !is_root() {
        return;
    }
    let node = file_with_bits(share, "file");
    let name = c"system.posix_acl_access";
    share.fs.setxattr(&ROOT, node, name, &ACL, 0, false).unwrap();
    assert_eq!(mode(share, "file"), 0o6755);
    share.fs.setxattr(&ROOT, node, name, &ACL, 0, true).unwrap();
    assert_eq!(mode(share, "file"), 0o4755);
}

fn capabilities(share: &Share) {
    if !is_root() {
        return;
    }
    let node = file_with_bits(share, "file");
    // `struct vfs_cap_data`, revision 2: cap_net_raw, permitted and effective.
    let value = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let name = c"security.capability";
    share.set_xattr(node, name, &value).unwrap();
    assert_eq!(share.get_xattr(node, name).unwrap(), value);
    let file = (node, share.open(node, libc::O_WRONLY).unwrap());
    share.write(file, 0, b"x").unwrap();
    assert_errno(share.get_xattr(node, name), errno::ENODATA);
}

fn threads_keep_their_capability(share: &Share) {
    if !is_root() {
        return;
    }
    let node = file_with_bits(share, "file");
    let reader = (node, share.open(node, libc::O_RDONLY).unwrap());
    let kill = Write { kill_suidgid: true, ..writing(0, 1) };
    assert_errno(share.write_as(reader, b"x", &kill), errno::EBADF);
    let effective = rustix::thread::capabilities(None).unwrap().effective;
    assert!(effective.contains(rustix::thread::CapabilitySet::FSETID));
}
