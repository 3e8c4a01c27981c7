//! One split virtqueue, the driver's side (virtio 1.3, 2.7), as Linux drives it: every request in an indirect table,
//! its data in pages, kicks and calls by EVENT_IDX.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{Ordering, fence};

use anyhow::{Result, ensure};
use fuse::abi::{OutHeader, Stamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use virtio_bindings::bindings::virtio_ring::{
    VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE,
};
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::memory::Memory;

/// Entries of a ring; QEMU's default.
pub(super) const SIZE: u16 = 128;

const PAGE: usize = 4096;
/// Linux puts what is shorter beside its header.
const INLINE: usize = 1024;
/// Longer than this without an answer: the daemon hangs.
const PATIENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// Where the parts of the ring are.
pub(super) struct Places {
    pub(super) descriptors: u64,
    pub(super) available: u64,
    pub(super) used: u64,
}

/// Memory of one request in flight.
struct Slot {
    table: u64,
    request: u64,
    reply: u64,
}

/// A virtqueue with a fixed number of requests that may be in flight.
pub(crate) struct Queue {
    memory: GuestMemoryMmap,
    places: Places,
    slots: Vec<Slot>,
    room: usize,
    kick: EventFd,
    call: EventFd,
    available: u16,
    /// The available index at the last time that a kick was considered.
    kicked: u16,
    used: u16,
}

/// A request that came back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    /// The slot it was submitted in.
    pub(crate) slot: usize,
    /// Bytes of its reply.
    pub(crate) len: usize,
}

impl Queue {
    pub(super) fn new(memory: &mut Memory, depth: usize, room: usize) -> Result<Self> {
        ensure!(depth <= usize::from(SIZE), "a ring has {SIZE} entries");
        let places = Places {
            descriptors: memory.take(16 * u64::from(SIZE))?,
            available: memory.take(6 + 2 * u64::from(SIZE))?,
            used: memory.take(6 + 8 * u64::from(SIZE))?,
        };
        let pieces = 2 * (room / PAGE + 4) as u64;
        let mut slots = Vec::with_capacity(depth);
        for _ in 0..depth {
            slots.push(Slot {
                table: memory.take(pieces * 16)?,
                request: memory.take(room as u64)?,
                reply: memory.take(room as u64)?,
            });
        }
        let event = || EventFd::new(EFD_NONBLOCK);
        Ok(Self {
            memory: memory.mapped.clone(),
            places,
            slots,
            room,
            kick: event()?,
            call: event()?,
            available: 0,
            kicked: 0,
            used: 0,
        })
    }

    /// Puts `request`, whose first `header` bytes are its headers, into the available ring, with room for a reply of
    /// `reply` bytes and a stamp; 0: it has none. [`Self::kick_if_wanted`] tells the device.
    pub(crate) fn submit(
        &mut self,
        slot: usize,
        request: &[u8],
        header: usize,
        reply: usize,
    ) -> Result<()> {
        let reply = if reply > 0 { reply + size_of::<Stamp>() } else { 0 };
        ensure!(
            request.len().max(reply) <= self.room,
            "a request or reply of more than {}",
            self.room
        );
        let place = &self.slots[slot];
        self.memory.write_slice(request, GuestAddress(place.request))?;
        let mut table = Table { memory: &self.memory, address: place.table, len: 0, last: None };
        let header = if request.len() - header <= INLINE { request.len() } else { header };
        table.add(place.request, header, 0)?;
        table.pages(place.request + header as u64, request.len() - header, 0)?;
        if reply > 0 {
            let write = VRING_DESC_F_WRITE as u16;
            let own = if reply <= INLINE { reply } else { size_of::<OutHeader>() };
            table.add(place.reply, own, write)?;
            table.pages(place.reply + own as u64, reply - own, write)?;
        }
        let len = table.finish()?;
        let indirect = Descriptor::new(place.table, len, VRING_DESC_F_INDIRECT as u16, 0);
        self.memory
            .write_obj(indirect, GuestAddress(self.places.descriptors + 16 * slot as u64))?;
        let entry = self.places.available + 4 + 2 * u64::from(self.available % SIZE);
        self.memory.write_obj(slot as u16, GuestAddress(entry))?;
        self.available = self.available.wrapping_add(1);
        // Release: the device that sees the index sees the entry and the tables.
        let index = GuestAddress(self.places.available + 2);
        Ok(self.memory.store(self.available, index, Ordering::Release)?)
    }

    /// Tells the device of what was submitted, if it wants to know.
    pub(crate) fn kick_if_wanted(&mut self) -> Result<()> {
        // The index must be out before the device's wish is read, or both sides sleep (virtio 1.3, 2.7.13.3.1).
        fence(Ordering::SeqCst);
        let event: u16 =
            self.memory.read_obj(GuestAddress(self.places.used + 4 + 8 * u64::from(SIZE)))?;
        let since = self.available.wrapping_sub(self.kicked);
        let wanted = self.available.wrapping_sub(event).wrapping_sub(1) < since;
        self.kicked = self.available;
        if wanted {
            self.kick.write(1)?;
        }
        Ok(())
    }

    /// The next request that has come back, if one has.
    pub(crate) fn completed(&mut self) -> Result<Option<Completion>> {
        // Acquire: what the device wrote before it moved the index is seen after this.
        let index: u16 = self.memory.load(GuestAddress(self.places.used + 2), Ordering::Acquire)?;
        if index == self.used {
            return Ok(None);
        }
        let entry = self.places.used + 4 + 8 * u64::from(self.used % SIZE);
        self.used = self.used.wrapping_add(1);
        let [slot, len]: [u32; 2] = self.memory.read_obj(GuestAddress(entry))?;
        Ok(Some(Completion { slot: slot as usize, len: len as usize }))
    }

    /// Waits until something has come back.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let wish = GuestAddress(self.places.available + 4 + 2 * u64::from(SIZE));
        self.memory.write_obj(self.used, wish)?;
        // The wish must be out before the index is looked at once more, or both sides sleep (2.7.7.2).
        fence(Ordering::SeqCst);
        let index: u16 = self.memory.load(GuestAddress(self.places.used + 2), Ordering::Acquire)?;
        if index != self.used {
            return Ok(());
        }
        // SAFETY: the event owns its descriptor and outlives the borrow.
        let event = unsafe { BorrowedFd::borrow_raw(self.call.as_raw_fd()) };
        let mut fds = [PollFd::from_borrowed_fd(event, PollFlags::IN)];
        ensure!(poll(&mut fds, Some(&PATIENCE))? == 1, "the daemon does not answer");
        // Another thread's or an earlier call may have been read already; the index tells.
        let _ = self.call.read();
        Ok(())
    }

    /// Copies a reply's first bytes out.
    pub(crate) fn reply(
        &self,
        completion: Completion,
        to: &mut Vec<u8>,
        most: usize,
    ) -> Result<()> {
        to.resize(completion.len.min(most), 0);
        let from = GuestAddress(self.slots[completion.slot].reply);
        Ok(self.memory.read_slice(to, from)?)
    }

    pub(super) fn memory(&self) -> &GuestMemoryMmap {
        &self.memory
    }

    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    pub(super) fn kick(&self) -> &EventFd {
        &self.kick
    }

    pub(super) fn call(&self) -> &EventFd {
        &self.call
    }
}

/// An indirect table under construction.
struct Table<'m> {
    memory: &'m GuestMemoryMmap,
    address: u64,
    len: u16,
    /// The last buffer, which is written once it is known whether another follows.
    last: Option<(u64, u32, u16)>,
}

impl Table<'_> {
    fn add(&mut self, address: u64, len: usize, flags: u16) -> Result<()> {
        if let Some((address, len, flags)) = self.last.replace((address, len as u32, flags)) {
            self.put(Descriptor::new(
                address,
                len,
                flags | VRING_DESC_F_NEXT as u16,
                self.len + 1,
            ))?;
        }
        Ok(())
    }

    /// A stretch as Linux sends it: a buffer a page.
    fn pages(&mut self, address: u64, len: usize, flags: u16) -> Result<()> {
        for at in (0..len).step_by(PAGE) {
            self.add(address + at as u64, (len - at).min(PAGE), flags)?;
        }
        Ok(())
    }

    fn put(&mut self, descriptor: Descriptor) -> Result<()> {
        let address = GuestAddress(self.address + 16 * u64::from(self.len));
        self.len += 1;
        Ok(self.memory.write_obj(descriptor, address)?)
    }

    /// Writes the last buffer; returns the table's length in bytes.
    fn finish(mut self) -> Result<u32> {
        if let Some((address, len, flags)) = self.last.take() {
            self.put(Descriptor::new(address, len, flags, 0))?;
        }
        Ok(16 * u32::from(self.len))
    }
}
