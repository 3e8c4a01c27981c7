//! Mounts below the shared directory. Each test has a thread with a mount namespace of its own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fuse::abi::{AttrFlags, InitFlags};
use fuse::{FileSystem, NodeId, errno};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

use super::share::{ROOT, Share, assert_errno, config, creation};
use crate::passthrough::InodeFileHandles::{self, Mandatory, Never, Prefer};
use crate::passthrough::{Config, Passthrough};

/// Runs `test` where mounts are nobody else's business, with a directory for its share. The directory is removed from
/// outside, where nothing is mounted in it.
fn with_mounts(test: impl FnOnce(&Path) + Send) {
    let base = TempDir::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            let made = unshare(CloneFlags::CLONE_NEWNS)
                .and_then(|()| mount(None::<&str>, "/", None::<&str>, private, None::<&str>));
            match made {
                Ok(()) => test(base.path()),
                Err(error) => eprintln!("skipped: no mount namespace ({error})"),
            }
        });
    });
}

fn mount_at(path: &Path, kind: &str) {
    fs::create_dir_all(path).unwrap();
    mount(Some(kind), path, Some(kind), MsFlags::empty(), None::<&str>).unwrap();
}

fn unmount(path: &Path) -> nix::Result<()> {
    umount2(path, MntFlags::empty())
}

fn is_announced(share: &Share, parent: NodeId, name: &str) -> bool {
    share.lookup(parent, name).unwrap().attr.flags & AttrFlags::SUBMOUNT.bits() != 0
}

fn mounts_are_crossed(mode: InodeFileHandles) {
    with_mounts(move |base| {
        let share = Share::new_in(base, &config(mode));
        mount_at(&share.path("mnt"), "tmpfs");
        fs::create_dir(share.path("mnt/dir")).unwrap();
        fs::create_dir(share.path("plain")).unwrap();
        fs::write(share.path("mnt/dir/file"), "data").unwrap();
        assert!(is_announced(&share, NodeId::ROOT, "mnt"));
        assert!(!is_announced(&share, NodeId::ROOT, "plain"));
        let mnt = share.node("mnt");
        assert!(!is_announced(&share, mnt, "dir"));
        let node = share.node("mnt/dir/file");
        let file = (node, share.open(node, libc::O_RDWR).unwrap());
        assert_eq!(share.read(file, 0, 10).unwrap(), b"data");
        share.create(&ROOT, mnt, "new", &creation(0o644)).unwrap();
        assert!(share.path("mnt/new").exists());
        assert_errno(share.link(node, NodeId::ROOT, "x"), libc::EXDEV);
        assert_eq!(share.lookup(mnt, "..").unwrap().nodeid, NodeId::ROOT.0);
        share.fs.syncfs(&ROOT, NodeId::ROOT).unwrap();
        let listed = share.readdirplus((NodeId::ROOT, share.opendir(NodeId::ROOT)), 0, 4096);
        for entry in listed {
            let announced = entry.flags & AttrFlags::SUBMOUNT.bits() != 0;
            assert_eq!(announced, entry.name == "mnt", "{entry:?}");
        }
    });
}

#[test]
fn mounts_are_crossed_by_descriptor() {
    mounts_are_crossed(Never);
}

#[test]
fn mounts_are_crossed_by_handle() {
    mounts_are_crossed(Prefer);
}

/// Two file systems count their inodes alike.
#[test]
fn equal_numbers_are_different_inodes() {
    for mode in [Never, Prefer] {
        with_mounts(move |base| {
            let share = Share::new_in(base, &config(mode));
            for name in ["one", "two"] {
                mount_at(&share.path(name), "tmpfs");
                fs::write(share.path(name).join("file"), name).unwrap();
            }
            let ino = |name: &str| fs::metadata(share.path(name)).unwrap().ino();
            assert_eq!(ino("one/file"), ino("two/file"));
            let nodes = [share.node("one/file"), share.node("two/file")];
            assert_ne!(nodes[0], nodes[1]);
            for (node, contents) in nodes.iter().zip(["one", "two"]) {
                let file = (*node, share.open(*node, libc::O_RDONLY).unwrap());
                assert_eq!(share.read(file, 0, 10).unwrap(), contents.as_bytes());
            }
        });
    }
}

#[test]
fn the_same_directory_mounted_twice() {
    with_mounts(|base| {
        let share = Share::new_in(base, &config(Prefer));
        fs::create_dir(share.path("dir")).unwrap();
        fs::create_dir(share.path("bind")).unwrap();
        share.host_file("dir/file", "data");
        let bind = MsFlags::MS_BIND;
        mount(Some(&share.path("dir")), &share.path("bind"), None::<&str>, bind, None::<&str>)
            .unwrap();
        let read_only = bind | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, &share.path("bind"), None::<&str>, read_only, None::<&str>).unwrap();
        let (writable, read_only) = (share.node("dir/file"), share.node("bind/file"));
        assert_ne!(writable, read_only);
        assert!(is_announced(&share, NodeId::ROOT, "bind"));
        assert!(share.open(writable, libc::O_RDWR).is_ok());
        assert_errno(share.open(read_only, libc::O_RDWR), errno::EROFS);
        assert_errno(share.link(writable, share.node("bind"), "x"), errno::EROFS);
    });
}

#[test]
fn a_forgotten_mount_can_be_unmounted() {
    for mode in [Never, Prefer] {
        with_mounts(move |base| {
            let share = Share::new_in(base, &config(mode));
            let path = share.path("mnt");
            mount_at(&path, "tmpfs");
            fs::write(path.join("file"), "").unwrap();
            let (mnt, file) = (share.node("mnt"), share.node("mnt/file"));
            assert_eq!(unmount(&path), Err(nix::errno::Errno::EBUSY));
            share.fs.forget(file, 1);
            share.fs.forget(mnt, 2);
            unmount(&path).unwrap();
            // Another one in its place, maybe with the same id.
            mount_at(&path, "tmpfs");
            fs::write(path.join("other"), "").unwrap();
            assert!(share.attr(share.node("mnt/other")).is_ok());
            share.fs.destroy();
            unmount(&path).unwrap();
        });
    }
}

#[test]
fn file_systems_without_handles() {
    with_mounts(|base| {
        let share = Share::new_in(base, &config(Prefer));
        mount_at(&share.path("ramfs"), "ramfs");
        fs::write(share.path("ramfs/file"), "data").unwrap();
        let before = share.fs.descriptors.left();
        let (dir, node) = (share.node("ramfs"), share.node("ramfs/file"));
        assert_eq!(share.fs.descriptors.left(), before - 2);
        fs::remove_file(share.path("ramfs/file")).unwrap();
        assert_eq!(share.attr(node).unwrap().nlink, 0);
        share.create(&ROOT, dir, "new", &creation(0o644)).unwrap();
        assert_eq!(share.node("ramfs/new"), share.node("ramfs/new"));

        if !share.has_handles() {
            return;
        }
        let shared_dir = share.path("");
        let mandatory = Config { shared_dir, ..config(Mandatory) };
        let mandatory = Passthrough::new(mandatory).unwrap();
        mandatory.init(&InitFlags::all().into()).unwrap();
        assert_errno(mandatory.lookup(&ROOT, NodeId::ROOT, c"ramfs"), errno::EOPNOTSUPP);
    });
}

#[test]
fn mounts_that_the_guest_does_not_see() {
    with_mounts(|base| {
        let share = Share::new_in(base, &Config { announce_submounts: false, ..config(Prefer) });
        mount_at(&share.path("mnt"), "tmpfs");
        assert!(!is_announced(&share, NodeId::ROOT, "mnt"));
        let mnt = share.node("mnt");
        share.create(&ROOT, mnt, "new", &creation(0o644)).unwrap();
        share.fs.syncfs(&ROOT, NodeId::ROOT).unwrap();
    });
}
