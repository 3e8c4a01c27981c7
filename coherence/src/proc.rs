//! Which process is which: a pid means something only with the moment it began.

use std::fmt::Debug;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, OnceLock};

use rustix::fs::{Mode, OFlags};

/// A process, told apart from others that had its pid before or will have it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessId {
    /// Its pid, in this process's pid namespace.
    pub(crate) pid: i32,
    /// When it began, in clock ticks since boot.
    pub(crate) started: u64,
}

/// A process as others on this host can name it, for a daemon that is about to go where it has another pid, or none that
/// means anything to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostProcess {
    pub(crate) process: ProcessId,
    pub(crate) pid_namespace: u64,
}

impl HostProcess {
    /// The calling process. Ask before pid namespaces are left.
    #[must_use]
    pub fn own() -> Self {
        let (proc, pid) = (Proc::open(), std::process::id() as i32);
        let process = proc.find(pid).unwrap_or(ProcessId { pid, started: 0 });
        Self { process, pid_namespace: proc.pid_namespace }
    }
}

/// `/proc`, opened once: a sandbox may hide it later.
#[derive(Debug)]
pub(crate) struct Proc {
    directory: Option<File>,
    /// Who is asked instead.
    outside: OnceLock<Arc<dyn Outlook>>,
    /// Inode number of this process's pid namespace, or 0.
    pub(crate) pid_namespace: u64,
}

impl Proc {
    /// For a process that must not see others: of none is it ever certain that it has ended.
    /// Unless somebody outside looks for it: [`Self::ask`]. The namespace is that of the pids that others write down.
    pub(crate) const fn blind(pid_namespace: u64) -> Self {
        Self { directory: None, outside: OnceLock::new(), pid_namespace }
    }

    /// From now on `outside` is asked whether a process has ended.
    pub(crate) fn ask(&self, outside: Arc<dyn Outlook>) {
        // Only the first counts.
        let _ = self.outside.set(outside);
    }

    pub(crate) fn open() -> Self {
        let pid_namespace = std::fs::metadata("/proc/self/ns/pid").map_or(0, |m| m.ino());
        Self { directory: File::open("/proc").ok(), outside: OnceLock::new(), pid_namespace }
    }

    /// The process that has `pid` now.
    pub(crate) fn find(&self, pid: i32) -> Option<ProcessId> {
        let directory = self.directory.as_ref()?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(directory, format!("{pid}/stat"), flags, Mode::empty()).ok()?;
        let mut stat = String::new();
        File::from(fd).read_to_string(&mut stat).ok()?;
        Some(ProcessId { pid, started: started(&stat)? })
    }

    /// Whether the process is certainly gone.
    pub(crate) fn is_gone(&self, process: ProcessId) -> bool {
        if let Some(outside) = self.outside.get() {
            return outside.has_ended(process.pid, process.started);
        }
        // Without /proc nothing is certain.
        self.directory.is_some() && self.find(process.pid) != Some(process)
    }
}

/// Looks for processes on behalf of a daemon in a sandbox.
pub trait Outlook: Debug + Send + Sync {
    /// Whether the process that has `pid` outside, and began at this clock tick since boot, has certainly ended.
    fn has_ended(&self, pid: i32, started: u64) -> bool;
}

/// The clock tick since boot at which the process began that has `pid` now.
#[must_use]
pub fn started_at(pid: i32) -> Option<u64> {
    Some(Proc::open().find(pid)?.started)
}

/// Field 22 of `/proc/PID/stat`. The second field, the command in parentheses, may hold anything.
fn started(stat: &str) -> Option<u64> {
    const FIELDS_AFTER_COMMAND: usize = 20;
    let (_, after_command) = stat.rsplit_once(')')?;
    after_command.split_whitespace().nth(FIELDS_AFTER_COMMAND - 1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_and_its_predecessor_is_gone() {
        let proc = Proc::open();
        let me = proc.find(std::process::id() as i32).unwrap();
        assert!(me.started > 0 && !proc.is_gone(me));
        assert!(proc.is_gone(ProcessId { started: me.started - 1, ..me }));
        assert!(proc.is_gone(ProcessId { pid: i32::MAX, started: 1 }));
        assert_ne!(proc.pid_namespace, 0);
    }

    #[test]
    fn a_command_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21";
        assert_eq!(started(stat), Some(4242));
        assert_eq!(started("7 (a"), None);
    }
}
