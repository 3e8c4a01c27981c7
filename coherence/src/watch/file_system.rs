//! What the host calls inodes, and which file systems can be watched at all.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::fstatfs;

use super::Refusal;
use crate::hash::Identity;
use crate::sys;

/// Local file systems with identities that last: all that happens on them happens in this kernel, and raises events
/// (`include/uapi/linux/magic.h`). Whatever is not here is not watched: network and cluster file systems (others change
/// them), FUSE, 9p, overlayfs (identities change on copy-up), fat (handles do not last), the kernel's own (no events).
const LOCAL: [u64; 6] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x0102_1994, // tmpfs
    0xf2f5_2010, // f2fs
    0xca45_1a4e, // bcachefs
];

/// Whether changes on the file system of `file` can be noticed from here.
///
/// # Errors
/// [`Refusal::Unwatchable`].
pub(super) fn check(file: BorrowedFd<'_>) -> Result<(), Refusal> {
    match fstatfs(file).map_err(io::Error::from)?.f_type as u64 {
        kind if LOCAL.contains(&kind) => Ok(()),
        kind => Err(Refusal::Unwatchable(kind)),
    }
}

/// What the host calls an inode, read from an open file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FileId {
    /// By file system and file handle.
    Handle {
        /// `f_fsid`.
        fsid: [i32; 2],
        /// `handle_type`.
        kind: i32,
        /// `f_handle`.
        handle: Vec<u8>,
    },
    /// By number, where the file system has no handles.
    Inode {
        /// Device.
        dev: u64,
        /// Inode number.
        ino: u64,
    },
}

impl FileId {
    /// What the host calls the inode behind `file`.
    ///
    /// # Errors
    /// Those of `statfs(2)`, `fstat(2)` and `name_to_handle_at(2)`.
    pub fn of(file: BorrowedFd<'_>) -> io::Result<Self> {
        match sys::file_handle(file) {
            Ok((kind, handle)) => Ok(Self::Handle { fsid: fsid(file)?, kind, handle }),
            Err(e) if matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EOVERFLOW)) => {
                let stat = rustix::fs::fstat(file)?;
                Ok(Self::Inode { dev: stat.st_dev, ino: stat.st_ino })
            }
            Err(e) => Err(e),
        }
    }

    /// As slots are made of.
    #[must_use]
    pub fn identity(&self) -> Identity<'_> {
        match self {
            Self::Handle { fsid, kind, handle } => {
                Identity::Handle { fsid: *fsid, kind: *kind, handle }
            }
            Self::Inode { dev, ino } => Identity::Inode { dev: *dev, ino: *ino },
        }
    }
}

/// `f_fsid`, as fanotify reports it.
pub(super) fn fsid(file: BorrowedFd<'_>) -> io::Result<[i32; 2]> {
    sys::fsid(file)
}
