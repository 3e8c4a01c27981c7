//! Places in the daemon's ledger, one for each change in progress.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use coherence::{Engine, NoWorker, Worker};
use parking_lot::Mutex;

/// Most workers that an engine has for changes.
const MOST: usize = coherence::limits::MAX_WORKERS - 1;

/// The workers of a daemon. A serving thread nearly always finds the one free that it had last.
#[derive(Debug)]
pub(super) struct Workers(Box<[Desk]>);

/// Two threads never share a cache line because of their workers.
#[derive(Debug)]
#[repr(align(128))]
struct Desk(Mutex<Worker>);

thread_local! {
    /// Which desk this thread tries first.
    static USUAL: Cell<Option<usize>> = const { Cell::new(None) };
}

impl Workers {
    /// As many workers as threads, as far as there are as many.
    pub(super) fn new(engine: &Arc<Engine>, threads: usize) -> Result<Self, NoWorker> {
        let desk = |_| engine.worker().map(|worker| Desk(Mutex::new(worker)));
        Ok(Self((0..threads.clamp(1, MOST)).map(desk).collect::<Result<_, _>>()?))
    }

    /// Calls `act` with a worker; waits for one where all are in use.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Worker) -> T) -> T {
        let first = usual() % self.0.len();
        let (before, from_first) = self.0.split_at(first);
        let free = from_first.iter().chain(before).find_map(|desk| desk.0.try_lock());
        let mut worker = free.unwrap_or_else(|| self.0[first].0.lock());
        act(&mut worker)
    }
}

/// The calling thread's usual desk. Threads get theirs in turn.
fn usual() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    USUAL.get().unwrap_or_else(|| {
        // Relaxed: only a spread.
        let mine = NEXT.fetch_add(1, Ordering::Relaxed);
        USUAL.set(Some(mine));
        mine
    })
}
