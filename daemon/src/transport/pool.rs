//! Extra workers (`--thread-pool-size`): requests of all request queues, in any order.
//!
//! FUSE requests that are in flight together have no order among each other, so they may overtake. FORGETs come over the
//! hiprio queue, which its own worker serves.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam::channel::{self, Receiver, Sender};

use super::request::Request;

/// What a pool's workers do with requests.
pub(super) trait Serve: Send + Sync {
    /// Called once by each worker, with its name. False: the worker cannot serve.
    fn prepare(&self, name: &str) -> bool;

    /// Serves one request.
    fn serve(&self, request: Request);
}

/// Threads that serve requests until the pool is dropped, which waits for those in progress.
#[derive(Debug)]
pub(super) struct Pool {
    /// None: being dropped. What waits here is bounded: a ring has no more requests in progress than entries.
    queue: Option<Sender<Request>>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `size` workers.
    ///
    /// # Errors
    /// Where the system has no room for another thread.
    pub(super) fn start(size: usize, server: &Arc<impl Serve + 'static>) -> io::Result<Self> {
        let (sender, receiver) = channel::unbounded();
        let mut pool = Self { queue: Some(sender), workers: Vec::with_capacity(size) };
        for index in 0..size {
            let server = Arc::clone(server);
            let requests = receiver.clone();
            let name = format!("pool-{index}");
            let worker = thread::Builder::new()
                .name(name.clone())
                .spawn(move || work(&name, &requests, &*server))?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// Hands a request to the next free worker.
    pub(super) fn submit(&self, request: Request) {
        if let Some(queue) = &self.queue {
            // Fails only when no worker is left, which is when none could be prepared: the request is dropped unserved.
            let _ = queue.send(request);
        }
    }
}

fn work(name: &str, requests: &Receiver<Request>, server: &dyn Serve) {
    if !server.prepare(name) {
        return;
    }
    for request in requests {
        server.serve(request);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue = None;
        for worker in self.workers.drain(..) {
            // A worker that panicked has said so on stderr; there is nothing left to do for it.
            let _ = worker.join();
        }
    }
}
