//! What serves requests, on a queue's own worker and in the pool.

use std::ffi::CString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use super::RequestHandler;
use super::owed::Owed;
use super::pool::Serve;
use super::request::Request;
use super::ring::Ring;
use super::serve::Counters;
use crate::dax::Window;

/// How often requests that were put aside are told to come home: one may have missed it.
const CALL_HOME: Duration = Duration::from_millis(20);

pub(super) struct Requests {
    pub(super) handler: Arc<dyn RequestHandler>,
    pub(super) counters: Arc<Counters>,
    pub(super) window: Option<Arc<Window>>,
}

impl Requests {
    pub(super) fn stop(&self, queue: usize, ring: &Ring, reason: &dyn fmt::Display) {
        self.counters.stop(queue, ring, reason);
    }

    /// Waits until no request of `ring`, from which no more are taken, is in progress.
    pub(super) fn finish(&self, ring: &Ring) {
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

    /// Serves one request; `owed` as in [`Ring::give_back`].
    pub(super) fn serve_owing(&self, request: Request, owed: Option<&mut Owed>) {
        let (queue, ring) = (request.queue(), request.ring().clone());
        let window = self.window.as_deref();
        if let Err(error) = request.serve(&*self.handler, &self.counters, window, owed) {
            self.stop(queue, &ring, &error);
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
        self.serve_owing(request, None);
    }
}
