//! Giving a guest away, with all that it knows and has open, and taking one over (docs/migration.md).
//!
//! ```text
//! save     what another daemon needs to know
//! paths    what inodes are called below the shared directory
//! restore  the same numbers for the same inodes
//! ```
//!
//! A state that comes from elsewhere reaches nothing outside the shared directory: its paths are opened as names are, and
//! file handles, which could mean anything on a file system, are only taken where the operator says so.

mod paths;
mod restore;
mod save;

use fuse::ResumeError;
use fuse::abi::InitFlags;
use thiserror::Error;

use crate::migration::DecodeError;

pub use restore::Restored;

/// Why a guest stays where it is.
#[derive(Debug, Error)]
pub enum SaveError {
    /// Locks belong to the daemon that has them.
    #[error(
        "the guest holds locks ({records} stretches of files, {files} files by flock): they would be lost on the way; \
         migrate when it holds none, or serve it with --no-posix-locks --no-flock"
    )]
    Locks {
        /// By `fcntl(2)`.
        records: usize,
        /// By `flock(2)`.
        files: usize,
    },
    /// Cached words are of one table.
    #[error(
        "the guest is coherent by this daemon's version table, and cannot migrate; let it mount with virtiofs' own driver, \
         or serve it with --version-table off"
    )]
    Coherent,
    /// What is mapped is mapped into one VMM.
    #[error("the guest has a DAX window, and cannot migrate; serve it without --dax-window")]
    Window,
    /// The system.
    #[error("the guest's state cannot be found out: {0}")]
    System(#[from] std::io::Error),
}

/// Why a guest is not taken over.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// A guest whose cached words are another table's.
    #[error(
        "the guest is coherent by the other daemon's version table, which is none of this daemon's"
    )]
    Table,
    /// Options differ.
    #[error(
        "the guest and the other daemon agreed on {}, which this daemon's options do not allow; give both the same options",
        names(*.0)
    )]
    Agreement(InitFlags),
    /// Handles, and nobody has asked for them.
    #[error(
        "the state names inodes by file handle, by which any file of a file system can be reached; give this daemon \
         --migration-mode file-handles, too, if the other one can be trusted"
    )]
    Handles,
    /// Another directory.
    #[error(
        "the other daemon shares another directory (the file handles differ); share the same one, or let it use \
         --migration-mode find-paths without --migration-verify-handles"
    )]
    Root,
    /// An inode or an open file is not found.
    #[error(
        "{what} is not found here: {why} (with --migration-on-error guest-error the guest would get ESTALE)"
    )]
    Lost {
        /// Which.
        what: String,
        /// Why.
        why: String,
    },
    /// Bytes that are no state.
    #[error(transparent)]
    State(#[from] DecodeError),
    /// A guest of another protocol.
    #[error(transparent)]
    Protocol(#[from] ResumeError),
    /// The system.
    #[error("the guest's state cannot be taken over: {0}")]
    System(#[from] std::io::Error),
}

fn names(flags: InitFlags) -> String {
    flags.iter_names().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}
