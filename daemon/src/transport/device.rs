//! The virtio-fs device of one connection, as `vhost-user-backend` wants it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tracing::{debug, error, info};
use vhost::vhost_user::Backend;
use vhost::vhost_user::message::{
    VhostTransferStateDirection, VhostTransferStatePhase, VhostUserProtocolFeatures,
    VhostUserShMemConfig, VhostUserVirtioFeatures,
};
use vhost_user_backend::VhostUserBackend;
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
};
use vm_memory::GuestAddressSpace;
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{
    EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier,
};

use super::RequestHandler;
use super::config_space;
use super::guarded::GuardedMemory;
use super::memory::{AtomicMemory, Memory};
use super::messenger::{Messenger, WindowFront};
use super::page_log::{Logging, PageLog};
use super::pool::Pool;
use super::region;
use super::requests::Requests;
use super::ring::Ring;
use super::serve::{Counters, Options};
use super::transfer::Transfer;
use super::worker::{Worker, Workplace};
use crate::migration::MAX_STATE;

/// Entries that a ring may have; QEMU's `queue-size` goes up to this.
const MAX_QUEUE_SIZE: usize = 1024;

/// One front end's device: its rings, its workers, its guest's memory.
///
/// Must outlive the `VhostUserDaemon` that runs it (see [`Drop`]).
pub(super) struct Device {
    options: Options,
    memory: AtomicMemory,
    /// After it: the guards go first only when nothing is served any more.
    guarded: GuardedMemory,
    logging: Logging,
    workers: Vec<Worker>,
    /// By which the workers wait, once there are any.
    epolls: OnceLock<Vec<RawFd>>,
    /// What ends each queue's worker, until `vhost-user-backend` asks for it.
    exit_events: Mutex<Vec<Option<(EventConsumer, EventNotifier)>>>,
    /// Exit events' consumers, which `vhost-user-backend` forgets to close.
    leaked: Mutex<Vec<RawFd>>,
    /// The channel for requests to the front end, once it has given one.
    messenger: Mutex<Option<Arc<Messenger>>>,
    /// The front end has been asked to map the shared memory region.
    region_mapped: AtomicBool,
    /// The front end wants to know which pages are written to.
    logs: AtomicBool,
    /// The guest's state, on its way.
    transfer: Mutex<Option<Transfer>>,
    place: Workplace,
}

impl Device {
    /// A device that no front end has configured yet.
    ///
    /// # Errors
    /// Where the system has no room for another thread or descriptor.
    pub(super) fn new(
        options: &Options,
        handler: Arc<dyn RequestHandler>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let queues = 1 + options.request_queues.get();
        let exit_event =
            |_| new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC).map(Some);
        let exit_events = (0..queues).map(exit_event).collect::<io::Result<_>>()?;
        let window = options.window.clone();
        let requests = Arc::new(Requests { handler, counters, window });
        let pool = match options.thread_pool_size {
            0 => None,
            size => Some(Pool::start(size, &requests)?),
        };
        Ok(Self {
            options: options.clone(),
            memory: AtomicMemory::new(Memory::new()),
            guarded: GuardedMemory::default(),
            logging: Logging::default(),
            workers: (0..queues).map(|_| Worker::default()).collect(),
            epolls: OnceLock::new(),
            exit_events: Mutex::new(exit_events),
            leaked: Mutex::default(),
            messenger: Mutex::default(),
            region_mapped: AtomicBool::new(false),
            logs: AtomicBool::new(false),
            transfer: Mutex::default(),
            place: Workplace { requests, closing: AtomicBool::new(false), pool },
        })
    }

    /// The guest's memory, empty until the front end describes it.
    pub(super) fn memory(&self) -> AtomicMemory {
        self.memory.clone()
    }

    /// By which epoll each worker waits: they need not read their kick events then.
    pub(super) fn waits_by(&self, epolls: Vec<RawFd>) {
        let _ = self.epolls.set(epolls);
    }

    /// The front end has gone: the workers shall come home.
    pub(super) fn hang_up(&self) {
        // Relaxed: nothing is published with it; a worker that misses it serves one request more.
        self.place.closing.store(true, Ordering::Relaxed);
        self.leave_front_end_alone();
        self.rings().for_each(Ring::close_lot);
        self.end_transfer();
    }

    /// Nobody asks how it went.
    fn end_transfer(&self) {
        let transfer = self.transfer.lock().take();
        drop(transfer);
    }

    /// Waits for the requests in progress, after [`Self::hang_up`] and when no worker takes another: those that were put
    /// aside are answered.
    pub(super) fn settle(&self) {
        self.rings().for_each(|ring| self.place.requests.finish(ring));
    }

    /// The rings that were kicked at least once.
    fn rings(&self) -> impl Iterator<Item = &Ring> {
        self.workers.iter().filter_map(|worker| worker.ring.get())
    }

    /// Ends workers that a daemon started which could not start all of them: it leaves them behind.
    pub(super) fn dismiss_workers(&self) {
        for &fd in &*self.leaked.lock() {
            // SAFETY: nobody closes these descriptors before the device is dropped.
            let exit_event = unsafe { BorrowedFd::borrow_raw(fd) };
            // An eventfd's counter that is not full takes this; a full one has ended the worker already.
            let _ = rustix::io::write(exit_event, &1u64.to_ne_bytes());
        }
    }

    /// The front end has begun to copy the guest's memory, or has given that up.
    fn log_pages(&self, on: bool) {
        if on {
            self.pass_rings();
        } else {
            self.logging.end();
        }
    }

    /// Whoever answers a request from now on sees what this thread has done before.
    fn pass_rings(&self) {
        self.rings().for_each(Ring::pass);
    }

    /// The guest's driver is there: QEMU does not survive being asked before.
    fn map_region(&self) -> io::Result<()> {
        let Some(region) = &self.options.region else { return Ok(()) };
        let Some(messenger) = self.messenger.lock().clone() else { return Ok(()) };
        // Relaxed: one thread reads and answers the front end's messages.
        if self.region_mapped.swap(true, Ordering::Relaxed) {
            Ok(())
        } else {
            region.map(messenger)
        }
    }

    /// Nothing is asked of the front end until the next driver begins, and nobody waits for its answers.
    fn leave_front_end_alone(&self) {
        if let Some(messenger) = &*self.messenger.lock() {
            messenger.close();
        }
    }
}

impl VhostUserBackend for Device {
    type Bitmap = PageLog;
    type Vring = Ring;

    fn num_queues(&self) -> usize {
        self.workers.len()
    }

    fn max_queue_size(&self) -> usize {
        MAX_QUEUE_SIZE
    }

    fn features(&self) -> u64 {
        (1 << VIRTIO_F_VERSION_1)
            | (1 << VIRTIO_RING_F_INDIRECT_DESC)
            | (1 << VIRTIO_RING_F_EVENT_IDX)
            | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
            | VhostUserVirtioFeatures::LOG_ALL.bits()
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        let mut features = VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::BACKEND_REQ
            | VhostUserProtocolFeatures::BACKEND_SEND_FD
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS
            | VhostUserProtocolFeatures::LOG_SHMFD
            | VhostUserProtocolFeatures::DEVICE_STATE
            | VhostUserProtocolFeatures::RESET_DEVICE;
        features.set(VhostUserProtocolFeatures::CONFIG, self.options.tag.is_some());
        let has_window = self.options.window.is_some();
        features.set(VhostUserProtocolFeatures::SHMEM, has_window || self.options.region.is_some());
        features.set(VhostUserProtocolFeatures::SHARED_OBJECT, has_window); // For `messenger`.
        features
    }

    fn acked_features(&self, features: u64) {
        debug!("the guest's features: {features:#x}");
        let logs = features & VhostUserVirtioFeatures::LOG_ALL.bits() != 0;
        // Relaxed: one thread reads and answers the front end's messages.
        if self.logs.swap(logs, Ordering::Relaxed) != logs {
            self.log_pages(logs);
        }
        // A driver begins. What was mapped for the one before it, the VMM has taken away.
        self.region_mapped.store(false, Ordering::Relaxed);
        if let Some(messenger) = &*self.messenger.lock() {
            messenger.open();
        }
    }

    fn reset_device(&self) {
        self.leave_front_end_alone();
        self.end_transfer();
        // The rings are disabled already; what they have begun is finished before the inodes go.
        self.settle();
        info!("device reset");
        self.place.requests.handler.reset();
    }

    // Each ring knows for itself.
    fn set_event_idx(&self, _enabled: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        match &self.options.tag {
            Some(tag) => {
                let queues = self.options.announced_request_queues.get();
                config_space::read(tag, u32::from(queues), offset, size)
            }
            // CONFIG was not offered: a front end that asks all the same is told that there is nothing.
            None => Vec::new(),
        }
    }

    fn set_backend_req_fd(&self, backend: Backend) {
        match Messenger::start(backend) {
            Ok(messenger) => {
                let messenger = Arc::new(messenger);
                if let Some(window) = &self.options.window {
                    let (messenger, memory) = (Arc::clone(&messenger), self.memory());
                    let id = region::DAX_WINDOW;
                    window.attach(Arc::new(WindowFront { messenger, id, memory }));
                }
                *self.messenger.lock() = Some(messenger);
            }
            Err(error) => error!("no shared memory regions: no thread for them: {error}"),
        }
    }

    /// The front end makes the regions when it has the answer, and only then can something be mapped into them.
    fn get_shmem_config(&self) -> io::Result<VhostUserShMemConfig> {
        let unsupported = || io::Error::from(io::ErrorKind::Unsupported);
        let window = self.options.window.as_ref().map(|window| window.size());
        region::config(window, self.options.region.as_ref()).ok_or_else(unsupported)
    }

    // The rings look at `self.memory`, which has the new state already.
    fn update_memory(&self, memory: AtomicMemory) -> io::Result<()> {
        self.guarded.follow(&memory);
        self.logging.follow(&memory.memory(), || self.pass_rings());
        self.map_region()
    }

    fn queues_per_thread(&self) -> Vec<u64> {
        (0..self.workers.len()).map(|queue| 1 << queue).collect()
    }

    fn exit_event(&self, queue: usize) -> Option<(EventConsumer, EventNotifier)> {
        let events = self.exit_events.lock().get_mut(queue)?.take()?;
        self.leaked.lock().push(events.0.as_raw_fd());
        Some(events)
    }

    fn set_device_state_fd(
        &self,
        direction: VhostTransferStateDirection,
        phase: VhostTransferStatePhase,
        pipe: File,
    ) -> io::Result<Option<File>> {
        let refused = |why| {
            error!("migration: {why}");
            Err(io::Error::other(why))
        };
        if phase != VhostTransferStatePhase::STOPPED {
            return refused("the VMM wants the state of a guest that runs");
        }
        if self.rings().any(Ring::runs) {
            return refused("the VMM wants the state while queues run");
        }
        self.end_transfer();
        let handler = Arc::clone(&self.place.requests.handler);
        *self.transfer.lock() = Some(Transfer::start(direction, (pipe, MAX_STATE), handler)?);
        Ok(None)
    }

    fn check_device_state(&self) -> io::Result<()> {
        let transfer = self.transfer.lock().take();
        transfer.ok_or_else(|| io::Error::other("no state was transferred"))?.finish()
    }

    fn stop_vring(&self, queue: u32) -> io::Result<()> {
        self.leave_front_end_alone();
        if let Some(ring) = self.workers.get(queue as usize).and_then(|worker| worker.ring.get()) {
            self.place.requests.finish(ring);
        }
        Ok(())
    }

    /// A kick. An `Err` would end the worker without a word, so there is none.
    fn handle_event(
        &self,
        event: u16,
        _set: EventSet,
        rings: &[Ring],
        queue: usize,
    ) -> io::Result<()> {
        // One ring a worker: the worker's number is the queue's.
        let (Some(ring), Some(worker)) = (rings.get(usize::from(event)), self.workers.get(queue))
        else {
            return Ok(());
        };
        let epoll = self.epolls.get().and_then(|epolls| epolls.get(queue));
        // SAFETY: the daemon that owns it ends its workers, and this is one, before it closes the descriptor.
        let epoll = epoll.map(|&epoll| unsafe { BorrowedFd::borrow_raw(epoll) });
        worker.kicked((queue, event), ring, epoll, &self.place);
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(window) = &self.options.window {
            window.detach();
        }
        for fd in self.leaked.get_mut().drain(..) {
            // SAFETY: `exit_event` gave the consumer that owns `fd` to the daemon of this device, which took the
            // descriptor out of it and never closes it. The daemon has gone before the device: `fd` is ours alone.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "window_tests.rs"]
mod window_tests;
