//! Guest memory that may vanish.
//!
//! The VMM tells the daemon of all that the guest can name as a buffer, and that includes pages of files in a DAX window,
//! of this device or of another one. Files are cut short: by other guests, by the host. System calls answer `EFAULT`
//! then, but the daemon's own loads and stores (headers, rings) would raise SIGBUS and end it. So all of guest memory is
//! guarded: pages of zeroes take the lost ones' places, and the queue that touched one stops.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tracing::error;
use vm_memory::{GuestAddressSpace, GuestMemoryBackend, GuestMemoryRegion};

use super::memory::{AtomicMemory, Memory};
use super::page_log::PageLog;
use crate::vanishing::Guard;

/// Guards for all regions that requests may still use: those of the present memory, and of earlier ones that requests in
/// progress keep alive.
#[derive(Debug, Default)]
pub(super) struct GuardedMemory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    guards: HashMap<(usize, usize), Guard>,
    /// All memories since those that nobody uses any more.
    memories: Vec<Weak<Memory>>,
}

impl GuardedMemory {
    /// The guest's memory has changed.
    pub(super) fn follow(&self, memory: &AtomicMemory) {
        let present = memory.memory().into_inner();
        let mut state = self.0.lock();
        state.memories.push(Arc::downgrade(&present));
        drop(present);
        state.memories.retain(|memory| memory.strong_count() > 0);
        // A memory that is dropped meanwhile is guarded in vain, which harms nobody.
        let alive: Vec<_> = state.memories.iter().filter_map(Weak::upgrade).collect();
        let wanted: HashSet<_> = alive.iter().flat_map(|memory| memory.iter().map(place)).collect();
        state.guards.retain(|place, _| wanted.contains(place));
        for (start, len) in wanted {
            let Entry::Vacant(place) = state.guards.entry((start, len)) else { continue };
            match Guard::new(start, len) {
                Ok(guard) => {
                    place.insert(guard);
                }
                Err(error) => error!("guest memory without a guard against SIGBUS: {error}"),
            }
        }
    }
}

/// Where a region is in the daemon's address space, and how long it is.
fn place(region: &vm_memory::GuestRegionMmap<PageLog>) -> (usize, usize) {
    (region.as_ptr() as usize, region.len() as usize)
}
