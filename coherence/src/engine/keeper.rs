//! The thread that looks after the table.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags};

use super::Engine;
use super::peers::Peer;

/// The longest that nobody looks after the table.
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);

/// The longest that a daemon which cannot be watched (from within a sandbox, or of another pid namespace) stays dead
/// unnoticed. A look is a system call for each daemon of the table.
const UNWATCHED_EVERY: Duration = Duration::from_millis(100);

/// A thread that notices when another daemon ends, at once where its process can be watched, and calls [`Engine::tick`]
/// then and at least every second.
/// It ends when this value is dropped.
#[derive(Debug)]
pub struct Keeper {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// No descriptor or no thread to be had.
    pub fn start(engine: &Arc<Engine>) -> io::Result<Self> {
        let stop = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?);
        let mut watch = Watch {
            engine: Arc::downgrade(engine),
            stop: stop.clone(),
            peers: Vec::new(),
            unwatched: false,
        };
        let thread = std::thread::Builder::new()
            .name("samepage-keeper".to_owned())
            .spawn(move || while watch.turn() {})?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Writing to an event counter that is zero neither blocks nor fails.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watch {
    engine: Weak<Engine>,
    stop: Arc<OwnedFd>,
    /// Daemons that are watched.
    peers: Vec<(Peer, OwnedFd)>,
    /// There are others, too, which cannot be.
    unwatched: bool,
}

impl Watch {
    /// Looks around, then waits for something to happen. False when it is time to end.
    fn turn(&mut self) -> bool {
        let Some(engine) = self.engine.upgrade() else { return false };
        self.meet(&engine);
        engine.tick();
        // Not kept while waiting: the engine must be able to go.
        drop(engine);
        self.wait()
    }

    /// Watches daemons that have joined and forgets those that are gone.
    fn meet(&mut self, engine: &Engine) {
        // Not those whose end was dealt with and whose row stays for their holds: a process that nobody waits for would
        // wake this thread again and again.
        let present: Vec<Peer> = engine.peers().filter(|&p| !engine.was_reaped(p)).collect();
        self.peers.retain(|(peer, _)| present.contains(peer));
        self.unwatched = false;
        for peer in present {
            if self.peers.iter().any(|(known, _)| *known == peer) {
                continue;
            }
            match watch(engine, peer) {
                Some(pidfd) => self.peers.push((peer, pidfd)),
                None => self.unwatched = true,
            }
        }
    }

    fn wait(&mut self) -> bool {
        let mut fds = vec![PollFd::new(&*self.stop, PollFlags::IN)];
        fds.extend(
            self.peers
                .iter()
                .map(|(_, pidfd)| PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)),
        );
        let pause = if self.unwatched { UNWATCHED_EVERY } else { AT_LEAST_EVERY };
        let timeout = rustix::time::Timespec {
            tv_sec: pause.as_secs() as i64,
            tv_nsec: pause.subsec_nanos().into(),
        };
        let _ = rustix::event::poll(&mut fds, Some(&timeout));
        let ended: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        // A process that has ended stays readable: it is watched no longer, and found dead by its row.
        let mut of_peers = ended.iter().skip(1);
        self.peers.retain(|_| !of_peers.next().copied().unwrap_or(false));
        !ended[0]
    }
}

/// A descriptor that becomes readable when the peer's process ends.
fn watch(engine: &Engine, peer: Peer) -> Option<OwnedFd> {
    let process = engine.process_of(peer)?;
    let pidfd =
        rustix::process::pidfd_open(Pid::from_raw(process.pid)?, PidfdFlags::empty()).ok()?;
    // Looked at again: what was opened is the process that was meant.
    (engine.process_of(peer) == Some(process)).then_some(pidfd)
}
