//! What the host calls inodes, and which file systems can be watched at all.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::fstatfs;

use super::Refusal;
use crate::hash::Identity;
use crate::sys;

/// A kind of file system that stamps are given for: a local one, with identities that last, so that all that happens on
/// it happens in this kernel, and raises events. Whatever is no such kind is neither watched nor stamped: network and
/// cluster file systems (others change them), FUSE, 9p, overlayfs (identities change on copy-up), fat (handles do not
/// last), the kernel's own (no events), and what nobody has tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystemKind {
    /// `f_type` (`include/uapi/linux/magic.h`).
    magic: u64,
    /// Whether a directory may compare names without regard to case.
    pub may_fold_case: bool,
}

/// All kinds. A property of the host, so that daemons of one table agree on it without talking.
const KINDS: [FileSystemKind; 5] = [
    FileSystemKind { magic: 0xef53, may_fold_case: true }, // ext2, ext3, ext4
    FileSystemKind { magic: 0x5846_5342, may_fold_case: false }, // xfs
    FileSystemKind { magic: 0x9123_683e, may_fold_case: false }, // btrfs
    FileSystemKind { magic: 0x0102_1994, may_fold_case: true }, // tmpfs
    FileSystemKind { magic: 0xf2f5_2010, may_fold_case: true }, // f2fs
];

impl FileSystemKind {
    /// The kind with this `f_type`; none where it gets no stamps.
    #[must_use]
    pub fn of(f_type: u64) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.magic == f_type)
    }
}

/// Whether changes on the file system of `file` can be noticed from here.
///
/// # Errors
/// [`Refusal::Unwatchable`].
pub(super) fn check(file: BorrowedFd<'_>) -> Result<(), Refusal> {
    let f_type = fstatfs(file).map_err(io::Error::from)?.f_type as u64;
    FileSystemKind::of(f_type).map(drop).ok_or(Refusal::Unwatchable(f_type))
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
