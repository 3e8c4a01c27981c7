//! Which inodes can be vouched for, and what the table knows them by.
//!
//! The rules are properties of file systems, never of a daemon: daemons that share a table must come to the same
//! answer without talking.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use coherence::Identity;
use coherence::watch::FileSystemKind;
use fuse::errno;
use rustix::fs::{IFlags, OFlags};

use crate::passthrough::{HostInode, NameRule, ioctl, reopen};
use crate::sys;

/// What a file system lets be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileSystemFacts {
    /// `f_fsid`, as fanotify reports it.
    pub(super) fsid: [i32; 2],
    kind: FileSystemKind,
}

/// What is known of the file system that an inode lies on; none where its inodes cannot be vouched for.
///
/// # Errors
/// Those of `fstatfs(2)`. Whether changes must be announced is not known then.
pub(super) fn facts(fd: BorrowedFd<'_>) -> io::Result<Option<FileSystemFacts>> {
    let statfs = rustix::fs::fstatfs(fd)?;
    let kind = FileSystemKind::of(statfs.f_type as u64);
    Ok(kind.map(|kind| FileSystemFacts { fsid: sys::fsid(&statfs), kind }))
}

impl FileSystemFacts {
    /// What the table knows an inode by.
    pub(super) fn identity<'a>(&self, inode: &HostInode<'a>) -> Identity<'a> {
        match inode.handle {
            Some((kind, handle)) => Identity::Handle { fsid: self.fsid, kind, handle },
            None => Identity::Inode { dev: inode.device, ino: inode.ino },
        }
    }

    /// Whether [`Self::names`] looks at the directory's flags.
    pub(super) const fn looks_at_directories(&self) -> bool {
        self.kind.may_fold_case
    }

    /// How names in this directory are compared.
    ///
    /// # Errors
    /// Why the directory's flags cannot be read, but for `EACCES`: others who may read them must not be kept from a
    /// directory by those who may not.
    pub(super) fn names(&self, directory: &HostInode<'_>) -> io::Result<NameRule> {
        if !self.kind.may_fold_case {
            return Ok(NameRule::Bytewise);
        }
        match flags(directory) {
            Ok(flags) if flags.contains(ioctl::CASEFOLD) => Ok(NameRule::Folded),
            Ok(_) => Ok(NameRule::Bytewise),
            Err(error) if error.raw_os_error() == Some(errno::EACCES) => Ok(NameRule::Unknown),
            Err(error) => Err(error),
        }
    }
}

fn flags(directory: &HostInode<'_>) -> io::Result<IFlags> {
    let opened;
    let directory = if directory.is_readable {
        directory.fd
    } else {
        opened = reopen(directory.fd, OFlags::RDONLY | OFlags::DIRECTORY)?;
        opened.as_fd()
    };
    match rustix::fs::ioctl_getflags(directory) {
        // A file system without flags (tmpfs before Linux 6.6) has none that matters.
        Err(rustix::io::Errno::NOTTY | rustix::io::Errno::OPNOTSUPP) => Ok(IFlags::empty()),
        flags => Ok(flags?),
    }
}
