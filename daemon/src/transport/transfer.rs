//! A guest's state on its way between two daemons (vhost-user `SET_DEVICE_STATE_FD` and `CHECK_DEVICE_STATE`).
//!
//! The front end gives one end of a pipe, and a thread writes to it or reads from it while the front end carries the bytes
//! to the other machine. The front end asks how it went when all has passed the pipe: so then, and when the front end goes,
//! nothing more is waited for.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::retry_on_intr;
use tracing::error;
use vhost::vhost_user::message::VhostTransferStateDirection as Direction;

use super::RequestHandler;

/// Bytes that are read at once.
const PORTION: usize = 1 << 16;

/// A state that is being written or read.
#[derive(Debug)]
pub(super) struct Transfer {
    /// Raised when nothing more is to be waited for.
    no_more: OwnedFd,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Transfer {
    /// Begins to write the guest's state to `pipe`, or to read it from there, at most `limit` bytes, and go on with that
    /// guest.
    ///
    /// # Errors
    /// No descriptor or no thread to be had.
    pub(super) fn start(
        direction: Direction,
        (pipe, limit): (File, u64),
        handler: Arc<dyn RequestHandler>,
    ) -> io::Result<Self> {
        fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
        let no_more = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let pipe = Pipe { pipe, no_more: no_more.try_clone()? };
        let act = move || {
            handler.prepare_thread()?;
            match direction {
                Direction::SAVE => pipe.write(&handler.save()?),
                Direction::LOAD => handler.load(&pipe.read(limit)?),
            }
        };
        let act = move || act().inspect_err(|error| error!("migration: {error}"));
        let thread = thread::Builder::new().name("migration".to_owned()).spawn(act)?;
        Ok(Self { no_more, thread: Some(thread) })
    }

    /// How it went: all is in the pipe, or has been taken out of it.
    ///
    /// # Errors
    /// What went wrong. The log says it, too.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // Fails only when the counter is full, which wakes the thread just as well.
        let _ = rustix::io::write(&self.no_more, &1u64.to_ne_bytes());
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread has panicked")))
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        // The thread has said it.
        let _ = self.end();
    }
}

/// A pipe that is waited for until nobody wants that any more.
struct Pipe {
    pipe: File,
    no_more: OwnedFd,
}

impl Pipe {
    fn write(mut self, mut state: &[u8]) -> io::Result<()> {
        while !state.is_empty() {
            match self.pipe.write(state) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => state = &state[count..],
                Err(error) => self.again(error, PollFlags::OUT)?,
            }
        }
        Ok(())
    }

    /// Reads to the end, at most `limit` bytes.
    fn read(mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut state = Vec::new();
        let mut portion = vec![0; PORTION];
        loop {
            match self.pipe.read(&mut portion) {
                Ok(0) => return Ok(state),
                Ok(count) if (state.len() + count) as u64 > limit => {
                    return Err(io::Error::other(format!("a state of more than {limit} bytes")));
                }
                Ok(count) => state.extend_from_slice(&portion[..count]),
                Err(error) => self.again(error, PollFlags::IN)?,
            }
        }
    }

    /// Waits until it is worth a new try after `error`.
    fn again(&self, error: io::Error, ready: PollFlags) -> io::Result<()> {
        match error.kind() {
            io::ErrorKind::Interrupted => return Ok(()),
            io::ErrorKind::WouldBlock => {}
            _ => return Err(error),
        }
        let mut fds = [
            PollFd::new(&self.pipe, ready),
            PollFd::from_borrowed_fd(self.no_more.as_fd(), PollFlags::IN),
        ];
        retry_on_intr(|| poll(&mut fds, None))?;
        if fds[0].revents().is_empty() {
            return Err(io::Error::other("the VMM has given the state's transfer up"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
