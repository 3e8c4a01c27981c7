//! What the host calls an inode.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use fuse::errno;
use smallvec::SmallVec;

use crate::sys::{self, RawFileHandle};

/// Bytes of a handle that need no allocation. ext4 uses 8, tmpfs and xfs 12, btrfs 20.
const INLINE: usize = 24;

/// A file handle: names an inode for good, whoever renames or removes it. A number that is used again gets another
/// generation, which is part of the handle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileHandle {
    kind: i32,
    bytes: SmallVec<[u8; INLINE]>,
}

impl FileHandle {
    /// The handle of `name` in `dir`, or of `dir` itself where the name is empty; none where the file system has no
    /// handles.
    ///
    /// # Errors
    /// What else `name_to_handle_at(2)` answers.
    pub(super) fn of(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Self>> {
        Ok(Self::with_mount(dir, name)?.map(|(handle, _)| handle))
    }

    /// As [`Self::of`], with the id of the mount.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub(super) fn with_mount(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<(Self, u64)>> {
        match sys::name_to_handle_at(dir, name) {
            Ok((raw, mount)) => {
                let bytes = SmallVec::from_slice(raw.bytes());
                Ok(Some((Self { kind: raw.kind(), bytes }, mount)))
            }
            Err(error) => match error.raw_os_error() {
                Some(errno::EOPNOTSUPP | errno::EOVERFLOW) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Its type and bytes.
    pub(super) fn parts(&self) -> (i32, &[u8]) {
        (self.kind, &self.bytes)
    }

    /// As the system calls take it.
    pub(super) fn raw(&self) -> io::Result<RawFileHandle> {
        RawFileHandle::new(self.kind, &self.bytes).ok_or_else(|| errno::error(errno::EOVERFLOW))
    }
}

/// Which inode of its mount it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// By file handle.
    Handle(FileHandle),
    /// By number. Only sound while a descriptor keeps the number from being used again.
    Number {
        /// `stx_dev` as `makedev` makes it.
        device: u64,
        /// `stx_ino`.
        ino: u64,
    },
    /// Not known any more: a guest was taken over that calls it by this number, and it was not found.
    Lost(u64),
}

/// Which inode it is. The mount belongs to it: a directory can be mounted in two places, with different rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// `stx_mnt_id`.
    pub(super) mount: u64,
    /// Within the mount.
    pub(super) name: Name,
}
