//! The DAX seam: how a file system puts file pages into the guest's DAX window.

use std::any::Any;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// Something that is kept for as long as a mapping is there, and dropped when it is gone.
pub type Held = Arc<dyn Any + Send + Sync>;

/// One stretch of a file that shall appear in the window. All numbers are bytes.
#[derive(Clone, Debug)]
pub struct Mapping<'fd> {
    /// The file whose pages are mapped.
    pub file: BorrowedFd<'fd>,
    /// Where in the file the mapping begins.
    pub file_offset: u64,
    /// Where in the window the mapping begins.
    pub window_offset: u64,
    /// How long it is.
    pub len: u64,
    /// Whether the guest may store into it.
    pub writable: bool,
    /// Kept until nothing of the mapping is left.
    pub held: Option<Held>,
}

/// Maps file pages into the guest's DAX window and takes them out again.
pub trait Mapper {
    /// Puts `mapping` into the window, replacing what was there.
    ///
    /// # Errors
    /// `EINVAL` where the range does not fit the window; else what the VMM answers.
    fn map(&self, mapping: &Mapping<'_>) -> io::Result<()>;

    /// Removes whatever is mapped in `[window_offset, window_offset + len)`.
    ///
    /// # Errors
    /// `EINVAL` where the range does not fit the window; else what the VMM answers.
    fn unmap(&self, window_offset: u64, len: u64) -> io::Result<()>;
}
