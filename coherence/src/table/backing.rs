//! Which pages of a sparse table are there.

use std::fs::File;
use std::io;
use std::ops::Range;

use rustix::fs::{FallocateFlags, SeekFrom};
use shm_layout::word::Ordering::Relaxed;
use shm_layout::{FIRST_SLOT, SharedU64, WORD_LEN};

use super::place::is_on_tmpfs;
use crate::region::Region;

/// Bytes that are made at a time: a page, or a few where pages are smaller than the table's header.
const CHUNK: u64 = 4096;
const SLOTS_OF_A_CHUNK: u32 = CHUNK as u32 / WORD_LEN as u32;

/// Chunks that this process knows to be there: one bit each. Nobody ever takes one away.
#[derive(Debug)]
pub(super) struct Backing {
    known: Box<[SharedU64]>,
    bytes: u64,
}

impl Backing {
    pub(super) fn new(bytes: u64) -> Self {
        let words = (bytes / CHUNK).div_ceil(u64::BITS.into());
        Self { known: (0..words).map(|_| SharedU64::new(0)).collect(), bytes }
    }

    /// Makes sure that the chunk of `slot` is there: one load when it is known to be.
    pub(super) fn back(&self, file: &File, region: &Region, slot: u32) -> io::Result<()> {
        let chunk = slot / SLOTS_OF_A_CHUNK;
        let known = &self.known[(chunk / u64::BITS) as usize];
        let bit = 1 << (chunk % u64::BITS);
        // Relaxed: the kernel has made the chunk before anybody set the bit; no other memory hangs on it.
        if known.load(Relaxed) & bit != 0 {
            return Ok(());
        }
        make(file, region, u64::from(chunk) * CHUNK, CHUNK)?;
        // Relaxed: as above.
        known.advance(Relaxed, |bits| bits | bit);
        Ok(())
    }

    pub(super) fn back_all(&self, file: &File, region: &Region) -> io::Result<()> {
        make(file, region, 0, self.bytes)?;
        for known in &self.known {
            // Relaxed: as above.
            known.store(u64::MAX, Relaxed);
        }
        Ok(())
    }
}

/// Makes `len` bytes from `offset`, which read as zero unless they were there.
fn make(file: &File, region: &Region, offset: u64, len: u64) -> io::Result<()> {
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), offset, len) {
            Err(rustix::io::Errno::INTR) => {}
            // Sealed.
            Err(rustix::io::Errno::PERM) => return region.populate(offset as usize, len as usize),
            // A file system that cannot promise room: should it run out, the table is lost and closed.
            Err(rustix::io::Errno::OPNOTSUPP) => return Ok(()),
            result => return Ok(result?),
        }
    }
}

/// The slots that can ever have been touched, in ascending order.
///
/// On tmpfs, where tables live, a page that nobody has looked at is a hole, also when it was promised room. Elsewhere
/// the page cache may be ahead of what the file system knows: every slot.
pub(crate) fn extents(file: &File, bytes: u64) -> Vec<Range<u32>> {
    let all = FIRST_SLOT..(bytes / WORD_LEN as u64) as u32;
    if is_on_tmpfs(file) { tmpfs_extents(file, &all).unwrap_or(vec![all]) } else { vec![all] }
}

/// None when the file system answers as tmpfs would not.
fn tmpfs_extents(file: &File, all: &Range<u32>) -> Option<Vec<Range<u32>>> {
    let mut extents = Vec::new();
    let mut from = byte(all.start);
    loop {
        let data = match rustix::fs::seek(file, SeekFrom::Data(from)) {
            Ok(data) => data,
            // Nothing but a hole from here to the end.
            Err(rustix::io::Errno::NXIO) => return Some(extents),
            Err(_) => return None,
        };
        let hole = rustix::fs::seek(file, SeekFrom::Hole(data)).ok()?;
        if hole <= data {
            return None;
        }
        let slots = (data / WORD_LEN as u64) as u32..(hole / WORD_LEN as u64) as u32;
        extents.push(slots.start.max(all.start)..slots.end.min(all.end));
        from = hole;
        if from >= byte(all.end) {
            return Some(extents);
        }
    }
}

fn byte(slot: u32) -> u64 {
    u64::from(slot) * WORD_LEN as u64
}
