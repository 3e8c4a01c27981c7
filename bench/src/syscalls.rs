//! System calls of daemons, counted by a tracepoint of the kernel. Counting costs time, so it is done in a pass of its own.

use std::fs;
use std::io;

use anyhow::{Context, Result};
use perf_event::events::Tracepoint;
use perf_event::{Builder, Counter};

use crate::process;

/// Counts until it is asked.
pub(crate) struct Syscalls(Vec<Counter>);

impl Syscalls {
    /// Counts the system calls of all threads that these processes and their children have now.
    ///
    /// # Errors
    /// The kernel does not let them be counted: that takes privileges, and tracefs in its usual place.
    pub(crate) fn begin(pids: &[u32]) -> Result<Self> {
        let mut counters = Vec::new();
        for &pid in pids {
            for thread in process::threads(pid)? {
                counters.push(counter(thread).context("system calls cannot be counted")?);
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

fn counter(thread: u32) -> io::Result<Counter> {
    let places = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let id = places
        .iter()
        .find_map(|place| {
            let id =
                fs::read_to_string(format!("{place}/events/raw_syscalls/sys_enter/id")).ok()?;
            id.trim().parse().ok()
        })
        .ok_or(io::ErrorKind::NotFound)?;
    // The tracepoint is hit in the kernel.
    Builder::new(Tracepoint::with_id(id))
        .observe_pid(thread as i32)
        .any_cpu()
        .include_kernel()
        .build()
}
