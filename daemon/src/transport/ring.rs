//! One virtqueue of one front end: what vhost-user configures, what the workers take and give back.
//!
//! `vhost-user-backend` brings the bookkeeping ([`VringMutex`]); [`Ring`] wraps it to close its gaps. It tells a
//! malformed available ring from an empty one, stops for good when the guest breaks the protocol, says so through the
//! front end's error event, counts requests in progress, and survives a kick that was withdrawn while it was handled.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::retry_on_intr;
use thiserror::Error;
use tracing::debug;
use vhost_user_backend::{VringMutex, VringState, VringStateGuard, VringStateMutGuard, VringT};
use virtio_queue::{Error as QueueError, Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use super::chain::Table;
use super::memory::{AtomicMemory, Memory};
use super::request::Request;

/// What a worker finds in the available ring.
#[derive(Debug)]
pub(super) enum Taken {
    /// A request.
    Request(Request),
    /// Nothing more at present.
    Empty,
    /// The ring is not to be served: not started, disabled, or stopped.
    Inactive,
}

/// Why a ring cannot go on.
#[derive(Debug, Error)]
pub(super) enum RingError {
    #[error("available ring: index {index} is more than {size} entries ahead of {next}")]
    AvailableIndex { index: u16, next: u16, size: u16 },
    #[error("more than {size} requests in progress on a ring of {size} entries")]
    TooManyInProgress { size: u16 },
    #[error("ring memory: {0}")]
    Memory(QueueError),
}

/// A virtqueue. Clones are the same queue.
#[derive(Clone)]
pub(super) struct Ring(Arc<Shared>);

struct Shared {
    vring: VringMutex<AtomicMemory>,
    memory: AtomicMemory,
    /// The guest broke the protocol here; only a new set-up of the ring clears it.
    stopped: AtomicBool,
    /// Tells the front end that the ring has stopped (`VHOST_USER_SET_VRING_ERR`).
    error_event: Mutex<Option<File>>,
    progress: Mutex<Progress>,
    idle: Condvar,
    /// The kick event does without `O_NONBLOCK`: look before reading.
    kick_may_block: AtomicBool,
}

/// A ring's requests that are not given back yet.
#[derive(Debug)]
struct Progress {
    /// All of them.
    all: u16,
    /// Those that were put aside.
    parked: u16,
    /// None more may be put aside: the ring is about to stop.
    closed: bool,
}

impl Ring {
    /// Takes the next request out of the available ring; `queue` is this ring's number.
    pub(super) fn take(&self, queue: usize) -> Result<Taken, RingError> {
        let mut vring = self.0.vring.get_mut();
        if !self.is_active(&vring) {
            return Ok(Taken::Inactive);
        }
        let state = vring.get_queue_mut();
        let memory = self.0.memory.memory().into_inner();
        let Some(head) = pop(state, &memory)? else { return Ok(Taken::Empty) };
        // Counted under the ring's lock: who has seen the ring not ready knows that no request begins afterwards.
        self.begin(state.size())?;
        let table =
            Table { address: GuestAddress(state.desc_table()), len: u32::from(state.size()) };
        Ok(Taken::Request(Request::new(self.clone(), queue, memory, table, head)))
    }

    /// Gives the chain that began at `head` back to the guest with `len` bytes filled, and notifies the guest unless it
    /// asked for silence.
    ///
    /// `counted` is dropped under the ring's lock: once the guest sees the chain it may offer the next one, which must
    /// not find this one still in progress.
    pub(super) fn give_back<T>(&self, head: u16, len: u32, counted: T) -> Result<(), RingError> {
        let mut vring = self.0.vring.get_mut();
        let given = vring.add_used(head, len).and_then(|()| vring.needs_notification());
        drop(counted);
        if given.map_err(RingError::Memory)?
            && let Err(error) = vring.signal_used_queue()
        {
            debug!("call event: {error}");
        }
        Ok(())
    }

    /// Asks the guest for a kick at its next request. True: more have come meanwhile, take them.
    pub(super) fn enable_kicks(&self) -> Result<bool, RingError> {
        let mut vring = self.0.vring.get_mut();
        // A ring that was taken from us is no memory of ours any more: the guest may use it for something else.
        Ok(self.is_active(&vring) && vring.enable_notification().map_err(RingError::Memory)?)
    }

    /// Tells the guest not to kick while the ring is being emptied.
    pub(super) fn disable_kicks(&self) -> Result<(), RingError> {
        let mut vring = self.0.vring.get_mut();
        if self.is_active(&vring) {
            vring.disable_notification().map_err(RingError::Memory)?;
        }
        Ok(())
    }

    /// Serves the ring no more until it is set up anew. True: it is this call that stopped it.
    pub(super) fn stop(&self) -> bool {
        // Relaxed: the flag carries no other data; a worker that misses it takes one request more.
        if self.0.stopped.swap(true, Ordering::Relaxed) {
            return false;
        }
        if let Some(event) = &mut *self.0.error_event.lock()
            && let Err(error) = event.write_all(&1u64.to_ne_bytes())
        {
            debug!("error event: {error}");
        }
        true
    }

    /// Whether [`Self::stop`] was called since the ring was set up.
    pub(super) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Relaxed) // As in `stop`.
    }

    /// Whether the front end has started and enabled the ring, and the guest has not broken it.
    fn is_active(&self, vring: &VringState<AtomicMemory>) -> bool {
        vring.is_enabled() && vring.get_queue().ready() && !self.is_stopped()
    }

    /// Waits at most `limit` until no request of this ring is in progress, and says whether that is so. The caller has
    /// seen to it that none begins.
    pub(super) fn is_idle_within(&self, limit: Duration) -> bool {
        let mut progress = self.0.progress.lock();
        self.0.idle.wait_while_for(&mut progress, |progress| progress.all > 0, limit);
        progress.all == 0
    }

    /// From now until the ring is set up anew no request is put aside.
    pub(super) fn close_lot(&self) {
        self.0.progress.lock().closed = true;
    }

    /// Counts one of the requests in progress as put aside. False: it must not be.
    ///
    /// A quarter of the entries is left for requests that others wait for: among them the unlock.
    pub(super) fn park(&self) -> bool {
        let size = self.0.vring.get_ref().get_queue().size();
        let mut progress = self.0.progress.lock();
        if progress.closed || progress.parked >= size - size.div_ceil(4) {
            return false;
        }
        progress.parked += 1;
        true
    }

    /// Counts a request. A guest can offer one descriptor again before it has been given back; it cannot have more
    /// requests in progress than descriptors without doing so, and this bounds what it can queue up.
    fn begin(&self, size: u16) -> Result<(), RingError> {
        let mut progress = self.0.progress.lock();
        if progress.all >= size {
            return Err(RingError::TooManyInProgress { size });
        }
        progress.all += 1;
        Ok(())
    }

    /// A request that was counted is over.
    pub(super) fn end(&self, parked: bool) {
        let mut progress = self.0.progress.lock();
        progress.all = progress.all.saturating_sub(1);
        progress.parked = progress.parked.saturating_sub(u16::from(parked));
        if progress.all == 0 {
            self.0.idle.notify_all();
        }
    }

    fn set_up_anew(&self) {
        self.0.stopped.store(false, Ordering::Relaxed); // As in `stop`.
        self.0.progress.lock().closed = false;
    }
}

/// vmm-sys-util's events know `AsRawFd` only.
fn borrow(event: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: the event owns its descriptor, and the borrow ends with the borrow of the event.
    unsafe { BorrowedFd::borrow_raw(event.as_raw_fd()) }
}

/// Whether an event has something to read.
fn is_pending(event: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(event, PollFlags::IN)];
    retry_on_intr(|| poll(&mut fds, Some(&Timespec::default())))?;
    let events = fds[0].revents();
    if events.contains(PollFlags::IN) {
        return Ok(true);
    }
    // A kick event that can never be read again would be reported for ever: the worker ends on this error.
    if events.is_empty() { Ok(false) } else { Err(io::ErrorKind::BrokenPipe.into()) }
}

/// The head of the next chain in the available ring, if there is one.
fn pop(queue: &mut Queue, memory: &Memory) -> Result<Option<u16>, RingError> {
    let next = queue.next_avail();
    // Acquire: what the guest wrote to the ring and the table before it moved the index is seen after this.
    let index = queue.avail_idx(memory, Ordering::Acquire).map_err(RingError::Memory)?.0;
    let size = queue.size();
    match index.wrapping_sub(next) {
        0 => return Ok(None),
        ahead if ahead > size => return Err(RingError::AvailableIndex { index, next, size }),
        _ => {}
    }
    let head = read_available(queue, memory, next % size).map_err(RingError::Memory)?;
    queue.set_next_avail(next.wrapping_add(1));
    Ok(Some(head))
}

/// Entry `slot` of the available ring (virtio 1.3, 2.7.6: flags, index, then the ring).
fn read_available(queue: &Queue, memory: &Memory, slot: u16) -> Result<u16, QueueError> {
    let offset = 2 * size_of::<u16>() as u64 + u64::from(slot) * size_of::<u16>() as u64;
    let address = queue.avail_ring().checked_add(offset).ok_or(QueueError::AddressOverflow)?;
    // Relaxed: the index's acquire load came before.
    memory
        .load(GuestAddress(address), Ordering::Relaxed)
        .map(u16::from_le)
        .map_err(QueueError::GuestMemory)
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("stopped", &self.is_stopped()).finish_non_exhaustive()
    }
}

impl<'a> VringStateGuard<'a, AtomicMemory> for Ring {
    type G = <VringMutex<AtomicMemory> as VringStateGuard<'a, AtomicMemory>>::G;
}

impl<'a> VringStateMutGuard<'a, AtomicMemory> for Ring {
    type G = <VringMutex<AtomicMemory> as VringStateMutGuard<'a, AtomicMemory>>::G;
}

/// Everything but `read_kick`, `set_err` and the two that begin a set-up is [`VringMutex`]'s.
impl VringT<AtomicMemory> for Ring {
    fn new(memory: AtomicMemory, max_queue_size: u16) -> Result<Self, QueueError> {
        Ok(Self(Arc::new(Shared {
            vring: VringMutex::new(memory.clone(), max_queue_size)?,
            memory,
            stopped: AtomicBool::new(false),
            error_event: Mutex::new(None),
            progress: Mutex::new(Progress { all: 0, parked: 0, closed: false }),
            idle: Condvar::new(),
            kick_may_block: AtomicBool::new(true),
        })))
    }

    fn get_ref(&self) -> <Self as VringStateGuard<'_, AtomicMemory>>::G {
        self.0.vring.get_ref()
    }

    fn get_mut(&self) -> <Self as VringStateMutGuard<'_, AtomicMemory>>::G {
        self.0.vring.get_mut()
    }

    fn add_used(&self, desc_index: u16, len: u32) -> Result<(), QueueError> {
        self.0.vring.add_used(desc_index, len)
    }

    fn signal_used_queue(&self) -> io::Result<()> {
        self.0.vring.signal_used_queue()
    }

    fn enable_notification(&self) -> Result<bool, QueueError> {
        self.0.vring.enable_notification()
    }

    fn disable_notification(&self) -> Result<(), QueueError> {
        self.0.vring.disable_notification()
    }

    fn needs_notification(&self) -> Result<bool, QueueError> {
        self.0.vring.needs_notification()
    }

    fn set_enabled(&self, enabled: bool) {
        self.0.vring.set_enabled(enabled);
    }

    fn set_queue_info(
        &self,
        desc_table: u64,
        avail_ring: u64,
        used_ring: u64,
    ) -> Result<(), QueueError> {
        self.set_up_anew();
        self.0.vring.set_queue_info(desc_table, avail_ring, used_ring)
    }

    fn queue_next_avail(&self) -> u16 {
        self.0.vring.queue_next_avail()
    }

    fn set_queue_next_avail(&self, base: u16) {
        self.0.vring.set_queue_next_avail(base);
    }

    fn set_queue_next_used(&self, idx: u16) {
        self.0.vring.set_queue_next_used(idx);
    }

    fn queue_used_idx(&self) -> Result<u16, QueueError> {
        self.0.vring.queue_used_idx()
    }

    fn set_queue_size(&self, num: u16) {
        self.0.vring.set_queue_size(num);
    }

    fn set_queue_event_idx(&self, enabled: bool) {
        self.0.vring.set_queue_event_idx(enabled);
    }

    fn set_queue_ready(&self, ready: bool) {
        if ready {
            self.set_up_anew();
        }
        self.0.vring.set_queue_ready(ready);
    }

    fn set_kick(&self, file: Option<File>) {
        let flags = file.as_ref().map(fcntl_getfl);
        let may_block = !matches!(flags, Some(Ok(flags)) if flags.contains(OFlags::NONBLOCK));
        // Relaxed: the ring's lock, which is taken in between, keeps the two in order for who reads the event under it.
        self.0.kick_may_block.store(true, Ordering::Relaxed);
        self.0.vring.set_kick(file);
        self.0.kick_may_block.store(may_block, Ordering::Relaxed);
    }

    /// Another kick event may have taken the place of the one that was reported, and nobody has raised it yet. That is
    /// no error: an `Err` from here ends the worker.
    fn read_kick(&self) -> io::Result<bool> {
        let vring = self.0.vring.get_ref();
        if let Some(kick) = vring.get_kick()
            && (!self.0.kick_may_block.load(Ordering::Relaxed) || is_pending(borrow(kick))?)
        {
            match kick.consume() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                consumed => consumed?,
            }
        }
        Ok(vring.is_enabled())
    }

    fn set_call(&self, file: Option<File>) {
        self.0.vring.set_call(file);
    }

    fn set_err(&self, file: Option<File>) {
        *self.0.error_event.lock() = file;
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
