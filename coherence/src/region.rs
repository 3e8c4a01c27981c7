//! A file in memory, as shared words.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use memmap2::{Advice, MmapOptions, MmapRaw};
use shm_layout::word::Ordering::{Acquire, Release};
use shm_layout::{SharedU64, WORD_LEN};

use crate::sys::sigbus::Guard;

/// A mapped file. Losing its pages is survived (`sys::sigbus`) and remembered.
#[derive(Debug)]
pub(crate) struct Region {
    // First, so that nothing is guarded any more when the mapping goes.
    guard: Guard,
    map: MmapRaw,
}

impl Region {
    /// Maps the first `len` bytes of `file`, a whole number of words, for reading and writing.
    pub(crate) fn map(file: &File, len: u64) -> io::Result<Self> {
        Self::of(options(len)?.map_raw(file)?)
    }

    /// Maps for reading. The words must only be loaded.
    pub(crate) fn map_read_only(file: &File, len: u64) -> io::Result<Self> {
        Self::of(options(len)?.map_raw_read_only(file)?)
    }

    /// Memory of this process alone, all zeroes, that takes room only where it is written.
    pub(crate) fn anonymous(len: u64) -> io::Result<Self> {
        Self::of(options(len)?.map_anon()?.into())
    }

    /// Asks for huge pages. Where there are none, small ones do.
    pub(crate) fn prefer_huge_pages(&self) {
        let _ = self.map.advise(Advice::HugePage);
    }

    fn of(map: MmapRaw) -> io::Result<Self> {
        Ok(Self { guard: Guard::new(map.as_ptr() as usize, map.len())?, map })
    }

    /// The region's words.
    #[inline]
    pub(crate) fn words(&self) -> &[SharedU64] {
        #[allow(clippy::cast_ptr_alignment, reason = "a mapping begins at a page boundary")]
        let first = self.map.as_ptr().cast::<SharedU64>();
        // SAFETY: the mapping is page-aligned, this long, and lives as long as `self`; SharedU64 is an atomic word, so
        // other writers are no data race; every bit pattern is a value; a page that goes is replaced (`sys::sigbus`).
        unsafe { std::slice::from_raw_parts(first, self.map.len() / WORD_LEN) }
    }

    /// Makes the pages of `len` bytes from `offset` on, as writing to them would, but that no memory is an error here.
    ///
    /// # Errors
    /// There are no such pages, or no memory for them.
    pub(crate) fn populate(&self, offset: usize, len: usize) -> io::Result<()> {
        if offset.checked_add(len).is_none_or(|end| end > self.map.len()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let start = self.map.as_mut_ptr().wrapping_byte_add(offset);
        // SAFETY: the range lies in the mapping, which lives as long as `self`; no byte of it changes.
        let populated = unsafe {
            rustix::mm::madvise(start.cast(), len, rustix::mm::Advice::LinuxPopulateWrite)
        };
        Ok(populated?)
    }

    /// Not zero once pages of the file were gone when they were looked at.
    #[inline]
    pub(crate) fn lost(&self) -> &SharedU64 {
        self.guard.lost()
    }

    /// Whether pages of the file were gone when they were looked at.
    #[inline]
    pub(crate) fn is_lost(&self) -> bool {
        // Acquire: as `Guard::lost` says.
        self.lost().load(Acquire) != 0
    }

    /// Says that the region is lost.
    pub(crate) fn condemn(&self) {
        // Release: pairs with the load above.
        self.lost().store(1, Release);
    }
}

fn options(len: u64) -> io::Result<MmapOptions> {
    let mut options = MmapOptions::new();
    options.len(usize::try_from(len).map_err(io::Error::other)?);
    Ok(options)
}

#[cfg(test)]
#[path = "region_tests.rs"]
mod tests;
