//! Extended attributes.

use std::ffi::CStr;
use std::os::unix::fs::symlink;

use fuse::filesystem::{Make, XattrReply, Xattrs};
use fuse::{FileSystem, NodeId, errno};

use super::on_every_share;
use super::share::{ROOT, Share, assert_errno, config, is_root};
use crate::passthrough::{Config, InodeFileHandles, Negotiation};

on_every_share! { values, sizes, every_type_of_file, acls_that_the_guest_checks }

const NAME: &CStr = c"user.samepage";

fn list(share: &Share, node: NodeId, size: u32) -> std::io::Result<XattrReply> {
    share.fs.listxattr(&ROOT, node, size)
}

fn values(share: &Share) {
    share.host_file("file", "");
    std::fs::create_dir(share.path("dir")).unwrap();
    for name in ["file", "dir"] {
        let node = share.node(name);
        assert_errno(share.get_xattr(node, NAME), errno::ENODATA);
        share.set_xattr(node, NAME, b"value").unwrap();
        assert_eq!(share.get_xattr(node, NAME).unwrap(), b"value");
        let create = libc::XATTR_CREATE as u32;
        assert_errno(share.fs.setxattr(&ROOT, node, NAME, b"x", create, false), errno::EEXIST);
        share.set_xattr(node, NAME, b"").unwrap();
        assert_eq!(share.get_xattr(node, NAME).unwrap(), b"");
        let XattrReply::Value(names) = list(share, node, 1024).unwrap() else { panic!("no names") };
        assert!(names.split(|byte| *byte == 0).any(|name| name == NAME.to_bytes()));
        share.fs.removexattr(&ROOT, node, NAME).unwrap();
        assert_errno(share.fs.removexattr(&ROOT, node, NAME), errno::ENODATA);
        let replace = libc::XATTR_REPLACE as u32;
        assert_errno(share.fs.setxattr(&ROOT, node, NAME, b"x", replace, false), errno::ENODATA);
    }
}

fn sizes(share: &Share) {
    share.host_file("file", "");
    let node = share.node("file");
    let ask = |size| share.fs.getxattr(&ROOT, node, NAME, size);
    share.set_xattr(node, NAME, &[7; 100]).unwrap();
    assert_eq!(ask(0).unwrap(), XattrReply::Size(100));
    assert_eq!(ask(100).unwrap(), XattrReply::Value(vec![7; 100]));
    assert_eq!(ask(u32::MAX).unwrap(), XattrReply::Value(vec![7; 100]));
    assert_errno(ask(99), errno::ERANGE);
    let XattrReply::Size(size) = list(share, node, 0).unwrap() else { panic!("no size") };
    assert!(size as usize >= NAME.to_bytes_with_nul().len());
    assert!(matches!(list(share, node, size).unwrap(), XattrReply::Value(_)));
    assert_errno(list(share, node, size - 1), errno::ERANGE);
}

/// Trusted attributes may be had by all types, user attributes only by files and directories. Nothing is opened: that
/// would hang on the FIFO.
fn every_type_of_file(share: &Share) {
    if !is_root() {
        return;
    }
    symlink("nowhere", share.path("symlink")).unwrap();
    for (name, kind) in
        [(c"fifo", libc::S_IFIFO), (c"socket", libc::S_IFSOCK), (c"device", libc::S_IFCHR)]
    {
        let make = Make { mode: kind | 0o600, rdev: 0x0103, ..Make::default() };
        share.fs.mknod(&ROOT, NodeId::ROOT, name, &make).unwrap();
    }
    for name in ["symlink", "fifo", "socket", "device"] {
        let node = share.node(name);
        let trusted = c"trusted.samepage";
        share.set_xattr(node, trusted, name.as_bytes()).unwrap();
        assert_eq!(share.get_xattr(node, trusted).unwrap(), name.as_bytes());
        let XattrReply::Value(names) = list(share, node, 1024).unwrap() else { panic!("no names") };
        assert!(names.starts_with(trusted.to_bytes()));
        share.fs.removexattr(&ROOT, node, trusted).unwrap();
        assert_errno(share.get_xattr(node, trusted), errno::ENODATA);
        assert_errno(share.set_xattr(node, NAME, b"x"), errno::EPERM);
    }
}

/// `u::rw-,u:1234:rw-,g::r--,m::rw-,o::---`.
const ACL: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 210, 4, 0, 0, 4, 0, 4, 0, 255, 255,
    255, 255, 16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];
const ACL_NAME: &CStr = c"system.posix_acl_access";

fn acls_that_the_guest_checks(share: &Share) {
    share.host_file("file", "");
    let node = share.node("file");
    share.set_xattr(node, ACL_NAME, &ACL).unwrap();
    assert_eq!(share.get_xattr(node, ACL_NAME).unwrap(), ACL);
    assert_eq!(share.attr(node).unwrap().mode & 0o777, 0o660);
    assert_errno(share.set_xattr(node, ACL_NAME, &ACL[..10]), errno::EINVAL);
    share.fs.removexattr(&ROOT, node, ACL_NAME).unwrap();
}

#[test]
fn acls_that_the_guest_does_not_check() {
    let share = Share::on_disk(&Config {
        posix_acl: Negotiation::Never,
        ..config(InodeFileHandles::Prefer)
    });
    let path = share.host_file("file", "");
    rustix::fs::setxattr(&path, ACL_NAME, &ACL, rustix::fs::XattrFlags::empty()).unwrap();
    let node = share.node("file");
    for name in [ACL_NAME, c"system.posix_acl_default"] {
        assert_errno(share.get_xattr(node, name), errno::EOPNOTSUPP);
        assert_errno(share.set_xattr(node, name, &ACL), errno::EOPNOTSUPP);
        assert_errno(share.fs.removexattr(&ROOT, node, name), errno::EOPNOTSUPP);
    }
    let XattrReply::Value(names) = list(&share, node, 1024).unwrap() else { panic!("no names") };
    assert!(!names.windows(9).any(|window| window == b"posix_acl"));
}

#[test]
fn none_where_they_are_off() {
    let share = Share::on_disk(&Config { xattr: false, ..config(InodeFileHandles::Prefer) });
    share.host_file("file", "");
    let node = share.node("file");
    assert_errno(share.get_xattr(node, NAME), errno::ENOSYS);
    assert_errno(share.set_xattr(node, NAME, b"x"), errno::ENOSYS);
    assert_errno(share.fs.removexattr(&ROOT, node, NAME), errno::ENOSYS);
    assert_errno(list(&share, node, 0), errno::ENOSYS);
}
