//! A listening socket that the parent process has opened (`--fd`).

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};

/// Takes over descriptor `fd`. To be called once, before the process opens anything that could end up there.
///
/// # Errors
/// What is wrong with the descriptor.
pub fn inherited_listener(fd: RawFd) -> Result<UnixListener, String> {
    if fd < 0 {
        return Err("no descriptor".to_owned());
    }
    // SAFETY: the borrow lives for the checks only. Whether `fd` is open is what they find out; a number that is not
    // makes the system calls fail with EBADF.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    let not_open = |_| "not open, or no socket".to_owned();
    if socket_domain(socket).map_err(not_open)? != AddressFamily::UNIX
        || socket_type(socket).map_err(not_open)? != SocketType::STREAM
    {
        return Err("not a Unix stream socket".to_owned());
    }
    if !socket_acceptconn(socket).map_err(not_open)? {
        return Err("not a listening socket".to_owned());
    }
    // The socket came over exec; nothing that this daemon starts shall have it.
    fcntl_setfd(socket, FdFlags::CLOEXEC).map_err(|error| error.to_string())?;
    // SAFETY: the descriptor is open, a socket, and the parent passed it for this use: nothing else here owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(UnixListener::from(socket))
}
