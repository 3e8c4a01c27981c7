//! System calls of daemons, counted by a tracepoint of the kernel. Counting costs time, so it is done in a pass of its own.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use perf_event::events::Tracepoint;
use perf_event::{Builder, Counter};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::process;

/// Counts until it is asked.
pub(crate) struct Syscalls(Vec<Counter>);

impl Syscalls {
    /// Counts the system calls of all threads that these processes and their children have now.
    ///
    /// # Errors
    /// The kernel does not let them be counted: that takes privileges, and a kernel with tracepoints.
    pub(crate) fn begin(pids: &[u32]) -> Result<Self> {
        let id = tracepoint()?;
        let mut counters = Vec::new();
        for &pid in pids {
            for thread in process::threads(pid)? {
                counters.push(counter(id, thread)?);
            }
        }
        counters.iter_mut().try_for_each(Counter::enable)?;
        Ok(Self(counters))
    }

    /// How many there were.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(crate) fn end(mut self) -> Result<u64> {
        self.0.iter_mut().map(|counter| Ok(counter.read()?)).sum()
    }
}

fn counter(id: u64, thread: u32) -> Result<Counter> {
    // The tracepoint is hit in the kernel.
    Builder::new(Tracepoint::with_id(id))
        .observe_pid(thread as i32)
        .any_cpu()
        .include_kernel()
        .build()
        .context("perf_event_open(2)")
}

/// The number of the tracepoint that every system call hits.
fn tracepoint() -> Result<u64> {
    const ID: &str = "events/raw_syscalls/sys_enter/id";
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let usual = format!("/sys/kernel/tracing/{ID}");
    let file = match openat(CWD, usual, flags, Mode::empty()) {
        Ok(file) => file,
        Err(_) => openat(own_tracefs().context("tracefs")?, ID, flags, Mode::empty())
            .context("a kernel without the tracepoint raw_syscalls:sys_enter")?,
    };
    let mut id = String::new();
    File::from(file).read_to_string(&mut id)?;
    Ok(id.trim().parse()?)
}

/// tracefs for nobody but this process. Systems that nobody traces on have none mounted.
fn own_tracefs() -> Result<OwnedFd> {
    let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let (flags, attributes) = (FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty());
    Ok(fsmount(context.as_fd(), flags, attributes)?)
}
