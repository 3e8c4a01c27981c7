//! What the standard library and rustix lack: open-file-description locks, futexes on shared words, and surviving a
//! mapped file that lost its pages.

#![allow(unsafe_code)]

mod fanotify;
mod futex;
mod locks;
pub mod sigbus;

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;

pub(crate) use fanotify::{fanotify_init, file_handle, fsid, mark_file_system};
pub(crate) use futex::{futex_wait, futex_wake};
pub(crate) use locks::{LockKind, is_locked, try_lock, unlock};

/// Set: every thread's working directory is `/proc/self/fd`.
static IN_PROC_SELF_FD: OnceLock<()> = OnceLock::new();

/// Says that from now on every thread's working directory is `/proc/self/fd`, and that there may be no `/proc`.
pub fn working_directory_is_proc_self_fd() {
    IN_PROC_SELF_FD.get_or_init(|| ());
}

/// A path that means the file behind `file`, for system calls that take nothing else. It needs `/proc`, or the working
/// directory.
pub(crate) fn fd_path(file: BorrowedFd<'_>) -> String {
    let directory = if IN_PROC_SELF_FD.get().is_some() { "" } else { "/proc/self/fd/" };
    format!("{directory}{}", file.as_raw_fd())
}
