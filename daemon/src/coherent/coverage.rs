//! Which inodes can be vouched for, and what the table knows them by.
//!
//! The rules are properties of file systems, never of a daemon: daemons that share a table must come to the same
//! answer without talking.

use std::io;
use std::os::fd::BorrowedFd;

use coherence::Identity;
use rustix::fs::{IFlags, OFlags, StatFs};

use crate::passthrough::{HostInode, ioctl, reopen};
use crate::sys;

// `include/uapi/linux/magic.h`.
const EXT4: u64 = 0xEF53;
const XFS: u64 = 0x5846_5342;
const BTRFS: u64 = 0x9123_683E;
const TMPFS: u64 = 0x0102_1994;
const F2FS: u64 = 0xF2F5_2010;

/// What a file system lets be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileSystemFacts {
    /// `f_fsid`.
    pub(super) fsid: [i32; 2],
    /// A directory may compare names without case.
    may_fold: bool,
}

/// What is known of the file system that an inode lies on; none where its inodes cannot be vouched for.
///
/// Local file systems whose inodes keep their identity and whose every change goes through this host's kernel. Not:
/// overlayfs (a copy-up gives an inode another identity), network file systems (others change them), FUSE, vfat and
/// its like (names, handles). What is not known is not vouched for.
pub(super) fn facts(fd: BorrowedFd<'_>) -> io::Result<Option<FileSystemFacts>> {
    let statfs = rustix::fs::fstatfs(fd)?;
    let may_fold = match statfs.f_type as u64 {
        EXT4 | F2FS | TMPFS => true,
        XFS | BTRFS => false,
        _ => return Ok(None),
    };
    Ok(Some(FileSystemFacts { fsid: fsid(&statfs), may_fold }))
}

/// `f_fsid`, as fanotify reports it.
fn fsid(statfs: &StatFs) -> [i32; 2] {
    sys::fsid(statfs)
}

impl FileSystemFacts {
    /// What the table knows an inode by.
    pub(super) fn identity<'a>(&self, inode: &HostInode<'a>) -> Identity<'a> {
        match inode.handle {
            Some((kind, handle)) => Identity::Handle { fsid: self.fsid, kind, handle },
            None => Identity::Inode { dev: inode.device, ino: inode.ino },
        }
    }

    /// Whether names in this directory are compared byte for byte. No answer counts as no.
    pub(super) fn is_bytewise(&self, directory: &HostInode<'_>) -> bool {
        !self.may_fold || flags(directory).is_ok_and(|flags| !flags.contains(ioctl::CASEFOLD))
    }
}

fn flags(directory: &HostInode<'_>) -> io::Result<IFlags> {
    let open = reopen(directory.fd, OFlags::RDONLY | OFlags::DIRECTORY)?;
    match rustix::fs::ioctl_getflags(&open) {
        // A file system without flags (tmpfs before Linux 6.6) has none that matters.
        Err(rustix::io::Errno::NOTTY | rustix::io::Errno::OPNOTSUPP) => Ok(IFlags::empty()),
        flags => Ok(flags?),
    }
}
