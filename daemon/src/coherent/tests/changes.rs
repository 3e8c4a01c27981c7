//! Each operation that changes something, seen from another daemon's guest: what it held of everything around is
//! current or not, exactly as docs/protocol.md (section 7) says.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};

use fuse::abi::Stamp;
use fuse::filesystem::{CopyRange, Ioctl, Make, SetAttr, SetTime, Write, Xattrs};
use fuse::io::{DataSource, WriteMode};
use fuse::{FileSystem, NodeId};

use super::kit::{Guest, House, ROOT, cstring};

/// What the other guest holds before the change: the directory, a file with two names, another file, a directory, and
/// two names that are missing.
struct Held {
    stamps: Vec<(&'static str, Stamp)>,
}

const NAMES: [&str; 5] = ["file", "other", "dir", "missing", "absent"];

impl Held {
    fn of(guest: &Guest) -> Self {
        let root = guest.fs.getattr(&ROOT, NodeId::ROOT, None).unwrap().stamp;
        let mut stamps = vec![(".", root)];
        for name in NAMES {
            stamps.push((name, guest.lookup(NodeId::ROOT, name).unwrap().stamp));
        }
        Self { stamps }
    }

    /// What is still current: `name:places`, for each.
    fn current(&self, guest: &Guest) -> Vec<String> {
        let current = |(name, stamp): &(&str, Stamp)| format!("{name}:{}", guest.current(stamp));
        self.stamps.iter().map(current).collect()
    }
}

/// Makes a change through one daemon; `lost` says what the other's guest may no longer use, all else it may.
#[track_caller]
fn changes(lost: &[(&str, &str)], change: impl FnOnce(&Guest)) {
    let house = House::new();
    fs::write(house.path("file"), "contents").unwrap();
    fs::write(house.path("other"), "more").unwrap();
    fs::create_dir(house.path("dir")).unwrap();
    let (writer, reader) = (house.guest(), house.guest());
    for name in NAMES {
        writer.lookup(NodeId::ROOT, name).unwrap();
    }
    let held = Held::of(&reader);
    let all = [(".", "pad"), ("file", "epad"), ("other", "epad"), ("dir", "epad")];
    let all = all.into_iter().chain([("missing", "e"), ("absent", "e")]);
    let before: Vec<_> = all.clone().map(|(name, places)| format!("{name}:{places}")).collect();
    assert_eq!(held.current(&reader), before, "before the change");
    change(&writer);
    let expected: Vec<_> = all
        .map(|(name, places)| {
            let gone = lost.iter().find(|(lost, _)| *lost == name).map_or("", |(_, gone)| gone);
            format!("{name}:{}", places.replace(|place| gone.contains(place), ""))
        })
        .collect();
    assert_eq!(held.current(&reader), expected);
}

fn write(guest: &Guest, node: NodeId, text: &'static [u8]) {
    let handle = guest.open(node, libc::O_RDWR);
    let write =
        Write { offset: 0, size: text.len() as u32, flags: 0, delayed: false, kill_suidgid: false };
    guest.fs.write(&ROOT, node, handle, &write, &mut Source(text)).unwrap();
}

#[test]
fn creation_touches_the_name_and_the_directory_s_attributes() {
    changes(&[(".", "a"), ("missing", "e")], |guest| {
        guest.create("missing", 0).unwrap();
    });
    changes(&[(".", "a"), ("missing", "e")], |guest| {
        guest.mkdir("missing");
    });
    let (name, make) =
        (cstring("missing"), Make { mode: libc::S_IFIFO | 0o644, ..Make::default() });
    changes(&[(".", "a"), ("missing", "e")], |guest| {
        guest.fs.mknod(&ROOT, NodeId::ROOT, &name, &make).unwrap();
    });
    changes(&[(".", "a"), ("missing", "e")], |guest| {
        guest.fs.symlink(&ROOT, NodeId::ROOT, &name, c"target", &Make::default()).unwrap();
    });
}

#[test]
fn a_creation_that_finds_the_file_touches_no_more_than_it_must() {
    changes(&[(".", "a"), ("file", "e")], |guest| {
        guest.create("file", 0).unwrap();
    });
    changes(&[(".", "a"), ("file", "epad")], |guest| {
        guest.create("file", libc::O_TRUNC).unwrap();
    });
    changes(&[(".", "a"), ("file", "e")], |guest| {
        assert!(guest.create("file", libc::O_EXCL).is_err());
    });
}

#[test]
fn removal_touches_the_name_the_directory_and_the_inode() {
    changes(&[(".", "a"), ("file", "ea")], |guest| {
        guest.fs.unlink(&ROOT, NodeId::ROOT, c"file").unwrap();
    });
    changes(&[(".", "a"), ("dir", "ea")], |guest| {
        guest.fs.rmdir(&ROOT, NodeId::ROOT, c"dir").unwrap();
    });
}

#[test]
fn a_link_touches_the_name_the_directory_and_the_inode() {
    changes(&[(".", "a"), ("missing", "e"), ("file", "a")], |guest| {
        guest.fs.link(&ROOT, guest.node("file"), NodeId::ROOT, c"missing").unwrap();
    });
}

#[test]
fn a_rename_touches_both_names_and_what_they_meant() {
    changes(&[(".", "a"), ("file", "ea"), ("missing", "e")], |guest| {
        guest.rename("file", "missing", 0);
    });
    changes(&[(".", "a"), ("file", "ea"), ("other", "ea")], |guest| {
        guest.rename("file", "other", 0);
    });
    changes(&[(".", "a"), ("file", "ea"), ("dir", "ea")], |guest| {
        guest.rename("file", "dir", libc::RENAME_EXCHANGE);
    });
}

#[test]
fn attributes_touch_permissions_and_only_a_size_touches_contents() {
    let set = |set: SetAttr| {
        move |guest: &Guest| {
            guest.set(guest.node("file"), &set);
        }
    };
    changes(&[("file", "pa")], set(SetAttr { mode: Some(0o600), ..SetAttr::default() }));
    changes(&[("file", "pa")], set(SetAttr { uid: Some(7), ..SetAttr::default() }));
    changes(&[("file", "pa")], set(SetAttr { mtime: Some(SetTime::Now), ..SetAttr::default() }));
    changes(&[("file", "pad")], set(SetAttr { size: Some(2), ..SetAttr::default() }));
}

#[test]
fn contents_touch_all_of_the_inode() {
    changes(&[("file", "pad")], |guest| write(guest, guest.node("file"), b"new"));
    changes(&[("file", "pad")], |guest| {
        guest.open(guest.node("file"), libc::O_WRONLY | libc::O_TRUNC);
    });
    changes(&[("file", "pad")], |guest| {
        let node = guest.node("file");
        let handle = guest.open(node, libc::O_RDWR);
        guest.fs.fallocate(&ROOT, node, handle, 0, 0, 100).unwrap();
    });
    changes(&[("file", "pad")], |guest| {
        let (to, from) = (guest.node("file"), guest.node("other"));
        let copy = CopyRange {
            from: (from, guest.open(from, libc::O_RDONLY)),
            from_offset: 0,
            to: (to, guest.open(to, libc::O_WRONLY)),
            to_offset: 0,
            len: 4,
            flags: 0,
        };
        assert_eq!(guest.fs.copy_file_range(&ROOT, &copy).unwrap(), 4);
    });
}

#[test]
fn extended_attributes_touch_permissions_only_where_they_grant_some() {
    changes(&[("file", "a")], |guest| {
        guest.fs.setxattr(&ROOT, guest.node("file"), c"user.a", b"b", 0, false).unwrap();
        guest.fs.removexattr(&ROOT, guest.node("file"), c"user.a").unwrap();
    });
    // u::rw- g::r-- o::---
    let acl = [2u32.to_le_bytes().to_vec(), entry(1, 6), entry(4, 4), entry(32, 0)].concat();
    changes(&[("file", "pa")], |guest| {
        let node = guest.node("file");
        guest.fs.setxattr(&ROOT, node, c"system.posix_acl_access", &acl, 0, false).unwrap();
    });
}

/// An entry of an ACL (`struct posix_acl_xattr_entry`).
fn entry(tag: u16, permissions: u16) -> Vec<u8> {
    let head = [tag.to_le_bytes(), permissions.to_le_bytes()].concat();
    [head, u32::MAX.to_le_bytes().to_vec()].concat()
}

#[test]
fn flags_touch_permissions() {
    // FS_IOC_SETFLAGS, FS_NODUMP_FL.
    let ioctl = |flags: &'static [u8]| Ioctl {
        cmd: 0x4008_6602,
        flags: 0,
        arg: 0,
        input: flags,
        out_size: 0,
    };
    changes(&[("file", "pa")], |guest| {
        let node = guest.node("file");
        let handle = guest.open(node, libc::O_RDONLY);
        // Where the file system knows no flags the change has failed, and was announced all the same.
        let _ = guest.fs.ioctl(&ROOT, node, handle, &ioctl(&[0x40, 0, 0, 0, 0, 0, 0, 0]));
    });
    changes(&[], |guest| {
        let node = guest.node("dir");
        let handle = guest.fs.opendir(&ROOT, node, 0).unwrap().handle.unwrap();
        let fold = ioctl(&[0, 0, 0, 0x40, 0, 0, 0, 0]);
        assert!(guest.fs.ioctl(&ROOT, node, handle, &fold).is_err(), "casefold");
    });
}

#[test]
fn what_fails_is_published_all_the_same() {
    changes(&[(".", "a"), ("missing", "e")], |guest| {
        assert!(guest.fs.unlink(&ROOT, NodeId::ROOT, c"missing").is_err());
    });
}

#[test]
fn reading_touches_nothing() {
    changes(&[], |guest| {
        let node = guest.node("file");
        guest.open(node, libc::O_RDWR);
        guest.fs.getattr(&ROOT, node, None).unwrap();
        guest.fs.statfs(&ROOT, node).unwrap();
        guest.fs.opendir(&ROOT, NodeId::ROOT, 0).unwrap();
        guest.lookup(NodeId::ROOT, "missing").unwrap();
    });
}

/// A WRITE's data.
struct Source(&'static [u8]);

impl DataSource for Source {
    fn remaining(&self) -> usize {
        self.0.len()
    }

    fn write_to(
        &mut self,
        file: BorrowedFd<'_>,
        len: usize,
        offset: u64,
        _: WriteMode,
    ) -> std::io::Result<usize> {
        Ok(rustix::io::pwrite(file.as_fd(), &self.0[..len], offset)?)
    }

    fn read_exact(&mut self, _: &mut [u8]) -> std::io::Result<()> {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}
