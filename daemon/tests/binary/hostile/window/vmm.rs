//! The VMM's answers.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use vhost::vhost_user::message::{VhostUserMMap, VhostUserSharedMsg};
use vhost::vhost_user::{Error, FrontendReqHandler, HandlerResult, VhostUserFrontendReqHandler};

use super::WINDOW;

/// QEMU aborts at 512 memory regions, of which the guest's memory takes some.
const MOST: usize = 448;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// As it should.
    Honest,
    /// After a while.
    Late,
    /// With an error, and does nothing.
    Refuses,
    /// Not before the session ends.
    Silent,
}

/// Sees to it that it is never asked for what QEMU would not survive.
#[derive(Debug)]
pub(super) struct Vmm {
    mood: Mutex<Mood>,
    woken: Condvar,
    mapped: Mutex<BTreeMap<u64, u64>>,
    /// Held while it reads a message and answers it.
    turn: Mutex<()>,
    /// Where messages come in.
    channel: OnceLock<OwnedFd>,
    /// It has said that it did what it did not: the daemon's books are not its own any more.
    has_lied: AtomicBool,
    wrong: Mutex<Vec<String>>,
}

impl Vmm {
    fn new() -> Self {
        Self {
            mood: Mutex::new(Mood::Honest),
            woken: Condvar::new(),
            mapped: Mutex::default(),
            turn: Mutex::default(),
            channel: OnceLock::new(),
            has_lied: AtomicBool::new(false),
            wrong: Mutex::default(),
        }
    }

    pub(super) fn set_mood(&self, mood: Mood) {
        *self.mood.lock() = mood;
        self.woken.notify_all();
    }

    /// The device has been reset: nothing is mapped any more, also of what the daemon has asked for before and was answered
    /// in the meantime. (QEMU does not survive such a message.)
    pub(super) fn reset(&self) {
        loop {
            let _turn = self.turn.lock();
            if !self.has_mail() {
                return self.mapped.lock().clear();
            }
        }
    }

    /// Whether a message waits to be read.
    fn has_mail(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        self.channel.get().is_some_and(|channel| wait_for(channel, Some(&now)) == PollFlags::IN)
    }

    /// What it should never have been asked.
    pub(super) fn complaints(&self) -> Vec<String> {
        self.wrong.lock().clone()
    }

    /// Answers until the daemon hangs up.
    pub(super) fn serve(self: Arc<Self>, mut channel: FrontendReqHandler<Self>) {
        let answer = move || {
            loop {
                if let Some(channel) = self.channel.get() {
                    wait_for(channel, None);
                }
                let _turn = self.turn.lock();
                match channel.handle_request() {
                    Ok(_) | Err(Error::ReqHandlerError(_)) => {}
                    Err(_) => return,
                }
            }
        };
        thread::spawn(answer);
    }

    /// Whether it does what it was asked.
    fn obeys(&self) -> bool {
        let mut mood = self.mood.lock();
        while *mood == Mood::Silent {
            self.woken.wait(&mut mood);
        }
        let mood = *mood;
        if mood == Mood::Late {
            thread::sleep(Duration::from_millis(5));
        }
        // Relaxed: one thread answers, and looks.
        self.has_lied.fetch_or(mood == Mood::Refuses, Ordering::Relaxed);
        mood != Mood::Refuses
    }

    fn complain(&self, what: &str, message: &VhostUserMMap) {
        let (at, len, from) = (message.shm_offset, message.len, message.fd_offset);
        self.wrong.lock().push(format!("{what}: {len:#x} bytes from {from:#x} at {at:#x}"));
    }

    fn check(&self, message: &VhostUserMMap) {
        let (at, len, from) = (message.shm_offset, message.len, message.fd_offset);
        let end = at.checked_add(len).filter(|end| *end <= WINDOW);
        let whole = [at, len, from].iter().all(|number| number.is_multiple_of(4096));
        let Some(end) = end.filter(|_| len > 0 && whole && message.shmid == 0) else {
            return self.complain("outside", message);
        };
        if self.has_lied.load(Ordering::Relaxed) {
            return;
        }
        let mapped = self.mapped.lock();
        if mapped.range(..end).next_back().is_some_and(|(start, len)| start + len > at) {
            self.complain("over a mapping", message);
        }
        if mapped.len() >= MOST {
            self.complain("one too many", message);
        }
    }
}

impl VhostUserFrontendReqHandler for Vmm {
    fn shmem_map(&self, message: &VhostUserMMap, _file: &dyn AsRawFd) -> HandlerResult<u64> {
        self.check(message);
        if !self.obeys() {
            return Ok(1);
        }
        self.mapped.lock().insert(message.shm_offset, message.len);
        Ok(0)
    }

    fn shmem_unmap(&self, message: &VhostUserMMap) -> HandlerResult<u64> {
        if !self.obeys() {
            return Ok(1);
        }
        let (at, len) = (message.shm_offset, message.len);
        let found = self.mapped.lock().remove(&at);
        // What is known after a reset is the daemon's to find out.
        Ok(u64::from(found != Some(len)))
    }

    fn shared_object_remove(&self, _: &VhostUserSharedMsg) -> HandlerResult<u64> {
        self.obeys();
        Ok(1)
    }
}

/// The VMM, and its end of the channel on which it is asked.
pub(super) fn start() -> io::Result<(Arc<Vmm>, FrontendReqHandler<Vmm>)> {
    let vmm = Arc::new(Vmm::new());
    let mut channel = FrontendReqHandler::new(Arc::clone(&vmm)).map_err(io::Error::other)?;
    channel.set_reply_ack_flag(true);
    // SAFETY: the handler owns the descriptor and outlives the borrow.
    let own = unsafe { BorrowedFd::borrow_raw(channel.as_raw_fd()) };
    // Only the first counts.
    let _ = vmm.channel.set(own.try_clone_to_owned()?);
    Ok((vmm, channel))
}

/// Until there is something to read, or that will never be so.
fn wait_for(channel: &OwnedFd, how_long: Option<&Timespec>) -> PollFlags {
    let mut fds = [PollFd::new(channel, PollFlags::IN)];
    match retry_on_intr(|| poll(&mut fds, how_long)) {
        Ok(_) => fds[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}
