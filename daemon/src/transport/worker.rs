//! A queue's own worker: what it does from a kick until it sleeps again.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::debug;

use super::owed::Owed;
use super::pool::{Pool, Serve};
use super::request::{Request, RequestError};
use super::requests::Requests;
use super::ring::{Ring, RingError, Taken};
use crate::vanishing::lost_by_this_thread;

/// The queue for FORGETs and interrupts; the request queues follow it (virtio 1.3, 5.11.2).
const HIPRIO: usize = 0;

/// What all workers of a device have.
pub(super) struct Workplace {
    pub(super) requests: Arc<Requests>,
    /// The front end has gone: a worker leaves its ring even if more requests keep coming.
    pub(super) closing: AtomicBool,
    /// Joined when the device is dropped.
    pub(super) pool: Option<Pool>,
}

/// A queue's worker: what it finds out at its first kick.
#[derive(Default)]
pub(super) struct Worker {
    pub(super) ring: OnceLock<Ring>,
    is_fit: OnceLock<bool>,
}

impl Worker {
    /// `ring`, the queue number `queue`, was kicked: `epoll`, if the worker waits by one, reported that as `event`.
    pub(super) fn kicked(
        &self,
        (queue, event): (usize, u16),
        ring: &Ring,
        epoll: Option<BorrowedFd<'_>>,
        place: &Workplace,
    ) {
        let served = self.serve(queue, ring, place);
        let Some(epoll) = epoll else { return };
        if served == Served::Something {
            return ring.hear_kicks_by_edge(epoll, event.into());
        }
        match ring.silence_kick() {
            Ok(false) => {}
            Ok(true) => drop(self.serve(queue, ring, place)),
            Err(error) => debug!("kick event: {error}"),
        }
    }

    fn serve(&self, queue: usize, ring: &Ring, place: &Workplace) -> Served {
        let requests = &place.requests;
        let ring = self.ring.get_or_init(|| ring.clone());
        let fit = self.is_fit.get_or_init(|| requests.prepare(&format!("queue-{queue}")));
        if !fit {
            requests.stop(queue, ring, &"its worker cannot serve");
            return Served::Nothing;
        }
        let lost = lost_by_this_thread();
        let mut owed = Owed::default();
        let drained = place.drain(queue, ring, &mut owed);
        // Whatever ended it, what was answered has been answered.
        let settled = ring.settle(&mut owed);
        match drained.and_then(|served| settled.map(|()| served)) {
            Err(error) => requests.stop(queue, ring, &error),
            Ok(_) if lost_by_this_thread() != lost => {
                requests.stop(queue, ring, &RequestError::MemoryGone);
            }
            Ok(served) => return served,
        }
        Served::Nothing
    }
}

/// Whether a kick was for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    Something,
    Nothing,
}

impl Workplace {
    /// Empties `ring`, and goes on until the guest has been told to kick at its next request.
    fn drain(&self, queue: usize, ring: &Ring, owed: &mut Owed) -> Result<Served, RingError> {
        let mut served = Served::Nothing;
        loop {
            ring.disable_kicks()?;
            loop {
                if self.closing.load(Ordering::Relaxed) {
                    return Ok(served);
                }
                match ring.take(queue)? {
                    Taken::Request(request) => self.dispatch(request, owed),
                    Taken::Empty => break,
                    Taken::Inactive => return Ok(served),
                }
                served = Served::Something;
            }
            ring.settle(owed)?;
            if !ring.enable_kicks()? {
                return Ok(served);
            }
        }
    }

    fn dispatch(&self, request: Request, owed: &mut Owed) {
        match &self.pool {
            Some(pool) if request.queue() != HIPRIO => pool.submit(request),
            _ => self.requests.serve_owing(request, Some(owed)),
        }
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
