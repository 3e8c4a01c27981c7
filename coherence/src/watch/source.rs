//! The seam: whoever tells of changes.

use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::Batch;
use crate::hash::InodeKey;

/// How finely a source watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Whole file systems: [`ChangeSource::watch_file_system`] is all it takes.
    FileSystem,
    /// Each inode on its own, by [`ChangeSource::watch_inode`].
    Inode,
}

/// Why something cannot be watched. It is served without stamps then.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There are as many watches as the system allows.
    #[error("the limit on watches is reached; raise it: sysctl {remedy}")]
    Limit {
        /// The setting to raise.
        remedy: &'static str,
    },
    /// Others can change this file system without this kernel's knowing, or its identities change.
    #[error("changes on a file system of type {0:#x} cannot be watched from here")]
    Unwatchable(u64),
    /// More file systems than their numbers go to.
    #[error(
        "there are more than {0} file systems below the shared directory; share some of them by daemons of their own"
    )]
    TooMany(usize),
    /// The kernel refused.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Refusal {
    /// Whether it may be another time.
    pub(super) const fn may_pass(&self) -> bool {
        !matches!(self, Self::Unwatchable(_) | Self::TooMany(_))
    }
}

/// Tells of changes that are made on the host.
///
/// The contract, which `watch/tests` holds every implementation to: a change of anything that was watched before the
/// change began is told by some `read` after it, or `read` says that events were lost, or fails.
pub trait ChangeSource: Debug + Send + Sync {
    /// What it is called on the command line and in figures.
    fn name(&self) -> &'static str;

    /// How finely it watches.
    fn grain(&self) -> Grain;

    /// Readable when there is something to read.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Reads what there is, without waiting, up to some limit. False when there was nothing.
    ///
    /// # Errors
    /// It is of no use any more; changes may have been missed.
    fn read(&self, batch: &mut Batch<'_>) -> io::Result<bool>;

    /// From when this returns, tells of changes on the file system that `file` lies on; for [`Grain::Inode`], says
    /// whether its inodes can be watched at all.
    ///
    /// # Errors
    /// [`Refusal`].
    fn watch_file_system(&self, file: BorrowedFd<'_>) -> Result<(), Refusal>;

    /// From when this returns, tells of changes of `inode`, which is open as `file` (`O_PATH` will do), and of the names
    /// in it when it is a directory. Called once for each inode until it is forgotten. For [`Grain::Inode`].
    ///
    /// # Errors
    /// [`Refusal`].
    fn watch_inode(&self, _inode: InodeKey, _file: BorrowedFd<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// Whether it watches `inode`.
    fn watches(&self, _inode: InodeKey) -> bool {
        true
    }

    /// Nobody is given stamps of `inode` any more.
    fn forget_inode(&self, _inode: InodeKey) {}

    /// Watches of inodes, for figures.
    fn inodes(&self) -> u64 {
        0
    }
}

/// How a source is made, at first and whenever one has failed.
pub(super) type Factory = Box<dyn Fn() -> io::Result<Arc<dyn ChangeSource>> + Send>;
