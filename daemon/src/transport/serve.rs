//! One front end after the other.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use tracing::{error, info, warn};
use vhost::vhost_user::{Error as VhostUserError, Listener};
use vhost_user_backend::{Error as DaemonError, VhostUserDaemon};

use super::RequestHandler;
use super::config_space::Tag;
use super::device::Device;
use super::peer::{self, Identify};
use super::region::SharedRegion;
use super::ring::Ring;
use super::stopper::Stopper;
use crate::dax::Window;

/// How many request queues a front end may use. At most 63: `vhost-user-backend` names queues by the bits of a `u64`,
/// and hiprio is one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestQueues(u8);

impl RequestQueues {
    /// The most that can be offered.
    pub const MAX: u8 = 63;

    /// What QEMU's `vhost-user-fs-pci` uses unless told otherwise.
    pub const ONE: Self = Self(1);

    /// Offered unless told otherwise: enough for most guests, at the price of an idle thread each.
    pub const DEFAULT: Self = Self(16);

    /// `count` request queues, if that is between 1 and [`Self::MAX`].
    #[must_use]
    pub fn new(count: u8) -> Option<Self> {
        (1..=Self::MAX).contains(&count).then_some(Self(count))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

/// What the command line decides about the device.
#[derive(Clone, Debug)]
pub struct Options {
    /// Served in the configuration space; none: the VMM knows the tag, and has a configuration space of its own.
    pub tag: Option<Tag>,
    /// What a front end may use; one that wants more is refused by the VMM.
    pub request_queues: RequestQueues,
    /// What the configuration space says. A guest sets up exactly as many queues.
    pub announced_request_queues: RequestQueues,
    /// Threads that help the request queues' own; 0: none.
    pub thread_pool_size: usize,
    /// Return when the first front end has gone.
    pub once: bool,
    /// Offered to front ends that know shared memory regions.
    pub region: Option<SharedRegion>,
    /// The DAX window, likewise.
    pub window: Option<Arc<Window>>,
    /// Tells in which process a front end is.
    pub identify: Arc<dyn Identify>,
}

/// What happened on the transport since the daemon started.
#[derive(Debug, Default)]
pub struct Counters {
    connections: AtomicU64,
    stopped_queues: AtomicU64,
    connected: AtomicBool,
}

impl Counters {
    /// Front ends that were served.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Whether a front end is being served.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Queues that a guest's breach of protocol stopped.
    #[must_use]
    pub fn stopped_queues(&self) -> u64 {
        self.stopped_queues.load(Ordering::Relaxed)
    }

    /// Stops `ring`, of the queue number `queue`, and says why, unless it has stopped already.
    pub(super) fn stop(&self, queue: usize, ring: &Ring, reason: &dyn fmt::Display) {
        if ring.stop() {
            self.stopped_queues.fetch_add(1, Ordering::Relaxed);
            error!("queue {queue} stops until the guest sets it up anew: {reason}");
        }
    }
}

/// Serves front ends that connect to `listener`, one after the other, until `stopper` says to stop.
///
/// # Errors
/// Where the socket cannot be waited for any more. What a front end or a guest does ends its connection at worst.
pub fn serve(
    listener: UnixListener,
    options: &Options,
    handler: &Arc<dyn RequestHandler>,
    counters: &Arc<Counters>,
    stopper: &Stopper,
) -> io::Result<()> {
    let mut listener = Listener::from(listener);
    info!("waiting for a front end");
    while wait_for_front_end(&listener, stopper)? {
        // Relaxed, as everywhere in `Counters`: figures for people, nothing depends on them.
        counters.connections.fetch_add(1, Ordering::Relaxed);
        match Connection::begin(&mut listener, options, handler, counters) {
            Ok(connection) => {
                counters.connected.store(true, Ordering::Relaxed);
                connection.run(stopper);
                counters.connected.store(false, Ordering::Relaxed);
            }
            Err(refusal) => refusal.settle(&listener)?,
        }
        handler.reset();
        if options.once {
            break;
        }
    }
    Ok(())
}

/// True: a front end is at the door. False: time to stop.
fn wait_for_front_end(listener: &Listener, stopper: &Stopper) -> io::Result<bool> {
    // SAFETY: the listener owns its descriptor and outlives this borrow.
    let socket = unsafe { BorrowedFd::borrow_raw(listener.as_raw_fd()) };
    let mut fds = [
        PollFd::from_borrowed_fd(socket, PollFlags::IN),
        PollFd::from_borrowed_fd(stopper.event(), PollFlags::IN),
    ];
    retry_on_intr(|| poll(&mut fds, None))?;
    if !fds[1].revents().is_empty() {
        return Ok(false);
    }
    if fds[0].revents().contains(PollFlags::IN) {
        return Ok(true);
    }
    Err(io::Error::other("the listening socket has failed"))
}

/// A front end that is being served.
struct Connection {
    daemon: VhostUserDaemon<Arc<Device>>,
    device: Arc<Device>,
}

impl Connection {
    /// Starts the workers and accepts the front end that waits.
    fn begin(
        listener: &mut Listener,
        options: &Options,
        handler: &Arc<dyn RequestHandler>,
        counters: &Arc<Counters>,
    ) -> Result<Self, Refusal> {
        let device = Device::new(options, Arc::clone(handler), Arc::clone(counters))
            .map_err(|error| Refusal::AtTheDoor(error.to_string()))?;
        let device = Arc::new(device);
        let daemon =
            VhostUserDaemon::new("vhost-user".to_owned(), Arc::clone(&device), device.memory());
        let mut daemon = daemon.map_err(|error| {
            device.dismiss_workers();
            Refusal::AtTheDoor(error.to_string())
        })?;
        let epolls = daemon.get_epoll_handlers();
        device.waits_by(epolls.iter().map(AsRawFd::as_raw_fd).collect());
        daemon.start(listener).map_err(|error| Refusal::Accepted(error.to_string()))?;
        // SAFETY: the listener owns its descriptor and outlives this borrow.
        let socket = unsafe { BorrowedFd::borrow_raw(listener.as_raw_fd()) };
        let peer = peer::connection(socket);
        let mut peer = peer.and_then(|connection| options.identify.peer(connection.as_fd()));
        if let Some(window) = &options.window {
            let footprint = peer.as_ref().and_then(|peer| peer.footprint.clone());
            if footprint.is_none() {
                warn!(
                    "nobody can see what the VMM has mapped, so no other guest can cut files that its guest has mapped \
                     (EBUSY); run samepaged as the user that the VMM runs as, or with CAP_SYS_PTRACE (docs/dax.md)"
                );
            }
            window.owned_by(peer.as_mut().and_then(|peer| peer.ended.take()), footprint);
        }
        handler.connected(peer.as_ref());
        info!("front end connected");
        Ok(Self { daemon, device })
    }

    /// Serves it until it hangs up or the daemon is to stop. Afterwards nothing of it is left.
    fn run(mut self, stopper: &Stopper) {
        stopper.watch(self.daemon.shutdown_handle());
        let end = self.daemon.wait();
        stopper.watch(None);
        self.device.hang_up();
        drop(self.daemon); // Joins the workers.
        self.device.settle();
        drop(self.device); // Joins the pool.
        match end {
            Ok(())
            | Err(DaemonError::HandleRequest(
                VhostUserError::Disconnected | VhostUserError::PartialMessage,
            )) => info!("front end disconnected"),
            Err(error) => warn!("front end disconnected: {error}"),
        }
    }
}

/// Why a front end is not served.
enum Refusal {
    /// It still waits to be accepted.
    AtTheDoor(String),
    /// It was accepted, and hung up on.
    Accepted(String),
}

impl Refusal {
    /// Logs it, and hangs up: a front end that stayed at the door would be tried again at once, and for ever.
    fn settle(self, listener: &Listener) -> io::Result<()> {
        match self {
            Self::AtTheDoor(reason) => {
                error!("front end refused: {reason}");
                listener.accept().map_err(io::Error::other)?;
            }
            Self::Accepted(reason) => error!("front end refused: {reason}"),
        }
        Ok(())
    }
}
