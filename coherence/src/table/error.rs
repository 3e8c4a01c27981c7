//! Why there is no table, and why a file is none.

use std::io;
use std::path::PathBuf;

use shm_layout::{HeaderError, MAX_WORDS, MIN_WORDS};

/// Why a table cannot be made or opened. Each says what is wrong with which file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The wanted size is none.
    #[error("a table of {words} slots: must be a power of two from {MIN_WORDS} to {MAX_WORDS}")]
    Words {
        /// Words asked for.
        words: u64,
    },
    /// There is nothing at the path.
    #[error("table {}: does not exist; start a daemon with it first", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// It could not be made.
    #[error("table {}: cannot be made: {source}", path.display())]
    Create {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not a file that a table may be in.
    #[error("table {}: {source}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// Its size is no table's.
    #[error(
        "table {}: {len} bytes, but a table has a power of two from {} to {}; it is cut short, or no table: if no VM uses it, \
         delete it",
        path.display(), MIN_WORDS * 8, MAX_WORDS * 8
    )]
    Length {
        /// The path.
        path: PathBuf,
        /// Bytes of the file.
        len: u64,
    },
    /// Its first bytes are not a table's.
    #[error("table {}: {source}; if no VM uses it, delete it", path.display())]
    Header {
        /// The path.
        path: PathBuf,
        /// What is wrong with them.
        source: HeaderError,
    },
    /// The header tells of another size than the file has.
    #[error(
        "table {}: {len} bytes, but its header says {stated}; it is cut short: if no VM uses it, delete it",
        path.display()
    )]
    CutShort {
        /// The path.
        path: PathBuf,
        /// Bytes of the file.
        len: u64,
        /// Bytes by the header.
        stated: u64,
    },
    /// It could not be mapped.
    #[error("table {}: cannot be mapped: {source}", path.display())]
    Map {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a file is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened.
    #[error("cannot be opened: {0}")]
    Open(io::Error),
    /// It is a directory, a device, a symbolic link, ...
    #[error("is no ordinary file")]
    Kind,
    /// Somebody else owns it.
    #[error("belongs to user {owner}, but must be of user {expected}, who runs this")]
    Owner {
        /// Its owner.
        owner: u32,
        /// Who runs this.
        expected: u32,
    },
    /// Others may write it, or too many may read it.
    #[error("has mode {mode:04o}, but others may have at most {allowed:04o}; chmod it")]
    Mode {
        /// Its permission bits.
        mode: u32,
        /// Bits that it may have.
        allowed: u32,
    },
    /// A daemon has made it immutable, and this one may not undo that.
    #[error(
        "is immutable, so that nobody cuts it under a VM; start with CAP_LINUX_IMMUTABLE, or name another table"
    )]
    Sealed,
    /// It is not on tmpfs.
    #[error(
        "does not lie on tmpfs, the only place where a table can be kept from being cut under a VM, which would end it; put \
         it into /run or /dev/shm"
    )]
    Place,
}
