//! The DAX window: pages of shared files as memory of the guest, the same pages for every guest and the host.
//!
//! ```text
//! window  what the guest asks for (SETUPMAPPING, REMOVEMAPPING), checked, and what the VMM is asked to do
//! spans   what is where in the window
//! room    how many mappings the VMM bears
//! afterlife  what lasts as long as a VMM that has hung up
//! cut     files that are cut short while they are mapped
//! departure  until what was taken away is gone
//! host    files that are cut without a word
//! policy  which files are mapped at all
//! guest   the window as the file system knows it
//! ```
//!
//! The VMM maps; the daemon keeps the books. QEMU 11.1 sets the terms ([`Front`]): it refuses to map over a mapping, takes
//! a mapping away as a whole only, has room for some 500 of them, and maps whole pages that a file has: not the one that
//! it ends in, nor what lies behind. The guest knows nothing of that: it sets up stretches of 2 MiB, whatever the file's
//! size, and expects a file that grows to grow in the window too.

mod afterlife;
mod cut;
mod departure;
mod guest;
mod host;
mod policy;
mod room;
mod spans;
#[cfg(any(test, feature = "fuzzing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod window;

use std::any::Any;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

pub use guest::GuestView;
pub use policy::{Policy, WindowSize};
pub use window::{FileId, Window};

/// Pages of files and of the window. (Guests and hosts with larger ones map in multiples of them.)
pub const PAGE: u64 = 4096;

/// log2 of [`PAGE`], as INIT tells it.
pub const ALIGNMENT: u16 = PAGE.trailing_zeros() as u16;

/// While it lives, nobody else maps or cuts the file.
pub type Entered = Box<dyn Any>;

/// Others who cut files, or map them.
pub trait Gate: fmt::Debug + Send + Sync {
    /// Waits until nobody cuts the file; nobody does while the result lives.
    ///
    /// # Errors
    /// It takes too long.
    fn enter(&self, file: FileId) -> io::Result<Entered>;

    /// These are all files that are mapped. A new one is named before it is mapped.
    fn set_mapped(&self, files: &[FileId]);
}

/// The VMM, which holds the window. All numbers are bytes. It may answer before it has done what it was asked for, but does
/// one thing after the other.
pub trait Front: fmt::Debug + Send + Sync {
    /// Maps `len` bytes of `file` from `file_offset` on to `window_offset`, where nothing is mapped. The file has them.
    ///
    /// # Errors
    /// The VMM does not do it, has gone, or is resetting the device.
    fn map(
        &self,
        file: BorrowedFd<'_>,
        file_offset: u64,
        window_offset: u64,
        len: u64,
    ) -> io::Result<()>;

    /// Takes away what one [`Self::map`] has put at `window_offset`, all `len` bytes of it.
    ///
    /// # Errors
    /// As for [`Self::map`].
    fn unmap(&self, window_offset: u64, len: u64) -> io::Result<()>;

    /// Memory regions that the VMM has, as far as it has told: the guest's memory, and what is mapped into all windows of the
    /// VM, other devices' as well. What has just been taken away may still be among them.
    fn regions(&self) -> usize;
}

/// What the VMM's process really has mapped. It may answer that it has taken something away, and still touch it.
pub trait Footprint: fmt::Debug + Send + Sync {
    /// Whether it has any byte of `file` mapped from byte `from` on.
    ///
    /// # Errors
    /// Nobody may look.
    fn reaches(&self, file: BorrowedFd<'_>, from: u64) -> io::Result<bool>;
}
