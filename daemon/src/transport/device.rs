//! The virtio-fs device of one connection, as `vhost-user-backend` wants it.

use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::{debug, error, info};
use vhost::vhost_user::Backend;
use vhost::vhost_user::message::{
    VhostUserProtocolFeatures, VhostUserShMemConfig, VhostUserVirtioFeatures,
};
use vhost_user_backend::VhostUserBackend;
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{
    EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier,
};

use super::RequestHandler;
use super::config_space;
use super::guarded::GuardedMemory;
use super::memory::{AtomicMemory, Memory};
use super::messenger::{Messenger, WindowFront};
use super::pool::{Pool, Serve};
use super::region;
use super::request::{Request, RequestError};
use super::ring::{Ring, RingError, Taken};
use super::serve::{Counters, Options};
use crate::dax::Window;
use crate::vanishing::lost_by_this_thread;

/// Entries that a ring may have; QEMU's `queue-size` goes up to this.
const MAX_QUEUE_SIZE: usize = 1024;

/// The queue for FORGETs and interrupts; the request queues follow it (virtio 1.3, 5.11.2).
const HIPRIO: usize = 0;

/// One front end's device: its rings, its workers, its guest's memory.
///
/// Must outlive the `VhostUserDaemon` that runs it (see [`Drop`]).
pub(super) struct Device {
    requests: Arc<Requests>,
    options: Options,
    memory: AtomicMemory,
    /// After it: the guards go first only when nothing is served any more.
    guarded: GuardedMemory,
    queues: Vec<Queue>,
    /// What ends each queue's worker, until `vhost-user-backend` asks for it.
    exit_events: Mutex<Vec<Option<(EventConsumer, EventNotifier)>>>,
    /// Exit events' consumers, which `vhost-user-backend` forgets to close.
    leaked: Mutex<Vec<RawFd>>,
    /// The channel for requests to the front end, once it has given one.
    messenger: Mutex<Option<Arc<Messenger>>>,
    /// The front end has been asked to map the shared memory region.
    region_mapped: AtomicBool,
    /// The front end has gone: a worker leaves its ring even if more requests keep coming.
    closing: AtomicBool,
    /// Joined when the device is dropped.
    pool: Option<Pool>,
}

/// What a queue's worker finds out at its first kick.
#[derive(Default)]
struct Queue {
    ring: OnceLock<Ring>,
    worker_is_fit: OnceLock<bool>,
}

/// What serves requests, on a queue's own worker and in the pool.
struct Requests {
    handler: Arc<dyn RequestHandler>,
    counters: Arc<Counters>,
    window: Option<Arc<Window>>,
}

/// How often requests that were put aside are told to come home: one may have missed it.
const CALL_HOME: Duration = Duration::from_millis(20);

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
            requests,
            options: options.clone(),
            memory: AtomicMemory::new(Memory::new()),
            guarded: GuardedMemory::default(),
            queues: (0..queues).map(|_| Queue::default()).collect(),
            exit_events: Mutex::new(exit_events),
            leaked: Mutex::default(),
            messenger: Mutex::default(),
            region_mapped: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            pool,
        })
    }

    /// The guest's memory, empty until the front end describes it.
    pub(super) fn memory(&self) -> AtomicMemory {
        self.memory.clone()
    }

    /// The front end has gone: the workers shall come home.
    pub(super) fn hang_up(&self) {
        // Relaxed: nothing is published with it; a worker that misses it serves one request more.
        self.closing.store(true, Ordering::Relaxed);
        self.leave_front_end_alone();
        self.rings().for_each(Ring::close_lot);
    }

    /// Waits for the requests in progress, after [`Self::hang_up`] and when no worker takes another: those that were put
    /// aside are answered.
    pub(super) fn settle(&self) {
        self.rings().for_each(|ring| self.requests.finish(ring));
    }

    /// The rings that were kicked at least once.
    fn rings(&self) -> impl Iterator<Item = &Ring> {
        self.queues.iter().filter_map(|queue| queue.ring.get())
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

    /// Empties `ring`, and goes on until the guest has been told to kick at its next request.
    fn drain(&self, queue: usize, ring: &Ring) -> Result<(), RingError> {
        loop {
            ring.disable_kicks()?;
            loop {
                if self.closing.load(Ordering::Relaxed) {
                    return Ok(());
                }
                match ring.take(queue)? {
                    Taken::Request(request) => self.dispatch(request),
                    Taken::Empty => break,
                    Taken::Inactive => return Ok(()),
                }
            }
            if !ring.enable_kicks()? {
                return Ok(());
            }
        }
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

    fn dispatch(&self, request: Request) {
        match &self.pool {
            Some(pool) if request.queue() != HIPRIO => pool.submit(request),
            _ => self.requests.serve(request),
        }
    }
}

impl Requests {
    fn stop(&self, queue: usize, ring: &Ring, reason: &dyn fmt::Display) {
        self.counters.stop(queue, ring, reason);
    }

    /// Waits until no request of `ring`, from which no more are taken, is in progress.
    fn finish(&self, ring: &Ring) {
        ring.close_lot();
        if ring.is_idle_within(Duration::ZERO) {
            return;
        }
        loop {
            self.handler.cancel_parked();
            if ring.is_idle_within(CALL_HOME) {
                return;
            }
        }
    }
}

impl Serve for Requests {
    fn prepare(&self, name: &str) -> bool {
        // The name is for top(1) and gdb only.
        if let Ok(name) = CString::new(name) {
            let _ = rustix::thread::set_name(&name);
        }
        let prepared = self.handler.prepare_thread();
        if let Err(error) = &prepared {
            error!("worker {name} cannot serve: {error}");
        }
        prepared.is_ok()
    }

    fn serve(&self, request: Request) {
        let (queue, ring) = (request.queue(), request.ring().clone());
        if let Err(error) = request.serve(&*self.handler, &self.counters, self.window.as_deref()) {
            self.stop(queue, &ring, &error);
        }
    }
}

impl VhostUserBackend for Device {
    type Bitmap = ();
    type Vring = Ring;

    fn num_queues(&self) -> usize {
        self.queues.len()
    }

    fn max_queue_size(&self) -> usize {
        MAX_QUEUE_SIZE
    }

    fn features(&self) -> u64 {
        (1 << VIRTIO_F_VERSION_1)
            | (1 << VIRTIO_RING_F_INDIRECT_DESC)
            | (1 << VIRTIO_RING_F_EVENT_IDX)
            | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }

    // Without LOG_SHMFD the VMM knows that it cannot migrate this guest; the reply path does not log dirty pages.
    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        let mut features = VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::BACKEND_REQ
            | VhostUserProtocolFeatures::BACKEND_SEND_FD
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS
            | VhostUserProtocolFeatures::RESET_DEVICE;
        features.set(VhostUserProtocolFeatures::CONFIG, self.options.tag.is_some());
        let has_regions = self.options.region.is_some() || self.options.window.is_some();
        features.set(VhostUserProtocolFeatures::SHMEM, has_regions);
        features
    }

    fn acked_features(&self, features: u64) {
        debug!("the guest's features: {features:#x}");
        // A driver begins. What was mapped for the one before it, the VMM has taken away.
        self.region_mapped.store(false, Ordering::Relaxed);
        if let Some(messenger) = &*self.messenger.lock() {
            messenger.open();
        }
    }

    fn reset_device(&self) {
        self.leave_front_end_alone();
        // The rings are disabled already; what they have begun is finished before the inodes go.
        self.settle();
        info!("device reset");
        self.requests.handler.reset();
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
                    let messenger = Arc::clone(&messenger);
                    window.attach(Arc::new(WindowFront { messenger, id: region::DAX_WINDOW }));
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
        self.map_region()
    }

    fn queues_per_thread(&self) -> Vec<u64> {
        (0..self.queues.len()).map(|queue| 1 << queue).collect()
    }

    fn exit_event(&self, queue: usize) -> Option<(EventConsumer, EventNotifier)> {
        let events = self.exit_events.lock().get_mut(queue)?.take()?;
        self.leaked.lock().push(events.0.as_raw_fd());
        Some(events)
    }

    fn stop_vring(&self, queue: u32) -> io::Result<()> {
        self.leave_front_end_alone();
        if let Some(ring) = self.queues.get(queue as usize).and_then(|queue| queue.ring.get()) {
            self.requests.finish(ring);
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
        let (Some(ring), Some(state)) = (rings.get(usize::from(event)), self.queues.get(queue))
        else {
            return Ok(());
        };
        let ring = state.ring.get_or_init(|| ring.clone());
        let fit =
            state.worker_is_fit.get_or_init(|| self.requests.prepare(&format!("queue-{queue}")));
        let lost = lost_by_this_thread();
        if !fit {
            self.requests.stop(queue, ring, &"its worker cannot serve");
        } else if let Err(error) = self.drain(queue, ring) {
            self.requests.stop(queue, ring, &error);
        } else if lost_by_this_thread() != lost {
            self.requests.stop(queue, ring, &RequestError::MemoryGone);
        }
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
