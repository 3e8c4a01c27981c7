//! The guest's memory, as vhost-user describes it.

use vm_memory::{
    GuestAddress, GuestMemoryAtomic, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion,
    VolatileSlice,
};

/// One state of the guest's memory. Whoever holds it keeps its mappings alive.
pub(super) type Memory = GuestMemoryMmap<()>;

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
    let (region, start) = memory.to_region_addr(address)?;
    region.get_slice(start, len).ok()
}
