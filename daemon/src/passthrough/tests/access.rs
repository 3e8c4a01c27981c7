//! ACCESS, which answers by the host's own rules.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fuse::{Context, FileSystem, errno};

use super::on_every_share;
use super::share::{ROOT, Share, USER, assert_errno, is_root};

const R: u32 = libc::R_OK as u32;
const W: u32 = libc::W_OK as u32;
const X: u32 = libc::X_OK as u32;

on_every_share! { users_and_root, owners }

fn users_and_root(share: &Share) {
    if !is_root() {
        return;
    }
    let path = share.host_file("file", "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    let node = share.node("file");
    let ask = |context, mask| share.fs.access(context, node, mask);
    ask(&USER, 0).unwrap();
    ask(&USER, R).unwrap();
    assert_errno(ask(&USER, W), errno::EACCES);
    assert_errno(ask(&USER, R | W), errno::EACCES);
    assert_errno(ask(&USER, X), errno::EACCES);
    ask(&ROOT, R | W).unwrap();
    assert_errno(ask(&ROOT, X), errno::EACCES);
    ask(&ROOT, R).unwrap();
}

fn owners(share: &Share) {
    if !is_root() {
        return;
    }
    let path = share.host_file("file", "");
    std::os::unix::fs::chown(&path, Some(USER.uid), Some(USER.gid)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o740)).unwrap();
    let node = share.node("file");
    share.fs.access(&USER, node, R | W | X).unwrap();
    let member = Context { uid: 999, ..USER };
    share.fs.access(&member, node, R).unwrap();
    assert_errno(share.fs.access(&member, node, W), errno::EACCES);
}
