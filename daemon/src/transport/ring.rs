//! One virtqueue of one front end: what vhost-user configures, what the workers take and give back.
//!
//! `vhost-user-backend` brings the bookkeeping ([`VringMutex`]); [`Ring`] wraps it to close its gaps. It tells a
//! malformed available ring from an empty one, stops for good when the guest breaks the protocol, says so through the
//! front end's error event, counts requests in progress, and survives a kick that was withdrawn while it was handled.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::{OFlags, fcntl_getfl};
use thiserror::Error;
use tracing::debug;
use vhost_user_backend::{VringMutex, VringState, VringStateGuard, VringStateMutGuard, VringT};
use virtio_queue::{Error as QueueError, QueueT};
use vm_memory::{GuestAddress, GuestAddressSpace};

use super::buffers::Buffers;
use super::chain::Table;
use super::kick::Kick;
use super::memory::{self, AtomicMemory, Memory};
use super::owed::Owed;
use super::progress::Progress;
use super::request::Request;
use super::split::Split;

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
    progress: Progress,
    kick: Kick,
}

impl Ring {
    /// Takes the next request out of the available ring; `queue` is this ring's number.
    pub(super) fn take(&self, queue: usize) -> Result<Taken, RingError> {
        let mut vring = self.0.vring.get_mut();
        if !self.is_active(&vring) {
            return Ok(Taken::Inactive);
        }
        let memory = self.0.memory.memory().into_inner();
        let Some(head) = split(&mut vring, &memory).pop()? else { return Ok(Taken::Empty) };
        // Counted under the ring's lock: who has seen the ring not ready knows that no request begins afterwards.
        let state = vring.get_queue();
        self.0.progress.begin(state.size())?;
        let table =
            Table { address: GuestAddress(state.desc_table()), len: u32::from(state.size()) };
        Ok(Taken::Request(Request::new(self.clone(), queue, memory, table, head)))
    }

    /// Gives the chain that began at `head` back to the guest with `len` bytes filled, and calls the guest unless it asked
    /// for silence. `written` is what may have been written of the memory that the chain lies in. With `owed` the call may come later: by another of these, or by [`Self::settle`].
    ///
    /// `counted` is dropped under the ring's lock: once the guest sees the chain it may offer the next one, which must
    /// not find this one still in progress.
    pub(super) fn give_back<T>(
        &self,
        head: u16,
        len: u32,
        written: (&Memory, &Buffers<'_>),
        counted: T,
        owed: Option<&mut Owed>,
    ) -> Result<(), RingError> {
        let mut vring = self.0.vring.get_mut();
        let memory = self.0.memory.memory();
        memory::written(written.0, written.1.slices(), &memory);
        let mut split = split(&mut vring, &memory);
        let index = split.queue.next_used();
        split.push(head, len)?;
        let since = match owed {
            None => Some(index),
            // Nothing else is there to be served: now or in a moment is the same.
            Some(owed) if !split.has_more()? => Some(owed.settle().unwrap_or(index)),
            Some(owed) => {
                if owed.add(index) {
                    self.0.progress.owe_call();
                }
                owed.settle_if_due()
            }
        };
        if let Some(since) = since {
            self.call(&mut vring, &memory, since)?;
        }
        drop(counted);
        Ok(())
    }

    /// Calls the guest, if that is owed.
    pub(super) fn settle(&self, owed: &mut Owed) -> Result<(), RingError> {
        let Some(since) = owed.settle() else { return Ok(()) };
        let mut vring = self.0.vring.get_mut();
        let memory = self.0.memory.memory();
        self.call(&mut vring, &memory, since)
    }

    /// Calls the guest, if it wants that, for what has become used since the used index was `since`.
    fn call(
        &self,
        vring: &mut VringState<AtomicMemory>,
        memory: &Memory,
        since: u16,
    ) -> Result<(), RingError> {
        let wanted = split(vring, memory).is_call_wanted(since);
        if let Ok(true) = wanted
            && let Err(error) = vring.signal_used_queue()
        {
            debug!("call event: {error}");
        }
        self.0.progress.called();
        wanted.map(drop)
    }

    /// Asks the guest for a kick at its next request. True: more have come meanwhile, take them.
    pub(super) fn enable_kicks(&self) -> Result<bool, RingError> {
        let mut vring = self.0.vring.get_mut();
        let memory = self.0.memory.memory();
        // A ring that was taken from us is no memory of ours any more: the guest may use it for something else.
        Ok(self.is_active(&vring) && split(&mut vring, &memory).want_kick()?)
    }

    /// Tells the guest not to kick while the ring is being emptied.
    pub(super) fn disable_kicks(&self) -> Result<(), RingError> {
        let mut vring = self.0.vring.get_mut();
        let memory = self.0.memory.memory();
        if self.is_active(&vring) {
            split(&mut vring, &memory).want_no_kick()?;
        }
        Ok(())
    }

    /// Has `epoll`, which reports kicks as `data`, report each of them once, so that nobody need read the event.
    pub(super) fn hear_kicks_by_edge(&self, epoll: BorrowedFd<'_>, data: u64) {
        if let Some(event) = self.0.vring.get_ref().get_kick() {
            self.0.kick.hear_by_edge(event, epoll, data);
        }
    }

    /// Reads a kick event that nobody has read: it must not be reported for ever. True: it was read, and with it maybe a kick
    /// that has come just now, so the ring is to be looked at once more.
    pub(super) fn silence_kick(&self) -> io::Result<bool> {
        let vring = self.0.vring.get_ref();
        let unread = vring.get_kick().as_ref().filter(|_| self.0.kick.is_by_edge());
        unread.map_or(Ok(false), |event| self.0.kick.read(event).map(|()| true))
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
        runs(vring) && !self.is_stopped()
    }

    /// As [`Progress::is_idle_within`].
    pub(super) fn is_idle_within(&self, limit: Duration) -> bool {
        self.0.progress.is_idle_within(limit)
    }

    /// From now until the ring is set up anew no request is put aside.
    pub(super) fn close_lot(&self) {
        self.0.progress.close(true);
    }

    /// Counts one of the requests in progress as put aside. False: it must not be.
    pub(super) fn park(&self) -> bool {
        let size = self.0.vring.get_ref().get_queue().size();
        self.0.progress.park(size)
    }

    /// A request that was counted is over.
    pub(super) fn end(&self, parked: bool) {
        self.0.progress.end(parked);
    }

    /// Whether the front end has started and enabled it.
    pub(super) fn runs(&self) -> bool {
        runs(&self.0.vring.get_ref())
    }

    /// Waits for whoever is about to put a reply into the used ring.
    pub(super) fn pass(&self) {
        drop(self.0.vring.get_mut());
    }

    fn set_up_anew(&self) {
        self.0.stopped.store(false, Ordering::Relaxed); // As in `stop`.
        self.0.progress.close(false);
    }
}

/// Whether the front end has started and enabled the ring.
fn runs(vring: &VringState<AtomicMemory>) -> bool {
    vring.is_enabled() && vring.get_queue().ready()
}

fn split<'a>(vring: &'a mut VringState<AtomicMemory>, memory: &'a Memory) -> Split<'a> {
    Split { queue: vring.get_queue_mut(), memory }
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

/// Everything but `set_err` and what begins a set-up or concerns kicks is [`VringMutex`]'s.
impl VringT<AtomicMemory> for Ring {
    fn new(memory: AtomicMemory, max_queue_size: u16) -> Result<Self, QueueError> {
        Ok(Self(Arc::new(Shared {
            vring: VringMutex::new(memory.clone(), max_queue_size)?,
            memory,
            stopped: AtomicBool::new(false),
            error_event: Mutex::new(None),
            progress: Progress::default(),
            kick: Kick::new(),
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
        self.0.kick.registers();
        self.0.vring.set_enabled(enabled);
    }

    fn set_queue_info(
        &self,
        desc_table: u64,
        avail_ring: u64,
        used_ring: u64,
    ) -> Result<(), QueueError> {
        if !runs(&self.get_ref()) {
            self.set_up_anew();
        }
        self.0.vring.set_queue_info(desc_table, avail_ring, used_ring)
    }

    fn queue_next_avail(&self) -> u16 {
        self.0.vring.queue_next_avail()
    }

    fn set_queue_next_avail(&self, base: u16) {
        self.0.vring.set_queue_next_avail(base);
    }

    /// `idx` was read from the used ring a moment ago. A front end that migrates the guest says where a ring lies while it
    /// runs (`SET_VRING_ADDR`, for its log flag), and then more may have become used since.
    fn set_queue_next_used(&self, idx: u16) {
        let mut vring = self.0.vring.get_mut();
        if !runs(&vring) {
            vring.get_queue_mut().set_next_used(idx);
        }
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
        self.0.kick.registers();
        self.0.vring.set_queue_ready(ready);
    }

    fn set_kick(&self, file: Option<File>) {
        let flags = file.as_ref().map(fcntl_getfl);
        let may_block = !matches!(flags, Some(Ok(flags)) if flags.contains(OFlags::NONBLOCK));
        self.0.kick.changes();
        self.0.vring.set_kick(file);
        self.0.kick.has_changed(may_block);
    }

    /// An `Err` from here ends the worker.
    fn read_kick(&self) -> io::Result<bool> {
        let vring = self.0.vring.get_ref();
        if let Some(kick) = vring.get_kick() {
            self.0.kick.reported(kick)?;
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
