//! The guest's memory, as vhost-user describes it.

use vm_memory::bitmap::Bitmap;
use vm_memory::{
    GuestAddress, GuestMemoryAtomic, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion,
    VolatileSlice,
};

use super::page_log::{PageLog, log_of};

/// One state of the guest's memory. Whoever holds it keeps its mappings alive.
pub(super) type Memory = GuestMemoryMmap<PageLog>;

/// The guest's memory through time: the front end swaps it while queues run.
pub(super) type AtomicMemory = GuestMemoryAtomic<Memory>;

/// `len` bytes at `address`, where they lie in one region.
///
/// `vm-memory`'s own accesses go through an iterator over regions, because ranges may cross from one into the next. That
/// was a quarter of what a small request cost, and hardly any range does cross.
pub(super) fn stretch(
    memory: &Memory,
    address: GuestAddress,
    len: usize,
) -> Option<VolatileSlice<'_>> {
    Some(place(memory, address, len)?.slice)
}

/// As [`stretch`], to be written to under a ring's lock.
pub(super) fn place(memory: &Memory, address: GuestAddress, len: usize) -> Option<Place<'_>> {
    let (region, start) = memory.to_region_addr(address)?;
    let slice = region.get_slice(start, len).ok()?;
    Some(Place { slice, log: log_of(region), start: start.0 as usize })
}

/// Bytes in one region of the guest's memory.
pub(super) struct Place<'m> {
    pub(super) slice: VolatileSlice<'m>,
    log: &'m PageLog,
    start: usize,
}

impl Place<'_> {
    /// The bytes have been written to, under the lock of the ring that it was for.
    pub(super) fn written(&self) {
        self.log.mark_dirty(self.start, self.slice.len());
    }
}

/// `slices` of `memory` have been written to, under the lock of the ring that it was for. The logs are those of `present`:
/// the front end may have changed the guest's memory since `memory`.
pub(super) fn written<'m>(
    memory: &Memory,
    slices: impl Iterator<Item = VolatileSlice<'m>>,
    present: &Memory,
) {
    if !present.iter().any(|region| log_of(region).is_on()) {
        return;
    }
    for slice in slices {
        let start = slice.ptr_guard().as_ptr() as usize;
        let offset = |region: &vm_memory::GuestRegionMmap<PageLog>| {
            let offset = start.checked_sub(region.as_ptr() as usize)? as u64;
            (offset < region.len()).then_some(region.start_addr().0 + offset)
        };
        let Some(address) = memory.iter().find_map(offset) else { continue };
        if let Some(place) = place(present, GuestAddress(address), slice.len()) {
            place.written();
        }
    }
}
