//! A VMM's vhost-user side: real memory, real rings, no guest.
mod log;
mod regions;
mod transfer;

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use vhost::vhost_user::message::{
    VhostUserConfigFlags, VhostUserProtocolFeatures, VhostUserVirtioFeatures,
};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT,
    VRING_DESC_F_WRITE,
};
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::PATIENCE;
pub(crate) use log::Log;
use regions::SharedMemory;

/// The guest's memory. Physical addresses begin elsewhere than the VMM's, as in a real VM.
const MEMORY: u64 = 0x4000_0000;
const MEMORY_SIZE: usize = 128 << 20;

/// Entries of each ring.
pub(crate) const QUEUE_SIZE: u16 = 128;

/// Memory of one queue: the rings, then an indirect table, then its buffers.
const QUEUE_STRIDE: u64 = 1 << 20;
const AVAILABLE: u64 = 0x4000;
const USED: u64 = 0x8000;
const INDIRECT: u64 = 0x1_0000;
const REQUEST: u64 = 0x2_0000;
const REPLY: u64 = 0x8_0000;

pub(crate) const READ: u16 = 0;
pub(crate) const NEXT: u16 = VRING_DESC_F_NEXT as u16;
pub(crate) const WRITE: u16 = VRING_DESC_F_WRITE as u16;
pub(crate) const INDIRECT_FLAG: u16 = VRING_DESC_F_INDIRECT as u16;

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// It was given back with this length.
    Used(usize),
    /// The queue is reported broken.
    Broken,
    /// Neither, within the time.
    Nothing,
}

/// A VMM that is connected, with its rings running.
pub(crate) struct FrontEnd {
    vhost: Frontend,
    memory: GuestMemoryMmap,
    features: u64,
    queues: Vec<Queue>,
}

struct Queue {
    base: u64,
    kick: EventFd,
    call: EventFd,
    error: EventFd,
    available: u16,
    used: u16,
    event_idx: bool,
}

impl FrontEnd {
    /// Connects and sets up `queues` queues, hiprio included.
    pub(crate) fn connect(socket: &Path, queues: usize) -> Self {
        Self::connect_with(socket, queues, true)
    }

    /// As [`Self::connect`], with or without EVENT_IDX.
    pub(crate) fn connect_with(socket: &Path, queues: usize, event_idx: bool) -> Self {
        Self::try_connect(socket, queues, event_idx).unwrap()
    }

    /// As [`Self::connect_with`], unless nobody answers: a daemon may end after it began to listen.
    pub(crate) fn try_connect(
        socket: &Path,
        queues: usize,
        event_idx: bool,
    ) -> vhost::Result<Self> {
        let mut front_end = Self::try_prepare(socket, queues, event_idx)?;
        front_end.start_rings();
        Ok(front_end)
    }

    fn try_prepare(socket: &Path, queues: usize, event_idx: bool) -> vhost::Result<Self> {
        let mut vhost = Frontend::connect(socket, queues as u64)?;
        vhost.set_owner()?;
        let offered = vhost.get_features()?;
        let mut wanted = (1 << VIRTIO_F_VERSION_1)
            | (1 << VIRTIO_RING_F_INDIRECT_DESC)
            | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
        if event_idx {
            wanted |= 1 << VIRTIO_RING_F_EVENT_IDX;
        }
        assert_eq!(offered & wanted, wanted, "features {offered:#x}");
        let protocol = vhost.get_protocol_features().unwrap();
        vhost.set_protocol_features(protocol & !VhostUserProtocolFeatures::XEN_MMAP).unwrap();
        assert!(vhost.get_queue_num().unwrap() >= queues as u64);
        vhost.set_features(wanted).unwrap();

        let memory = guest_memory();
        let region = memory.iter().next().unwrap();
        let region = VhostUserMemoryRegionInfo::from_guest_region(region).unwrap();
        vhost.set_mem_table(&[region]).unwrap();
        let queues = (0..queues).map(|index| Queue::new(index, event_idx)).collect();
        Ok(Self { vhost, memory, features: wanted, queues })
    }

    /// Sets all rings up from scratch, as after a guest's reset.
    pub(crate) fn start_rings(&mut self) {
        for index in 0..self.queues.len() {
            self.start_ring(index);
        }
    }

    fn start_ring(&mut self, index: usize) {
        let event_idx = self.queues[index].event_idx;
        self.queues[index] = Queue::new(index, event_idx);
        let queue = &self.queues[index];
        let zeroes = vec![0u8; INDIRECT as usize];
        self.memory.write_slice(&zeroes, GuestAddress(queue.base)).unwrap();
        self.vhost.set_vring_num(index, QUEUE_SIZE).unwrap();
        self.vhost.set_vring_base(index, 0).unwrap();
        self.place_ring(index, false);
        let (vhost, queue) = (&mut self.vhost, &self.queues[index]);
        vhost.set_vring_call(index, &queue.call).unwrap();
        vhost.set_vring_err(index, &queue.error).unwrap();
        vhost.set_vring_kick(index, &queue.kick).unwrap();
        vhost.set_vring_enable(index, true).unwrap();
    }

    /// Says where a ring is, and whether what is written to it is logged.
    fn place_ring(&mut self, index: usize, logged: bool) {
        let base = self.queues[index].base;
        let host =
            |offset| self.memory.get_host_address(GuestAddress(base + offset)).unwrap() as u64;
        let addresses = VringConfigData {
            queue_max_size: QUEUE_SIZE,
            queue_size: QUEUE_SIZE,
            flags: u32::from(logged),
            desc_table_addr: host(0),
            avail_ring_addr: host(AVAILABLE),
            used_ring_addr: host(USED),
            log_addr: logged.then_some(base + USED),
        };
        self.vhost.set_vring_addr(index, &addresses).unwrap();
    }

    /// Stops all rings as QEMU does when a guest resets its device; returns the indices that the daemon reports.
    pub(crate) fn stop_rings(&mut self) -> Vec<u32> {
        (0..self.queues.len()).map(|index| self.vhost.get_vring_base(index).unwrap()).collect()
    }

    /// Resets the device without disconnecting, and starts the rings anew.
    pub(crate) fn reset_device(&mut self) {
        self.vhost.reset_device().unwrap();
        self.vhost.set_features(self.features).unwrap();
        self.start_rings();
    }

    /// The device's configuration space.
    pub(crate) fn config(&mut self, len: u32) -> Vec<u8> {
        let flags = VhostUserConfigFlags::WRITABLE;
        self.vhost.get_config(0, len, flags, &vec![0; len as usize]).unwrap().1
    }

    /// Sends a request over `queue` and waits for the answer: at most `room` bytes.
    pub(crate) fn ask(&mut self, queue: usize, request: &[u8], room: usize) -> Vec<u8> {
        self.send(queue, request, room);
        let len = self.wait_used(queue);
        self.reply(queue, len)
    }

    /// As [`Self::ask`], with header, data and reply each in pages of its own and all of it in an indirect table,
    /// as Linux sends what is large.
    pub(crate) fn ask_scattered(&mut self, queue: usize, request: &[u8], room: usize) -> Vec<u8> {
        let base = self.queues[queue].base;
        self.memory.write_slice(request, GuestAddress(base + REQUEST)).unwrap();
        let mut buffers = pieces(base + REQUEST, request.len(), READ);
        buffers.extend(pieces(base + REPLY, room, WRITE));
        self.write_table(base + INDIRECT, &buffers);
        let len = (buffers.len() * size_of::<Descriptor>()) as u32;
        self.offer(queue, &[(base + INDIRECT, len, VRING_DESC_F_INDIRECT as u16)]);
        let len = self.wait_used(queue);
        self.reply(queue, len)
    }

    /// Sends a request without waiting. No room: none is offered.
    pub(crate) fn send(&mut self, queue: usize, request: &[u8], room: usize) {
        let base = self.queues[queue].base;
        self.memory.write_slice(request, GuestAddress(base + REQUEST)).unwrap();
        let mut buffers = vec![(base + REQUEST, request.len() as u32, READ)];
        if room > 0 {
            buffers.push((base + REPLY, room as u32, WRITE));
        }
        self.offer(queue, &buffers);
    }

    /// Offers a chain and kicks.
    pub(crate) fn offer(&mut self, queue: usize, buffers: &[(u64, u32, u16)]) {
        let base = self.queues[queue].base;
        self.write_table(base, buffers);
        self.offer_head(queue, 0);
    }

    /// Offers whatever chain begins at `head`, and kicks.
    pub(crate) fn offer_head(&mut self, queue: usize, head: u16) {
        let state = &mut self.queues[queue];
        let slot = u64::from(state.available % QUEUE_SIZE);
        let at = state.base + AVAILABLE;
        self.memory.write_obj(head, GuestAddress(at + 4 + slot * 2)).unwrap();
        state.available = state.available.wrapping_add(1);
        // A call for the next used entry.
        let used_event = GuestAddress(at + 4 + 2 * u64::from(QUEUE_SIZE));
        self.memory.write_obj(state.used, used_event).unwrap();
        self.memory.store(state.available, GuestAddress(at + 2), Ordering::SeqCst).unwrap();
        state.kick.write(1).unwrap();
    }

    /// Writes a chain of descriptors to a table: (address, length, flags).
    pub(crate) fn write_table(&self, table: u64, buffers: &[(u64, u32, u16)]) {
        for (index, &(address, len, flags)) in (0u16..).zip(buffers) {
            let is_last = usize::from(index) + 1 == buffers.len();
            let flags = if is_last { flags } else { flags | NEXT };
            self.write_descriptor(table, index, Descriptor::new(address, len, flags, index + 1));
        }
    }

    pub(crate) fn write_descriptor(&self, table: u64, index: u16, descriptor: Descriptor) {
        let address = GuestAddress(table + u64::from(index) * 16);
        self.memory.write_obj(descriptor, address).unwrap();
    }

    /// Where `queue`'s descriptor table is.
    pub(crate) fn table(&self, queue: usize) -> u64 {
        self.queues[queue].base
    }

    /// A buffer of `queue`.
    pub(crate) fn buffer(&self, queue: usize) -> u64 {
        self.queues[queue].base + REQUEST
    }

    /// Where guest memory ends.
    pub(crate) fn end_of_memory() -> u64 {
        MEMORY + MEMORY_SIZE as u64
    }

    /// Moves `queue`'s available index without offering anything, and kicks.
    pub(crate) fn set_available(&mut self, queue: usize, index: u16) {
        let at = self.queues[queue].base + AVAILABLE + 2;
        self.memory.write_obj(index, GuestAddress(at)).unwrap();
        self.queues[queue].kick.write(1).unwrap();
    }

    /// Waits for the next entry of the used ring; returns the length it tells.
    pub(crate) fn wait_used(&mut self, queue: usize) -> usize {
        let state = &mut self.queues[queue];
        let at = state.base + USED;
        loop {
            let index: u16 = self.memory.load(GuestAddress(at + 2), Ordering::SeqCst).unwrap();
            if index != state.used {
                break;
            }
            wait_readable(&state.call, "the device calls");
            let _ = state.call.read();
        }
        let slot = u64::from(state.used % QUEUE_SIZE);
        state.used = state.used.wrapping_add(1);
        let len: u32 = self.memory.read_obj(GuestAddress(at + 4 + slot * 8 + 4)).unwrap();
        len as usize
    }

    /// Waits until the daemon says that `queue` is broken.
    pub(crate) fn wait_broken(&self, queue: usize) {
        wait_readable(&self.queues[queue].error, "the queue is reported broken");
    }

    /// Waits for the next entry of the used ring, or the end of the queue.
    pub(crate) fn outcome(&mut self, queue: usize, limit: Duration) -> Outcome {
        let end = Instant::now() + limit;
        loop {
            let state = &self.queues[queue];
            let index: u16 =
                self.memory.load(GuestAddress(state.base + USED + 2), Ordering::SeqCst).unwrap();
            if index != state.used {
                return Outcome::Used(self.wait_used(queue));
            }
            if state.error.read().is_ok() {
                return Outcome::Broken;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Outcome::Nothing;
            }
            let mut fds = [&state.call, &state.error]
                .map(|event| PollFd::from_borrowed_fd(borrow(event), PollFlags::IN));
            let timeout = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
            poll(&mut fds, Some(&timeout)).unwrap();
            let _ = state.call.read();
        }
    }

    /// The first bytes of `queue`'s reply area.
    pub(crate) fn reply(&self, queue: usize, len: usize) -> Vec<u8> {
        let mut reply = vec![0; len];
        self.memory.read_slice(&mut reply, GuestAddress(self.queues[queue].base + REPLY)).unwrap();
        reply
    }

    /// Writes over `queue`'s rings and buffers.
    pub(crate) fn scribble(&self, queue: usize, offset: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(self.queues[queue].base + offset)).unwrap();
    }

    /// Kicks without having offered anything.
    pub(crate) fn kick(&self, queue: usize) {
        self.queues[queue].kick.write(1).unwrap();
    }

    /// The connection itself.
    pub(crate) fn connection(&self) -> UnixStream {
        borrow(&self.vhost).try_clone_to_owned().unwrap().into()
    }

    /// The guest's memory, for another thread of the guest.
    pub(crate) fn memory(&self) -> SharedMemory {
        SharedMemory(self.memory.clone())
    }

    /// How many entries of the used ring have come.
    pub(crate) fn used(&self, queue: usize) -> u16 {
        self.memory.read_obj(GuestAddress(self.queues[queue].base + USED + 2)).unwrap()
    }
}

impl Queue {
    fn new(index: usize, event_idx: bool) -> Self {
        let event = || EventFd::new(EFD_NONBLOCK).unwrap();
        Self {
            base: MEMORY + index as u64 * QUEUE_STRIDE,
            kick: event(),
            call: event(),
            error: event(),
            available: 0,
            used: 0,
            event_idx,
        }
    }
}

fn guest_memory() -> GuestMemoryMmap {
    let file = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
    file.set_len(MEMORY_SIZE as u64).unwrap();
    let range = (GuestAddress(MEMORY), MEMORY_SIZE, Some(FileOffset::new(file, 0)));
    GuestMemoryMmap::from_ranges_with_files([range]).unwrap()
}

/// A stretch of memory in pages: (address, length, flags).
fn pieces(address: u64, len: usize, flags: u16) -> Vec<(u64, u32, u16)> {
    (0..len)
        .step_by(0x1000)
        .map(|at| (address + at as u64, (len - at).min(0x1000) as u32, flags))
        .collect()
}

fn borrow(owner: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: an event or a front end owns its descriptor, and outlives the borrow.
    unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) }
}

fn wait_readable(event: &EventFd, what: &str) {
    let mut fds = [PollFd::from_borrowed_fd(borrow(event), PollFlags::IN)];
    let timeout = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut fds, Some(&timeout)).unwrap(), 1, "waited in vain until {what}");
}
