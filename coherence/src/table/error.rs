//! Why there is no table.

use std::io;
use std::path::PathBuf;

use shm_layout::{HeaderError, MAX_WORDS, MIN_WORDS};

use super::file::FileError;

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
