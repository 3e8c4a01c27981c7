//! Whose front end it is.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use rustix::fs::{CWD, Dir, Mode, OFlags, openat};
use rustix::net::{getpeername, getsockname};
use rustix::process::Pid;

/// The process at the other end of the one connection that came in through `listener`.
///
/// `vhost` accepts the connection and keeps it to itself, so it is looked for among the open descriptors: it has the
/// listener's name, and a peer. None where that cannot be told for sure.
pub(super) fn of_connection(listener: BorrowedFd<'_>) -> Option<Pid> {
    let name = getsockname(listener).ok()?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, "/proc/self/fd", flags, Mode::empty()).ok()?;
    let entries = Dir::new(directory).ok()?;
    let numbers = entries.filter_map(|entry| number(entry.ok()?.file_name()));
    let mut peers = numbers.filter_map(|number| {
        // SAFETY: should another thread close the descriptor meanwhile, the calls below say that it is not open, or tell
        // of another socket, which has another name.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        let same = getsockname(fd).is_ok_and(|other| other == name) && getpeername(fd).is_ok();
        if same { Some(process(fd)) } else { None }
    });
    let peer = peers.next()?;
    if peers.next().is_none() { peer } else { None }
}

/// Whose socket it is. None for a process that this one's pid namespace does not show.
fn process(socket: BorrowedFd<'_>) -> Option<Pid> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: both places live through the call, and `len` is the first one's size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut len,
        )
    };
    if result == 0 { Pid::from_raw(credentials.pid) } else { None }
}

fn number(name: &CStr) -> Option<RawFd> {
    name.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn the_peer_is_found_among_all_descriptors() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        assert_eq!(of_connection(listener.as_fd()), None);
        let _theirs = UnixStream::connect(directory.path().join("socket")).unwrap();
        let _ours = listener.accept().unwrap();
        assert_eq!(of_connection(listener.as_fd()), Some(rustix::process::getpid()));
        let _second = UnixStream::connect(directory.path().join("socket")).unwrap();
        let _ours_too = listener.accept().unwrap();
        assert_eq!(of_connection(listener.as_fd()), None, "which of them?");
    }
}
