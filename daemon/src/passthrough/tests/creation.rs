//! Who owns what is created, and with which mode.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use fuse::filesystem::{Create, Extensions, Make};
use fuse::{Context, FileSystem, NodeId, errno};

use super::on_every_share;
use super::share::{ROOT, Share, USER, assert_errno, config, creation, cstring, is_root};
use crate::passthrough::InodeFileHandles;

on_every_share! {
    files_belong_to_the_caller, the_guest_has_checked_permissions, umask, default_acls_replace_the_umask,
    directories_pass_on_their_group, supplementary_groups, threads_are_themselves_again, types, opening_what_exists,
    what_the_caller_may_not_open, existing_files_are_cut, directories_are_no_files, labels,
}

fn make(mode: u32) -> Make<'static> {
    Make { mode, ..Make::default() }
}

fn files_belong_to_the_caller(share: &Share) {
    if !is_root() {
        return;
    }
    let (file, _) = share.create(&USER, NodeId::ROOT, "file", &creation(0o640)).unwrap();
    let dir = share.fs.mkdir(&USER, NodeId::ROOT, c"dir", &make(0o750)).unwrap();
    let fifo = share.fs.mknod(&USER, NodeId::ROOT, c"fifo", &make(libc::S_IFIFO | 0o600)).unwrap();
    let link = share.fs.symlink(&USER, NodeId::ROOT, c"link", c"target", &make(0)).unwrap();
    let (temporary, _) = share.fs.tmpfile(&USER, NodeId::ROOT, &creation(0o644)).unwrap();
    for entry in [file, dir, fifo, link, temporary] {
        assert_eq!((entry.attr.uid, entry.attr.gid), (USER.uid, USER.gid));
    }
    assert_eq!(file.attr.mode, libc::S_IFREG | 0o640);
    assert_eq!(dir.attr.mode, libc::S_IFDIR | 0o750);
    assert_eq!(fifo.attr.mode, libc::S_IFIFO | 0o600);
    let (file, _) = share.create(&ROOT, NodeId::ROOT, "root", &creation(0o600)).unwrap();
    assert_eq!((file.attr.uid, file.attr.gid), (0, 0));
    let group = Context { uid: 0, ..USER };
    let (file, _) = share.create(&group, NodeId::ROOT, "group", &creation(0o600)).unwrap();
    assert_eq!((file.attr.uid, file.attr.gid), (0, USER.gid));
}

/// Some of the caller's groups may allow what the host, which does not know them, would not.
fn the_guest_has_checked_permissions(share: &Share) {
    if !is_root() {
        return;
    }
    fs::set_permissions(share.path(""), fs::Permissions::from_mode(0o700)).unwrap();
    let (file, opened) = share.create(&USER, NodeId::ROOT, "file", &creation(0)).unwrap();
    assert_eq!(file.attr.uid, USER.uid);
    share.write((NodeId(file.nodeid), opened.handle.unwrap()), 0, b"data").unwrap();
    assert_eq!(share.fs.mkdir(&USER, NodeId::ROOT, c"dir", &make(0)).unwrap().attr.uid, USER.uid);
}

fn umask(share: &Share) {
    let masked = Create { umask: 0o027, ..creation(0o666) };
    let (file, _) = share.create(&ROOT, NodeId::ROOT, "file", &masked).unwrap();
    assert_eq!(file.attr.mode, libc::S_IFREG | 0o640);
    let masked = Make { umask: 0o077, ..make(0o777) };
    let dir = share.fs.mkdir(&ROOT, NodeId::ROOT, c"dir", &masked).unwrap();
    assert_eq!(dir.attr.mode, libc::S_IFDIR | 0o700);
    let masked = Make { umask: 0o002, ..make(libc::S_IFIFO | 0o666) };
    let fifo = share.fs.mknod(&ROOT, NodeId::ROOT, c"fifo", &masked).unwrap();
    assert_eq!(fifo.attr.mode, libc::S_IFIFO | 0o664);
    let (open, _) = share.create(&ROOT, NodeId::ROOT, "open", &creation(0o666)).unwrap();
    assert_eq!(open.attr.mode, libc::S_IFREG | 0o666);
}

/// `u::rwx,g::rwx,o::---` as `include/uapi/linux/posix_acl_xattr.h` lays it out.
const DEFAULT_ACL: [u8; 28] = [
    2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 7, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255,
    255, 255, 255,
];

fn default_acls_replace_the_umask(share: &Share) {
    share.set_xattr(NodeId::ROOT, c"system.posix_acl_default", &DEFAULT_ACL).unwrap();
    let masked = Create { umask: 0o077, ..creation(0o666) };
    let (file, _) = share.create(&ROOT, NodeId::ROOT, "file", &masked).unwrap();
    assert_eq!(file.attr.mode, libc::S_IFREG | 0o660);
    let masked = Make { umask: 0o077, ..make(0o775) };
    let dir = share.fs.mkdir(&ROOT, NodeId::ROOT, c"dir", &masked).unwrap();
    assert_eq!(dir.attr.mode, libc::S_IFDIR | 0o770);
    let inherited = share.get_xattr(NodeId(dir.nodeid), c"system.posix_acl_default").unwrap();
    assert_eq!(inherited, DEFAULT_ACL);
}

fn directories_pass_on_their_group(share: &Share) {
    if !is_root() {
        return;
    }
    fs::create_dir(share.path("dir")).unwrap();
    chown(share.path("dir"), None, Some(4242)).unwrap();
    fs::set_permissions(share.path("dir"), fs::Permissions::from_mode(0o2777)).unwrap();
    let dir = share.node("dir");
    let (file, _) = share.create(&USER, dir, "file", &creation(0o2755)).unwrap();
    assert_eq!((file.attr.uid, file.attr.gid), (USER.uid, 4242));
    // sgid for a group that the caller is no member of is not for the caller to give.
    assert_eq!(file.attr.mode & 0o7777, 0o755);
    let sub = share.fs.mkdir(&USER, dir, c"sub", &make(0o755)).unwrap();
    assert_eq!((sub.attr.gid, sub.attr.mode & 0o7777), (4242, 0o2755));
}

fn supplementary_groups(share: &Share) {
    if !is_root() {
        return;
    }
    fs::create_dir(share.path("dir")).unwrap();
    chown(share.path("dir"), None, Some(4242)).unwrap();
    fs::set_permissions(share.path("dir"), fs::Permissions::from_mode(0o2777)).unwrap();
    let extensions = Extensions { supplementary_gid: Some(4242), ..Extensions::default() };
    let member = Create { extensions, ..creation(0o2755) };
    let (file, _) = share.create(&USER, share.node("dir"), "file", &member).unwrap();
    assert_eq!((file.attr.gid, file.attr.mode & 0o7777), (4242, 0o2755));
    assert_eq!(rustix::process::getgroups().unwrap(), []);
}

fn threads_are_themselves_again(share: &Share) {
    if !is_root() {
        return;
    }
    let whoami = || {
        let capabilities = rustix::thread::capabilities(None).unwrap();
        (rustix::process::geteuid(), rustix::process::getegid(), capabilities.effective)
    };
    crate::passthrough::prepare_thread().unwrap();
    let before = whoami();
    let extensions = Extensions { supplementary_gid: Some(4242), ..Extensions::default() };
    let create = Create { umask: 0o777, extensions, ..creation(0o644) };
    share.create(&USER, NodeId::ROOT, "file", &create).unwrap();
    assert_eq!(whoami(), before);
    assert_errno(share.fs.mkdir(&USER, NodeId::ROOT, c"file", &make(0o755)), errno::EEXIST);
    assert_eq!(whoami(), before);
    // Half-way: the group is changed already when it turns out that the user cannot be.
    let nobody = Context { uid: u32::MAX, ..USER };
    assert_errno(share.fs.mkdir(&nobody, NodeId::ROOT, c"dir", &make(0o755)), errno::EINVAL);
    assert_eq!(whoami(), before);
    assert_eq!(rustix::process::getgroups().unwrap(), []);
    let (file, _) = share.create(&ROOT, NodeId::ROOT, "later", &creation(0o666)).unwrap();
    assert_eq!((file.attr.uid, file.attr.mode & 0o7777), (0, 0o666));
}

fn types(share: &Share) {
    let mknod = |name: &str, mode, rdev| {
        let make = Make { rdev, ..make(mode) };
        share.fs.mknod(&ROOT, NodeId::ROOT, &cstring(name), &make)
    };
    let socket = mknod("socket", libc::S_IFSOCK | 0o600, 0).unwrap();
    assert_eq!(socket.attr.mode, libc::S_IFSOCK | 0o600);
    let file = mknod("file", libc::S_IFREG | 0o600, 0).unwrap();
    assert_eq!(file.attr.mode, libc::S_IFREG | 0o600);
    assert_eq!(mknod("plain", 0o600, 0).unwrap().attr.mode, libc::S_IFREG | 0o600);
    assert_errno(mknod("dir", libc::S_IFDIR | 0o700, 0), errno::EINVAL);
    if is_root() {
        // Major 259, minor 70000, in the kernel's encoding.
        let rdev = 0x1110_0000 | 259 << 8 | 0x70;
        let device = mknod("device", libc::S_IFCHR | 0o600, rdev).unwrap();
        assert_eq!((device.attr.mode, device.attr.rdev), (libc::S_IFCHR | 0o600, rdev));
        let host = fs::metadata(share.path("device")).unwrap().rdev();
        assert_eq!((libc::major(host), libc::minor(host)), (259, 70_000));
        assert_errno(share.open(NodeId(device.nodeid), libc::O_RDONLY), errno::EBADF);
    }
}

fn opening_what_exists(share: &Share) {
    share.host_file("file", "data");
    let (entry, opened) = share.create(&ROOT, NodeId::ROOT, "file", &creation(0o600)).unwrap();
    let file = (NodeId(entry.nodeid), opened.handle.unwrap());
    assert_eq!(entry.attr.size, 4);
    assert_eq!(share.read(file, 0, 100).unwrap(), b"data");
    let mut exclusive = creation(0o600);
    exclusive.flags |= libc::O_EXCL as u32;
    assert_errno(share.create(&ROOT, NodeId::ROOT, "file", &exclusive), errno::EEXIST);
}

/// The guest's kernel believes that the file is new, and has checked nothing.
fn what_the_caller_may_not_open(share: &Share) {
    if !is_root() {
        return;
    }
    let path = share.host_file("file", "data");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let cut = Create { flags: (libc::O_WRONLY | libc::O_TRUNC) as u32, ..creation(0o600) };
    assert_errno(share.create(&USER, NodeId::ROOT, "file", &cut), errno::ESTALE);
    assert_eq!(fs::read(&path).unwrap(), b"data");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_errno(share.create(&USER, NodeId::ROOT, "file", &cut), errno::ESTALE);
    let cut_unread = Create { flags: (libc::O_RDONLY | libc::O_TRUNC) as u32, ..creation(0o600) };
    assert_errno(share.create(&USER, NodeId::ROOT, "file", &cut_unread), errno::ESTALE);
    assert_eq!(fs::read(&path).unwrap(), b"data");
    let read = Create { flags: libc::O_RDONLY as u32, ..creation(0o600) };
    assert!(share.create(&USER, NodeId::ROOT, "file", &read).is_ok());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(share.create(&USER, NodeId::ROOT, "file", &cut).is_ok());
    assert_eq!(fs::read(&path).unwrap(), b"");
}

fn existing_files_are_cut(share: &Share) {
    share.host_file("file", "data");
    let cut = Create { flags: (libc::O_RDWR | libc::O_TRUNC) as u32, ..creation(0o600) };
    share.create(&ROOT, NodeId::ROOT, "file", &cut).unwrap();
    assert_eq!(fs::read(share.path("file")).unwrap(), b"");
}

fn directories_are_no_files(share: &Share) {
    fs::create_dir(share.path("dir")).unwrap();
    assert_errno(share.create(&ROOT, NodeId::ROOT, "dir", &creation(0o644)), errno::EISDIR);
}

fn labels(share: &Share) {
    if !is_root() {
        return;
    }
    let extensions = || Extensions {
        security: vec![(c"security.samepage", b"label".as_slice())],
        ..Extensions::default()
    };
    let labelled = Create { extensions: extensions(), ..creation(0o644) };
    let (file, _) = share.create(&USER, NodeId::ROOT, "file", &labelled).unwrap();
    let labelled = Make { extensions: extensions(), ..make(0o755) };
    let dir = share.fs.mkdir(&USER, NodeId::ROOT, c"dir", &labelled).unwrap();
    let link = share.fs.symlink(&USER, NodeId::ROOT, c"link", c"file", &labelled).unwrap();
    for entry in [file, dir, link] {
        let label = share.get_xattr(NodeId(entry.nodeid), c"security.samepage").unwrap();
        assert_eq!(label, b"label");
    }
    // A label that cannot be set leaves nothing behind.
    let extensions =
        Extensions { security: vec![(c"nonsense", b"x".as_slice())], ..Extensions::default() };
    let refused = Create { extensions: extensions.clone(), ..creation(0o644) };
    assert_errno(share.create(&ROOT, NodeId::ROOT, "bad", &refused), errno::EOPNOTSUPP);
    let refused = Make { extensions, ..make(0o755) };
    assert_errno(share.fs.mkdir(&ROOT, NodeId::ROOT, c"bad", &refused), errno::EOPNOTSUPP);
    assert_errno(share.lookup(NodeId::ROOT, "bad"), errno::ENOENT);
}

/// A guest that applies the umask itself still sends it.
#[test]
fn the_umask_counts_once() {
    let share = Share::on_disk(&config(InodeFileHandles::Prefer));
    share.fs.init(&(fuse::abi::InitFlags::all() - fuse::abi::InitFlags::DONT_MASK).into()).unwrap();
    let masked = Create { umask: 0o777, ..creation(0o644) };
    let (file, _) = share.create(&ROOT, NodeId::ROOT, "file", &masked).unwrap();
    assert_eq!(file.attr.mode & 0o7777, 0o644);
}
