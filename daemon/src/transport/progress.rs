//! A ring's requests that are not given back yet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::ring::RingError;

/// Counts them, and lets others wait until there are none.
#[derive(Debug, Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    idle: Condvar,
    /// The guest is still to be called for some that were given back.
    owes_call: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// All of them.
    all: u16,
    /// Those that were put aside.
    parked: u16,
    /// None more may be put aside: the ring is about to stop.
    closed: bool,
}

impl Progress {
    /// Counts a request of a ring with `size` entries. A guest can offer one descriptor again before it has been given
    /// back; it cannot have more requests in progress than descriptors without doing so, and this bounds what it can
    /// queue up.
    pub(super) fn begin(&self, size: u16) -> Result<(), RingError> {
        let mut state = self.state.lock();
        if state.all >= size {
            return Err(RingError::TooManyInProgress { size });
        }
        state.all += 1;
        Ok(())
    }

    /// A request that was counted is over.
    pub(super) fn end(&self, parked: bool) {
        let mut state = self.state.lock();
        state.all = state.all.saturating_sub(1);
        state.parked = state.parked.saturating_sub(u16::from(parked));
        if state.all == 0 {
            self.idle.notify_all();
        }
    }

    /// Counts one of the requests in progress, of a ring with `size` entries, as put aside. False: it must not be.
    ///
    /// A quarter of the entries is left for requests that others wait for: among them the unlock.
    pub(super) fn park(&self, size: u16) -> bool {
        let mut state = self.state.lock();
        if state.closed || state.parked >= size - size.div_ceil(4) {
            return false;
        }
        state.parked += 1;
        true
    }

    /// Whether requests may be put aside.
    pub(super) fn close(&self, closed: bool) {
        self.state.lock().closed = closed;
    }

    /// The guest will have to be called: until then the ring is not idle. To be said before the request ends.
    pub(super) fn owe_call(&self) {
        // Relaxed: the lock in `end` publishes it.
        self.owes_call.store(true, Ordering::Relaxed);
    }

    /// The guest was called, or wants no call.
    pub(super) fn called(&self) {
        if !self.owes_call.load(Ordering::Relaxed) {
            return;
        }
        let _state = self.state.lock();
        self.owes_call.store(false, Ordering::Relaxed);
        self.idle.notify_all();
    }

    /// Waits at most `limit` until no request is in progress and no call is owed, and says whether that is so. The caller
    /// has seen to it that none begins.
    pub(super) fn is_idle_within(&self, limit: Duration) -> bool {
        // Relaxed: under the lock, see `owe_call`.
        let is_busy = |state: &State| state.all > 0 || self.owes_call.load(Ordering::Relaxed);
        let mut state = self.state.lock();
        self.idle.wait_while_for(&mut state, |state| is_busy(state), limit);
        !is_busy(&state)
    }
}
