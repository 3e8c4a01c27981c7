//! Attempts to reach what lies outside the shared directory.

use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use fuse::filesystem::{Open, SetAttr, SetTime};
use fuse::{FileSystem, NodeId, errno};

use super::on_every_share;
use super::share::{ROOT, Share, assert_errno, creation, cstring};

on_every_share! {
    symlinks_lead_nowhere, symlinks_are_changed_themselves, creation_does_not_follow_symlinks,
    names_are_one_component, directories_that_left_the_share, special_files_are_not_opened,
    a_directory_swapped_for_a_symlink,
}

fn symlinks_lead_nowhere(share: &Share) {
    fs::write(share.outside("secret"), "secret").unwrap();
    symlink(share.outside(""), share.path("up")).unwrap();
    symlink("../secret", share.path("link")).unwrap();
    assert_errno(share.lookup(share.node("up"), "secret"), errno::ENOTDIR);
    assert_errno(share.mkdir(share.node("up"), "new"), errno::ENOTDIR);
    let link = share.node("link");
    for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR | libc::O_TRUNC] {
        assert_errno(share.open(link, flags), errno::EBADF);
    }
    assert_errno(share.fs.opendir(&ROOT, share.node("up"), 0), errno::EBADF);
    assert_errno(share.set(link, &SetAttr { size: Some(0), ..SetAttr::default() }), errno::EBADF);
    assert_eq!(fs::read_to_string(share.outside("secret")).unwrap(), "secret");
}

fn symlinks_are_changed_themselves(share: &Share) {
    fs::write(share.outside("secret"), "secret").unwrap();
    let before = fs::metadata(share.outside("secret")).unwrap();
    symlink("../secret", share.path("link")).unwrap();
    let link = share.node("link");
    let times = SetAttr {
        mtime: Some(SetTime::At(1_000, 5)),
        atime: Some(SetTime::At(-2_000, 6)),
        ..SetAttr::default()
    };
    let attr = share.set(link, &times).unwrap();
    assert_eq!((attr.mtime, attr.mtimensec, attr.atime as i64), (1_000, 5, -2_000));
    if super::share::is_root() {
        let owner = SetAttr { uid: Some(77), gid: Some(88), ..SetAttr::default() };
        let attr = share.set(link, &owner).unwrap();
        assert_eq!((attr.uid, attr.gid), (77, 88));
        // Refused or done to the link, as the file system has it.
        let _ = share.set(link, &SetAttr { mode: Some(0o7000), ..SetAttr::default() });
        let _ = share.set_xattr(link, c"trusted.samepage", b"1");
    }
    let linked = share.link(link, NodeId::ROOT, "linked").unwrap();
    assert_eq!(linked.nodeid, link.0);
    assert_eq!(linked.attr.nlink, 2);
    let after = fs::metadata(share.outside("secret")).unwrap();
    assert_eq!((after.mtime(), after.ctime()), (before.mtime(), before.ctime()));
    assert_eq!((after.mode(), after.uid(), after.nlink()), (before.mode(), before.uid(), 1));
}

fn creation_does_not_follow_symlinks(share: &Share) {
    symlink("../new", share.path("link")).unwrap();
    // ESTALE: the guest's kernel looks again, finds the symlink and follows it itself.
    assert_errno(share.create(&ROOT, NodeId::ROOT, "link", &creation(0o644)), errno::ESTALE);
    let mut exclusive = creation(0o644);
    exclusive.flags |= libc::O_EXCL as u32;
    assert_errno(share.create(&ROOT, NodeId::ROOT, "link", &exclusive), errno::EEXIST);
    assert_errno(share.mkdir(NodeId::ROOT, "link"), errno::EEXIST);
    assert!(!share.outside("new").exists());
}

fn names_are_one_component(share: &Share) {
    fs::write(share.outside("secret"), "secret").unwrap();
    // The server refuses such names. Should it ever not, they lead nowhere all the same.
    assert_errno(share.lookup(NodeId::ROOT, "../secret"), libc::EXDEV);
    assert_errno(share.lookup(NodeId::ROOT, "/etc/passwd"), libc::EXDEV);
    let outside = share.outside("new");
    let absolute = outside.to_str().unwrap();
    assert_errno(share.create(&ROOT, NodeId::ROOT, absolute, &creation(0o644)), libc::EXDEV);
    assert_errno(share.create(&ROOT, NodeId::ROOT, "../new", &creation(0o644)), libc::EXDEV);
    assert!(!outside.exists());
}

fn directories_that_left_the_share(share: &Share) {
    fs::create_dir(share.path("dir")).unwrap();
    let dir = share.node("dir");
    fs::rename(share.path("dir"), share.outside("moved")).unwrap();
    assert_errno(share.lookup(dir, ".."), errno::ESTALE);
    fs::create_dir(share.outside("deep")).unwrap();
    fs::rename(share.outside("moved"), share.outside("deep/dir")).unwrap();
    assert_errno(share.lookup(dir, ".."), errno::ESTALE);
}

fn special_files_are_not_opened(share: &Share) {
    let fifo = share.path("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(share.path("socket")).unwrap();
    for name in ["fifo", "socket"] {
        let node = share.node(name);
        for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR, libc::O_PATH] {
            assert_errno(share.open(node, flags), errno::EBADF);
        }
        assert_errno(
            share.set(node, &SetAttr { size: Some(0), ..SetAttr::default() }),
            errno::EBADF,
        );
        assert_errno(share.create(&ROOT, NodeId::ROOT, name, &creation(0o644)), errno::ESTALE);
    }
}

/// A directory and a symlink to the outside trade places all the time. Whatever a request meets, it never finds the
/// file outside.
fn a_directory_swapped_for_a_symlink(share: &Share) {
    fs::create_dir(share.outside("target")).unwrap();
    fs::write(share.outside("target/secret"), "secret").unwrap();
    let secret = fs::metadata(share.outside("target/secret")).unwrap().ino();
    fs::create_dir(share.path("dir")).unwrap();
    fs::write(share.path("dir/secret"), "ok").unwrap();
    symlink("../target", share.path("link")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let root = fs::File::open(share.path("")).unwrap();
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            // Relaxed: nothing but the end of the loop depends on it.
            while !done.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(&root, "dir", &root, "link", exchange).unwrap();
            }
        });
        let found = (0..3000).filter(|_| finds_inside(share, secret)).count();
        done.store(true, Ordering::Relaxed); // As above.
        assert!(found > 0, "the directory was never met");
    });
    assert_eq!(fs::read_to_string(share.outside("target/secret")).unwrap(), "secret");
}

/// Whether "dir" was the directory this time.
fn finds_inside(share: &Share, secret: u64) -> bool {
    let name: &CStr = &cstring("secret");
    let dir = NodeId(share.lookup(NodeId::ROOT, "dir").unwrap().nodeid);
    let found = share.fs.lookup(&ROOT, dir, name);
    share.fs.forget(dir, 1);
    let Ok(entry) = found else { return false };
    assert_ne!(entry.attr.ino, secret);
    let node = NodeId(entry.nodeid);
    let open = Open { flags: (libc::O_WRONLY | libc::O_TRUNC) as u32, kill_suidgid: false };
    let opened = share.fs.open(&ROOT, node, &open).unwrap();
    share.release((node, opened.handle.unwrap())).unwrap();
    share.fs.forget(node, 1);
    true
}
