//! System calls that no library wraps as they are needed here.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::unistd::ForkResult;

/// `fork(2)`, for a process with one thread.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`.
pub(super) fn fork() -> io::Result<ForkResult> {
    // SAFETY: there is one thread only (see `super::split`), so no lock is held by another that the child lacks.
    Ok(unsafe { nix::unistd::fork() }?)
}

/// Sets attributes of a mount and of all below it (`mount_setattr(2)`, Linux 5.12).
///
/// # Errors
/// Those of the call; `EPERM` for attributes that a user namespace must not unset.
pub(super) fn set_mount_attributes(tree: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let wanted =
        libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: an open descriptor, an empty name that ends with NUL, and a structure of the length that is told, which
    // the kernel only reads.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const wanted,
            size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
