//! What a thread that serves requests has of its own: umask, working directory, identity and capabilities.
//!
//! In Linux all four belong to a thread, though POSIX and the C library would have them belong to the process: that is
//! what lets one thread create a file as a guest's user while its neighbour goes on as root. Only raw system calls
//! do that (rustix makes them); the C library's functions would change every thread.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};
use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::sys;

/// `/proc/self/fd`, where a descriptor opened with `O_PATH` can be used by name.
static PROC_SELF_FD: OnceLock<OwnedFd> = OnceLock::new();

thread_local! {
    static IDENTITY: Cell<Option<Identity>> = const { Cell::new(None) };
    static UMASK: Cell<Mode> = const { Cell::new(Mode::empty()) };
}

/// Who a serving thread is between requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) capabilities: CapabilitySets,
    /// It may choose its supplementary groups. A user namespace can forbid that, whatever the capabilities.
    pub(super) groups: bool,
}

impl Identity {
    /// Whether all of `capability` is in effect.
    pub(super) fn can(&self, capability: CapabilitySet) -> bool {
        self.capabilities.effective.contains(capability)
    }
}

/// Uses `/proc/self/fd` as opened before a sandbox hides it. To be called before anything else here.
pub fn use_proc_self_fd(fd: OwnedFd) {
    let _ = PROC_SELF_FD.set(fd);
}

/// `/proc/self/fd`.
///
/// # Errors
/// Where procfs is not mounted.
pub(super) fn proc_self_fd() -> io::Result<BorrowedFd<'static>> {
    if let Some(fd) = PROC_SELF_FD.get() {
        return Ok(fd.as_fd());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(c"/proc/self/fd", flags, Mode::empty())?;
    Ok(PROC_SELF_FD.get_or_init(|| fd).as_fd())
}

/// Makes the calling thread fit to serve requests. A worker calls this once at its start; a thread that did not is
/// prepared by its first request that needs it.
///
/// The thread gets its own umask ([`set_umask`]) and its own working directory (`/proc/self/fd`, by which extended attributes of
/// files that must not be opened are reached), and loses its supplementary groups.
///
/// # Errors
/// Where procfs is missing or the system refuses (`unshare(2)` can be denied by a seccomp filter).
pub fn prepare_thread() -> io::Result<()> {
    identity().map(drop)
}

/// Who the calling thread is; prepares it first where that has not been done.
pub(super) fn identity() -> io::Result<Identity> {
    if let Some(identity) = IDENTITY.get() {
        return Ok(identity);
    }
    let proc = proc_self_fd()?;
    // Threads share these two until told otherwise.
    sys::unshare_fs()?;
    rustix::process::umask(Mode::empty());
    rustix::process::fchdir(proc)?;
    // Groups that the daemon was started with are no business of the guest's. Refused without CAP_SETGID, when the
    // daemon cannot act for other users anyway.
    let groups = rustix::thread::set_thread_groups(&[]).is_ok();
    let identity = Identity {
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
        capabilities: rustix::thread::capabilities(None)?,
        groups,
    };
    IDENTITY.set(Some(identity));
    Ok(identity)
}

/// Gives the calling thread a umask, which it keeps: nothing but creations goes by it, and each of those says which one it
/// wants. Guests nearly always want the same, and then this is no system call.
///
/// # Errors
/// As for [`prepare_thread`].
pub(super) fn set_umask(mask: u32) -> io::Result<()> {
    identity()?;
    let mask = Mode::from_raw_mode(mask & 0o777);
    if UMASK.replace(mask) != mask {
        rustix::process::umask(mask);
    }
    Ok(())
}
