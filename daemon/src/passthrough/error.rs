//! Why a directory cannot be served.

use std::io;
use std::path::PathBuf;

/// What keeps [`super::Passthrough::new`] from starting. Each message names the culprit and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The shared directory cannot be opened.
    #[error("shared directory {}: {source}; name an existing directory that this user may enter", path.display())]
    Open {
        /// The shared directory.
        path: PathBuf,
        /// What `open(2)` answered.
        source: io::Error,
    },
    /// Two rules for one id.
    #[error("{option}: two rules are about the same id; leave one out")]
    Ids {
        /// Which rules.
        option: &'static str,
    },
    /// It is something else.
    #[error("shared directory {} is not a directory; name a directory", path.display())]
    NotADirectory {
        /// What was named.
        path: PathBuf,
    },
    /// It cannot be examined.
    #[error("shared directory {}: {source}; Linux 5.8 or later is needed", path.display())]
    Examine {
        /// The shared directory.
        path: PathBuf,
        /// What `statx(2)` or `openat2(2)` answered.
        source: io::Error,
    },
    /// File handles are mandatory but do not work.
    #[error(
        "--inode-file-handles=mandatory: {}: {source}; give the daemon CAP_DAC_READ_SEARCH and share a file system \
         with file handles, or use --inode-file-handles=prefer",
        path.display()
    )]
    FileHandles {
        /// The shared directory.
        path: PathBuf,
        /// Why they don't work.
        source: io::Error,
    },
    /// Those who wait for locks could not be called back.
    #[error("signal for those who wait for locks: {0}; use --no-posix-locks and --no-flock")]
    Locks(#[source] io::Error),
    /// procfs is missing.
    #[error("/proc/self/fd: {0}; mount procfs at /proc")]
    Proc(#[source] io::Error),
}
