//! The guest's memory, as vhost-user describes it.

use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

/// One state of the guest's memory. Whoever holds it keeps its mappings alive.
pub(super) type Memory = GuestMemoryMmap<()>;

/// The guest's memory through time: the front end swaps it while queues run.
pub(super) type AtomicMemory = GuestMemoryAtomic<Memory>;
