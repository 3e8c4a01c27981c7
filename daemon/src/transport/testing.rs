//! The guest's side of a ring, for tests: it lays out memory as a driver does, or as no driver should.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fuse::io::{ReplyWriter, RequestReader};
use fuse::park::{Park, Parked};
use fuse::{Handled, Mapper, ProtocolError};
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use vhost_user_backend::VringT;
use virtio_bindings::bindings::virtio_ring::{
    VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE,
};
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use super::RequestHandler;
use super::memory::{AtomicMemory, Memory};
use super::ring::Ring;

pub(super) const NEXT: u16 = VRING_DESC_F_NEXT as u16;
pub(super) const WRITE: u16 = VRING_DESC_F_WRITE as u16;
pub(super) const INDIRECT: u16 = VRING_DESC_F_INDIRECT as u16;

const TABLE: u64 = 0;
const AVAILABLE: u64 = 0x4000;
const USED: u64 = 0x8000;

/// Where buffers may lie: `[BUFFERS, END)`, two regions that touch at `SEAM`.
pub(super) const BUFFERS: u64 = 0x1_0000;
pub(super) const SEAM: u64 = 0x8_0000;
pub(super) const END: u64 = 0x10_0000;

/// Entries of a [`Driver`]'s ring.
pub(super) const SIZE: u16 = 16;

/// Guest memory of 1 MiB.
pub(super) fn memory() -> Memory {
    Memory::from_ranges(&[
        (GuestAddress(0), SEAM as usize),
        (GuestAddress(SEAM), (END - SEAM) as usize),
    ])
    .unwrap()
}

/// A descriptor whose `NEXT` flag and link [`Driver::offer`] fills in.
pub(super) fn readable(address: u64, len: u32) -> Descriptor {
    Descriptor::new(address, len, 0, 0)
}

/// As [`readable`], for the device to write to.
pub(super) fn writable(address: u64, len: u32) -> Descriptor {
    Descriptor::new(address, len, WRITE, 0)
}

/// Writes `descriptors` to a table as one chain.
pub(super) fn write_chain(memory: &Memory, table: u64, first: u16, descriptors: &[Descriptor]) {
    for (index, descriptor) in (first..).zip(descriptors) {
        let is_last = usize::from(index - first) + 1 == descriptors.len();
        let flags = descriptor.flags() | if is_last { 0 } else { NEXT };
        let linked =
            Descriptor::new(descriptor.addr().0, descriptor.len(), flags, index.wrapping_add(1));
        write_descriptor(memory, table, index, linked);
    }
}

pub(super) fn write_descriptor(memory: &Memory, table: u64, index: u16, descriptor: Descriptor) {
    memory.write_obj(descriptor, GuestAddress(table + u64::from(index) * 16)).unwrap();
}

/// A driver with one ring of [`SIZE`] entries.
pub(super) struct Driver {
    pub(super) memory: AtomicMemory,
    pub(super) ring: Ring,
    call: File,
    next_descriptor: u16,
    available: u16,
}

impl Driver {
    /// A ring that is set up and enabled in `atomic`, which gets [`memory`].
    pub(super) fn new(atomic: &AtomicMemory) -> Self {
        atomic.lock().unwrap().replace(memory());
        let ring = Ring::new(atomic.clone(), 1024).unwrap();
        let call = event();
        ring.set_queue_size(SIZE);
        ring.set_queue_info(TABLE, AVAILABLE, USED).unwrap();
        ring.set_call(Some(call.try_clone().unwrap()));
        ring.set_queue_ready(true);
        ring.set_enabled(true);
        Self { memory: atomic.clone(), ring, call, next_descriptor: 0, available: 0 }
    }

    /// Offers `descriptors` as one chain; returns its head.
    pub(super) fn offer(&mut self, descriptors: &[Descriptor]) -> u16 {
        let head = self.next_descriptor;
        write_chain(&self.memory.memory(), TABLE, head, descriptors);
        self.next_descriptor = (head + descriptors.len() as u16) % SIZE;
        self.offer_head(head);
        head
    }

    /// Offers whatever chain begins at `head`.
    pub(super) fn offer_head(&mut self, head: u16) {
        let slot = AVAILABLE + 4 + u64::from(self.available % SIZE) * 2;
        self.put(slot, head);
        self.set_available(self.available.wrapping_add(1));
    }

    /// Moves the available index.
    pub(super) fn set_available(&mut self, index: u16) {
        self.available = index;
        self.put(AVAILABLE + 2, index);
    }

    /// Asks for a call when the used index passes `index` (EVENT_IDX).
    pub(super) fn call_after(&self, index: u16) {
        self.put(AVAILABLE + 4 + 2 * u64::from(SIZE), index);
    }

    /// The available index at which the device wants to be kicked (EVENT_IDX).
    pub(super) fn kick_wanted_at(&self) -> u16 {
        self.get(USED + 4 + 8 * u64::from(SIZE))
    }

    /// The used ring's entries so far: head and length.
    pub(super) fn used(&self) -> Vec<(u32, u32)> {
        let count: u16 = self.get(USED + 2);
        (0..u64::from(count))
            .map(|index| USED + 4 + index % u64::from(SIZE) * 8)
            .map(|at| (self.get(at), self.get(at + 4)))
            .collect()
    }

    /// How many entries the used ring has had.
    pub(super) fn used_index(&self) -> u16 {
        self.get(USED + 2)
    }

    /// All bytes of the used ring.
    pub(super) fn used_ring(&self) -> Vec<u8> {
        let mut bytes = vec![0; 6 + 8 * usize::from(SIZE)];
        self.memory.memory().read_slice(&mut bytes, GuestAddress(USED)).unwrap();
        bytes
    }

    /// How often the device called since the last look.
    pub(super) fn calls(&mut self) -> u64 {
        read_event(&mut self.call)
    }

    pub(super) fn put<T: vm_memory::ByteValued>(&self, at: u64, value: T) {
        self.memory.memory().write_obj(value, GuestAddress(at)).unwrap();
    }

    pub(super) fn get<T: vm_memory::ByteValued>(&self, at: u64) -> T {
        self.memory.memory().read_obj(GuestAddress(at)).unwrap()
    }
}

/// An event that does not block.
pub(super) fn event() -> File {
    let fd: OwnedFd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
    File::from(fd)
}

/// What an event counted since the last read.
pub(super) fn read_event(event: &mut File) -> u64 {
    let mut count = [0; 8];
    match event.read_exact(&mut count) {
        Ok(()) => u64::from_ne_bytes(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => panic!("event: {error}"),
    }
}

type Answer = dyn Fn(&mut dyn RequestReader, &mut dyn ReplyWriter) -> Result<usize, ProtocolError>
    + Send
    + Sync;

/// A server that answers as a test wants.
pub(super) struct Script {
    answer: Box<Answer>,
    pub(super) resets: AtomicUsize,
    pub(super) threads: AtomicUsize,
    /// Whether threads can be prepared.
    fit: bool,
    /// Requests take long.
    slow: bool,
    /// Put requests aside, as long as that is possible.
    pub(super) parks: AtomicBool,
    parked: Mutex<Vec<Box<dyn Parked>>>,
    /// What is saved, or was loaded.
    pub(super) state: Mutex<Option<Vec<u8>>>,
}

impl Script {
    pub(super) fn new(
        answer: impl Fn(&mut dyn RequestReader, &mut dyn ReplyWriter) -> Result<usize, ProtocolError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            answer: Box::new(answer),
            resets: AtomicUsize::new(0),
            threads: AtomicUsize::new(0),
            fit: true,
            slow: false,
            parks: AtomicBool::new(false),
            parked: Mutex::default(),
            state: Mutex::default(),
        }
    }

    /// A server that puts every request aside.
    pub(super) fn parking() -> Self {
        Self { parks: AtomicBool::new(true), ..Self::echo() }
    }

    /// What was put aside since the last time.
    pub(super) fn take_parked(&self) -> Vec<Box<dyn Parked>> {
        std::mem::take(&mut self.parked.lock())
    }

    /// A server that says of every request that it takes long.
    pub(super) fn slow() -> Self {
        Self { slow: true, ..Self::echo() }
    }

    /// A server whose threads cannot be prepared.
    pub(super) fn unfit() -> Self {
        Self { fit: false, ..Self::echo() }
    }

    /// Answers each request with its own bytes.
    pub(super) fn echo() -> Self {
        Self::new(|request, reply| {
            let mut bytes = vec![0; request.remaining()];
            request.read_exact(&mut bytes).map_err(ProtocolError::Memory)?;
            reply.write_at(0, &bytes).map_err(ProtocolError::Memory)?;
            Ok(bytes.len())
        })
    }
}

impl RequestHandler for Script {
    fn prepare_thread(&self) -> io::Result<()> {
        self.threads.fetch_add(1, Ordering::SeqCst);
        if self.fit { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    fn handle(
        &self,
        request: &mut dyn RequestReader,
        reply: &mut dyn ReplyWriter,
        _mapper: Option<&dyn Mapper>,
        lot: &dyn Park,
    ) -> Result<Handled, ProtocolError> {
        if self.slow {
            lot.takes_long();
        }
        if self.parks.load(Ordering::SeqCst)
            && let Some(parked) = lot.park()
        {
            self.parked.lock().push(parked);
            return Ok(Handled::Parked);
        }
        (self.answer)(request, reply).map(Handled::Replied)
    }

    fn save(&self) -> io::Result<Vec<u8>> {
        self.state.lock().clone().ok_or_else(|| io::Error::other("not now"))
    }

    fn load(&self, state: &[u8]) -> io::Result<()> {
        *self.state.lock() = Some(state.to_vec());
        Ok(())
    }

    fn cancel_parked(&self) {
        for parked in self.take_parked() {
            parked.answer(b"cancel!!");
        }
    }

    fn reset(&self) {
        self.resets.fetch_add(1, Ordering::SeqCst);
    }
}
