//! Child processes that never outlive us.
//!
//! Each leads a process group of its own, so that a Ctrl-C on the terminal does not reach it
//! behind our back, and the whole group is killed when the value is dropped, when we get a signal
//! ([`cleanup`](super::cleanup)), and by the kernel when the thread that started it ends.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, set_parent_process_death_signal,
};

use super::cleanup;

/// A child process and its group.
pub struct Process {
    name: String,
    child: Child,
    pid: Pid,
    ended: OwnedFd,
    status: Option<ExitStatus>,
}

impl Process {
    /// Start `command`. The calling thread must live as long as the process is wanted.
    ///
    /// # Errors
    /// The program is missing or cannot be started.
    pub fn spawn(name: impl Into<String>, command: &mut Command) -> Result<Self> {
        let name = name.into();
        command.process_group(0);
        // SAFETY: prctl is async-signal-safe and touches no memory, which is all that may happen
        // between fork and exec.
        unsafe {
            command.pre_exec(|| {
                set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)
            });
        }
        let child = cleanup::spawn(command).with_context(|| {
            format!("cannot start {name} ({})", command.get_program().display())
        })?;
        let pid = Pid::from_child(&child);
        let ended =
            pidfd_open(pid, PidfdFlags::empty()).with_context(|| format!("cannot watch {name}"))?;
        Ok(Self { name, child, pid, ended, status: None })
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id, which is also the group's.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The pipe from its standard error, if it was asked for and not taken before.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// The system cannot tell.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status)
    }

    /// Wait for its end, but no longer than until `deadline`: then `None`.
    ///
    /// # Errors
    /// The system cannot tell.
    pub fn wait_until(&mut self, deadline: Instant) -> Result<Option<ExitStatus>> {
        while self.status()?.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let timeout = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut [PollFd::new(&self.ended, PollFlags::IN)], Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.status)
    }

    /// Send a signal to the group.
    ///
    /// # Errors
    /// It has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(self.pid, signal)
            .with_context(|| format!("cannot send {signal:?} to {}", self.name))
    }

    /// Kill the group with SIGKILL, and wait for the child's end.
    pub fn kill(&mut self) {
        // The group may hold others still when the child itself has gone, so always try.
        let _ = kill_process_group(self.pid, Signal::KILL);
        if self.status.is_none() {
            self.status = self.child.wait().ok();
        }
    }

    /// Ask politely (SIGTERM), and kill what is left after `grace`.
    ///
    /// # Errors
    /// The system cannot tell how it ended.
    pub fn terminate(&mut self, grace: Duration) -> Result<Option<ExitStatus>> {
        let _ = self.signal(Signal::TERM);
        let status = self.wait_until(Instant::now() + grace)?;
        self.kill();
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        cleanup::forget_group(self.pid);
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid())
    }
}
