//! What the standard library and rustix lack: open-file-description locks, futexes on shared words, and surviving a
//! mapped file that lost its pages.

#![allow(unsafe_code)]

mod fanotify;
mod futex;
mod locks;
pub(crate) mod sigbus;

use std::os::fd::{AsRawFd, BorrowedFd};

pub(crate) use fanotify::{fanotify_init, file_handle, fsid, mark_file_system};
pub(crate) use futex::{futex_wait, futex_wake};
pub(crate) use locks::{LockKind, is_locked, try_lock, unlock};

/// A path that means the file behind `file`, for system calls that take nothing else. It needs `/proc`.
pub(crate) fn fd_path(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
