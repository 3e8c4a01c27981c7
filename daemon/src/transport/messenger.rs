//! Requests to the VMM: map a file into a shared memory region of the device, take it out again.
//!
//! The VMM reads such a message when it has nothing else to do, so the answer can take a while. It never comes while the
//! VMM itself waits for an answer: when it stops the rings, it waits until no request is in progress, and a request that
//! waits for the VMM would be in progress for ever. So nobody waits for the answer itself but a thread that nobody else
//! waits for, and [`Messenger::close`] sends the others home.
//!
//! QEMU 11.1 answers that it has mapped something before the guest's address space shows it (`memory_region_transaction_commit`
//! comes after the answer). A guest that hears of the mapping in between loads zeroes there, and what it stores is lost. But
//! QEMU does one thing after the other: when it answers the next message, which asks for nothing, it is done with this one
//! (`docs/adr/0058-mapped-is-mapped.md`).
//!
//! QEMU 11.1 crashes when it reads such a message while the device is stopped (its `vhost_dev` names no device then). So
//! nothing is sent between the first ring's stop and the next driver's start. What has been sent when the guest resets
//! its device in the middle of a request, without waiting for the answer, cannot be called back: such a guest takes its
//! VMM down.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use crossbeam::channel::{self, Receiver, Sender};
use fuse::errno;
use parking_lot::Mutex;
use rustix::fs::OFlags;
use tracing::warn;
use vhost::vhost_user::message::{VhostUserMMap, VhostUserMMapFlags, VhostUserSharedMsg};
use vhost::vhost_user::{Backend, VhostUserFrontendReqHandler};
use vm_memory::{ByteValued, GuestAddressSpace, GuestMemoryBackend};

use super::memory::AtomicMemory;
use crate::dax::Front;

/// The channel for requests to the VMM.
#[derive(Debug)]
pub(super) struct Messenger {
    jobs: Sender<Job>,
    /// Disconnected when the channel is closed. None: it is closed.
    open: Mutex<Option<Closing>>,
}

/// Nothing is ever sent: that the sender has gone is the message.
#[derive(Debug)]
struct Closing {
    _sender: Sender<()>,
    receiver: Receiver<()>,
}

#[derive(Debug)]
struct Job {
    message: VhostUserMMap,
    /// None: unmap.
    file: Option<File>,
    closing: Receiver<()>,
    answer: Sender<io::Result<()>>,
}

impl Messenger {
    /// A channel that is closed as yet.
    ///
    /// # Errors
    /// No thread to be had.
    pub(super) fn start(backend: Backend) -> io::Result<Self> {
        let (jobs, to_do) = channel::unbounded();
        let work = move || deliver(&backend, &to_do);
        thread::Builder::new().name("shared-memory".to_owned()).spawn(work)?;
        Ok(Self { jobs, open: Mutex::new(None) })
    }

    /// A driver begins: from now on the VMM may be asked.
    pub(super) fn open(&self) {
        let (sender, receiver) = channel::bounded(0);
        *self.open.lock() = Some(Closing { _sender: sender, receiver });
    }

    /// The driver ends: nothing more is sent, and who waits for an answer waits no more.
    pub(super) fn close(&self) {
        *self.open.lock() = None;
    }

    /// Maps `len` bytes of `file` into the region `id`.
    ///
    /// # Errors
    /// The VMM refuses; `ECANCELED` where the driver ends before it answers.
    pub(super) fn map(
        &self,
        id: u8,
        file: BorrowedFd<'_>,
        (file_offset, region_offset, len): (u64, u64, u64),
        writable: bool,
    ) -> io::Result<()> {
        let flags = if writable { VhostUserMMapFlags::WRITABLE.bits() } else { 0 };
        let message = VhostUserMMap {
            shmid: id,
            fd_offset: file_offset,
            shm_offset: region_offset,
            len,
            flags,
            ..VhostUserMMap::default()
        };
        let file: OwnedFd = rustix::io::fcntl_dupfd_cloexec(file, 0)?;
        self.ask(message, Some(file.into()))
    }

    /// Takes away what was mapped to `region_offset` of the region `id`.
    ///
    /// # Errors
    /// As for [`Self::map`].
    pub(super) fn unmap(&self, id: u8, region_offset: u64, len: u64) -> io::Result<()> {
        let message =
            VhostUserMMap { shmid: id, shm_offset: region_offset, len, ..VhostUserMMap::default() };
        self.ask(message, None)
    }

    fn ask(&self, message: VhostUserMMap, file: Option<File>) -> io::Result<()> {
        let cancelled = || errno::error(libc::ECANCELED);
        let closing = self.open.lock().as_ref().map(|open| open.receiver.clone());
        let closing = closing.ok_or_else(cancelled)?;
        let (answer, answered) = channel::bounded(1);
        let job = Job { message, file, closing: closing.clone(), answer };
        self.jobs.send(job).map_err(|_| cancelled())?;
        channel::select_biased! {
            recv(answered) -> result => result.unwrap_or_else(|_| Err(cancelled())),
            recv(closing) -> _ => Err(cancelled()),
        }
    }
}

/// Sends one message after the other, until the messenger has gone.
fn deliver(backend: &Backend, jobs: &Receiver<Job>) {
    for Job { message, file, closing, answer } in jobs {
        if closing.try_recv() == Err(channel::TryRecvError::Disconnected) {
            continue;
        }
        let result = match &file {
            Some(file) => backend.shmem_map(&message, file).inspect(|_| catch_up(backend)),
            None => backend.shmem_unmap(&message),
        };
        // Whoever asked may have gone home.
        let _ = answer.send(result.map(drop));
    }
}

/// The number of an object that nobody shares: any will do.
const NO_OBJECT: [u8; 16] = *b"samepage:nothing";

/// Waits until the VMM is done with what it has answered: it answers this afterwards. (That there is no such object, which
/// changes nothing and which QEMU says nothing of.) A VMM that knows no shared objects is taken at its word.
fn catch_up(backend: &Backend) {
    let mut message = VhostUserSharedMsg::default();
    message.as_mut_slice().copy_from_slice(&NO_OBJECT);
    let _ = backend.shared_object_remove(&message);
}

/// A shared memory region of the device as the DAX window's front.
#[derive(Debug)]
pub(super) struct WindowFront {
    pub(super) messenger: Arc<Messenger>,
    pub(super) id: u8,
    pub(super) memory: AtomicMemory,
}

impl Front for WindowFront {
    fn map(
        &self,
        file: BorrowedFd<'_>,
        file_offset: u64,
        window_offset: u64,
        len: u64,
    ) -> io::Result<()> {
        let mode = rustix::fs::fcntl_getfl(file)? & OFlags::RWMODE;
        let place = (file_offset, window_offset, len);
        let mapped = self.messenger.map(self.id, file, place, mode == OFlags::RDWR);
        mapped.inspect_err(|error| warn!("the VMM does not map {len} bytes of a file: {error}"))
    }

    fn unmap(&self, window_offset: u64, len: u64) -> io::Result<()> {
        self.messenger.unmap(self.id, window_offset, len)
    }

    fn regions(&self) -> usize {
        self.memory.memory().num_regions()
    }
}
