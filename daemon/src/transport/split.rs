//! What device and driver share of a split virtqueue (virtio 1.3, 2.7), as the device reads and writes it.
//!
//! [`Queue`] knows where it is and how far it has come; its own accesses to memory are slow (see [`super::memory::stretch`]), take a
//! malformed available ring for an empty one, and do not know a driver that wants no calls without EVENT_IDX.

use std::sync::atomic::{Ordering, fence};

use virtio_bindings::bindings::virtio_ring::{VRING_AVAIL_F_NO_INTERRUPT, VRING_USED_F_NO_NOTIFY};
use virtio_queue::{Error as QueueError, Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError, VolatileMemoryError};

use super::memory::{Memory, Place, place};
use super::ring::RingError;

/// Both rings begin with flags and an index, of two bytes each.
const FLAGS: u64 = 0;
const INDEX: u64 = 2;
const ENTRIES: u64 = 4;
const AVAILABLE_ENTRY: u64 = size_of::<u16>() as u64;
/// Head and length.
const USED_ENTRY: u64 = size_of::<[u32; 2]>() as u64;

/// A queue and the memory that it lies in. All of it under the ring's lock.
pub(super) struct Split<'a> {
    pub(super) queue: &'a mut Queue,
    pub(super) memory: &'a Memory,
}

impl Split<'_> {
    /// Takes the head of the next chain out of the available ring, if there is one.
    pub(super) fn pop(&mut self) -> Result<Option<u16>, RingError> {
        let (next, size) = (self.queue.next_avail(), self.queue.size());
        let index = self.available_index()?;
        match index.wrapping_sub(next) {
            0 => return Ok(None),
            ahead if ahead > size => return Err(RingError::AvailableIndex { index, next, size }),
            _ => {}
        }
        let slot = u64::from(next % size);
        // Relaxed: the index's acquire load came before.
        let head = self.load(self.queue.avail_ring(), ENTRIES + slot * AVAILABLE_ENTRY)?;
        self.queue.set_next_avail(next.wrapping_add(1));
        Ok(Some(head))
    }

    /// Whether [`Self::pop`] would find something.
    pub(super) fn has_more(&self) -> Result<bool, RingError> {
        Ok(self.available_index()? != self.queue.next_avail())
    }

    /// Puts a chain into the used ring, of which the driver has not been told yet.
    pub(super) fn push(&mut self, head: u16, len: u32) -> Result<(), RingError> {
        let (next, size) = (self.queue.next_used(), self.queue.size());
        let slot = u64::from(next % size);
        let entry = self.at(self.queue.used_ring(), ENTRIES + slot * USED_ENTRY, USED_ENTRY)?;
        entry.slice.write_obj([u32::from(head).to_le(), len.to_le()], 0).map_err(outside)?;
        entry.written();
        let next = next.wrapping_add(1);
        self.queue.set_next_used(next);
        // Release: who sees the index sees the entry and the reply.
        self.store(self.queue.used_ring(), INDEX, next, Ordering::Release)
    }

    /// Whether the driver wants to be called for what was pushed since the used index was `since`.
    pub(super) fn is_call_wanted(&self, since: u16) -> Result<bool, RingError> {
        // The index must be out before the driver's wish is read, or both sides sleep (2.7.7.2).
        fence(Ordering::SeqCst);
        let available = self.queue.avail_ring();
        if !self.queue.event_idx_enabled() {
            let flags = self.load(available, FLAGS)?;
            return Ok(u32::from(flags) & VRING_AVAIL_F_NO_INTERRUPT == 0);
        }
        let wish =
            self.load(available, ENTRIES + u64::from(self.queue.size()) * AVAILABLE_ENTRY)?;
        let next = self.queue.next_used();
        // Between the two, in the arithmetic of indices that wrap (2.7.7.1, and Linux' vring_need_event()).
        Ok(next.wrapping_sub(wish).wrapping_sub(1) < next.wrapping_sub(since))
    }

    /// Asks for a kick at the next request. True: there is one already.
    pub(super) fn want_kick(&mut self) -> Result<bool, RingError> {
        let used = self.queue.used_ring();
        // Relaxed: the fence orders it.
        if self.queue.event_idx_enabled() {
            let wish = ENTRIES + u64::from(self.queue.size()) * USED_ENTRY;
            self.store(used, wish, self.queue.next_avail(), Ordering::Relaxed)?;
        } else {
            self.store(used, FLAGS, 0, Ordering::Relaxed)?;
        }
        // The wish must be out before the index is looked at once more, or both sides sleep (2.7.10.1).
        fence(Ordering::SeqCst);
        self.has_more()
    }

    /// Asks for no kicks. With EVENT_IDX there is none until one is asked for.
    pub(super) fn want_no_kick(&mut self) -> Result<(), RingError> {
        if self.queue.event_idx_enabled() {
            return Ok(());
        }
        // Relaxed: a kick too many harms nobody.
        let flags = VRING_USED_F_NO_NOTIFY as u16;
        self.store(self.queue.used_ring(), FLAGS, flags, Ordering::Relaxed)
    }

    fn available_index(&self) -> Result<u16, RingError> {
        let word = self.at(self.queue.avail_ring(), INDEX, size_of::<u16>() as u64)?;
        // Acquire: what the driver wrote to the ring and the table before it moved the index is seen after this.
        word.slice.load(0, Ordering::Acquire).map(u16::from_le).map_err(outside)
    }

    fn load(&self, ring: u64, offset: u64) -> Result<u16, RingError> {
        let word = self.at(ring, offset, size_of::<u16>() as u64)?;
        word.slice.load(0, Ordering::Relaxed).map(u16::from_le).map_err(outside)
    }

    fn store(&self, ring: u64, offset: u64, word: u16, order: Ordering) -> Result<(), RingError> {
        let place = self.at(ring, offset, size_of::<u16>() as u64)?;
        place.slice.store(word.to_le(), 0, order).map_err(outside)?;
        place.written();
        Ok(())
    }

    fn at(&self, ring: u64, offset: u64, len: u64) -> Result<Place<'_>, RingError> {
        let address =
            ring.checked_add(offset).ok_or(RingError::Memory(QueueError::AddressOverflow))?;
        let address = GuestAddress(address);
        let outside = GuestMemoryError::InvalidGuestAddress(address);
        place(self.memory, address, len as usize)
            .ok_or(RingError::Memory(QueueError::GuestMemory(outside)))
    }
}

fn outside(error: VolatileMemoryError) -> RingError {
    RingError::Memory(QueueError::GuestMemory(error.into()))
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
