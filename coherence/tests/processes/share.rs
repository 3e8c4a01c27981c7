//! The shared directory: a few names, as small as makes everybody meet.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use coherence::{Engine, Identity, InodeKey, InodeSlots, SlotIndex};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

use crate::random::Random;

const NAMES: u64 = 8;

/// The directory, and what it is to an engine.
pub(crate) struct Share {
    pub(crate) directory: File,
    pub(crate) inode: InodeKey,
    pub(crate) slots: InodeSlots,
}

/// What a guest sees of a file: everything but atime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) ino: u64,
    size: u64,
    mode: u16,
    nlink: u32,
    mtime: (i64, u32),
    ctime: (i64, u32),
}

pub(crate) fn furnish(place: &Path) {
    std::fs::create_dir(place.join("share")).unwrap();
}

pub(crate) fn name(random: &mut Random) -> String {
    format!("file{}", random.below(NAMES))
}

impl Share {
    pub(crate) fn open(place: &Path, engine: &Engine) -> Self {
        let directory = File::open(place.join("share")).unwrap();
        let inode = key(engine, attributes(&directory).unwrap().ino);
        Self { directory, inode, slots: engine.inode_slots(inode).unwrap() }
    }

    /// What a name means, pinned.
    pub(crate) fn resolve(&self, name: &str) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.directory, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd)),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// What the host answers to a `stat` of the name, in one call.
    pub(crate) fn stat(&self, name: &str) -> Option<Attributes> {
        let all = StatxFlags::BASIC_STATS;
        match rustix::fs::statx(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW, all) {
            Ok(statx) => Some(Attributes::of(&statx)),
            Err(rustix::io::Errno::NOENT) => None,
            Err(e) => panic!("{name}: {e}"),
        }
    }

    pub(crate) fn entry(&self, engine: &Engine, name: &str) -> SlotIndex {
        engine.entry_slot(self.inode, name.as_bytes()).unwrap()
    }
}

/// The attributes of what is open.
pub(crate) fn attributes(fd: &impl std::os::fd::AsFd) -> io::Result<Attributes> {
    let all = StatxFlags::BASIC_STATS;
    Ok(Attributes::of(&rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, all)?))
}

fn key(engine: &Engine, ino: u64) -> InodeKey {
    engine.inode(&Identity::Inode { dev: 0, ino })
}

/// The slots of a file of the share.
pub(crate) fn slots(engine: &Engine, ino: u64) -> InodeSlots {
    engine.inode_slots(key(engine, ino)).unwrap()
}

impl Attributes {
    fn of(s: &rustix::fs::Statx) -> Self {
        Self {
            ino: s.stx_ino,
            size: s.stx_size,
            mode: s.stx_mode,
            nlink: s.stx_nlink,
            mtime: (s.stx_mtime.tv_sec, s.stx_mtime.tv_nsec),
            ctime: (s.stx_ctime.tv_sec, s.stx_ctime.tv_nsec),
        }
    }
}
