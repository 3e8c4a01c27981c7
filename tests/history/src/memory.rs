//! Memory that other processes and guests use at the same time.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

/// A file's contents, as words that everybody uses only as atomics.
#[derive(Debug)]
pub(crate) struct Words {
    map: MmapRaw,
}

impl Words {
    /// Map the file, or the BAR of a PCI device.
    pub(crate) fn map(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self { map: MmapOptions::new().map_raw(&file)? })
    }

    /// Write them back to the file (`msync`).
    pub(crate) fn write_back(&self) -> io::Result<()> {
        self.map.flush()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.map.len() / size_of::<u64>()
    }

    /// One of them.
    pub(crate) fn get(&self, number: usize) -> &AtomicU64 {
        assert!(number < self.len(), "word {number} is outside the shared memory");
        #[expect(clippy::cast_ptr_alignment, reason = "a mapping begins at a page")]
        let pointer = self.map.as_mut_ptr().cast::<u64>().wrapping_add(number);
        // SAFETY: the pointer is within the mapping (checked above), which lives as long as `self`
        // and begins at a page, so it is aligned; everybody, in other processes and guests too,
        // uses these words only as atomics.
        unsafe { AtomicU64::from_ptr(pointer) }
    }
}
