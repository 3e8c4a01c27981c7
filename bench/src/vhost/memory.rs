//! Guest memory: one sparse memfd, cut up by whoever needs some.

use std::fs::File;

use anyhow::{Context, Result};
use rustix::fs::{MemfdFlags, memfd_create};
use vm_memory::{FileOffset, GuestAddress, GuestMemoryMmap};

/// Where it begins: elsewhere than at 0, as in a real VM.
const START: u64 = 0x4000_0000;
const SIZE: u64 = 1 << 30;
const PAGE: u64 = 4096;

/// Memory that both sides map. Nothing is ever given back.
pub(super) struct Memory {
    pub(super) mapped: GuestMemoryMmap,
    next: u64,
}

impl Memory {
    /// # Errors
    /// The system has no room for it.
    pub(super) fn new() -> Result<Self> {
        let file = File::from(memfd_create("guest", MemfdFlags::CLOEXEC)?);
        file.set_len(SIZE)?;
        let range = (GuestAddress(START), SIZE as usize, Some(FileOffset::new(file, 0)));
        let mapped = GuestMemoryMmap::from_ranges_with_files([range]).context("no memory")?;
        Ok(Self { mapped, next: START })
    }

    /// A stretch of `len` bytes, zeroed, at the beginning of a page.
    ///
    /// # Errors
    /// Nothing is left.
    pub(super) fn take(&mut self, len: u64) -> Result<u64> {
        let address = self.next;
        self.next += len.next_multiple_of(PAGE);
        anyhow::ensure!(
            self.next <= START + SIZE,
            "depth and sizes ask for more than {SIZE} bytes"
        );
        Ok(address)
    }
}
