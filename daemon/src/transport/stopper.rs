//! Ends [`super::serve()`] from another thread.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use vhost_user_backend::ShutdownHandle;

/// A switch that stops the daemon's service: it waits for no further front end and hangs up on the present one.
pub struct Stopper {
    event: OwnedFd,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stopping: bool,
    connection: Option<ShutdownHandle>,
}

impl Stopper {
    /// A switch that nobody has touched.
    ///
    /// # Errors
    /// Where the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { event, state: Mutex::default() })
    }

    /// Stops the service. Requests in progress are finished first. Doing it twice changes nothing.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stopping = true;
        // Fails only when the counter is full, which wakes the poller just as well.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        if let Some(connection) = state.connection.take() {
            connection.shutdown();
        }
    }

    /// Whether [`Self::stop`] was called.
    pub(super) fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    /// The connection that [`Self::stop`] has to hang up; none between connections.
    pub(super) fn watch(&self, connection: Option<ShutdownHandle>) {
        let mut state = self.state.lock();
        state.connection = connection;
        if state.stopping
            && let Some(connection) = state.connection.take()
        {
            connection.shutdown();
        }
    }

    /// Readable from the moment of [`Self::stop`] on.
    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").field("stopping", &self.is_stopping()).finish_non_exhaustive()
    }
}
