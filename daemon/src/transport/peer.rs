//! Whose front end it is.

use std::ffi::CStr;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::sockopt::socket_cookie;
use rustix::net::{getpeername, getsockname};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tracing::debug;

use crate::dax::Footprint;
use crate::mappings::Mappings;

/// A front end's process.
#[derive(Debug)]
pub struct Peer {
    /// Its pid, where whoever asked can say.
    pub pid: i32,
    /// The clock tick since boot at which it began, where another than this process has looked.
    pub started: Option<u64>,
    /// Readable when it has ended.
    pub ended: Option<OwnedFd>,
    /// What it has mapped, where anybody may look.
    pub footprint: Option<Arc<dyn Footprint>>,
}

/// Finds out whose socket it is.
pub trait Identify: fmt::Debug + Send + Sync {
    /// The process at the socket's other end. None where that cannot be told.
    fn peer(&self, socket: BorrowedFd<'_>) -> Option<Peer>;
}

/// As this process sees it.
#[derive(Debug)]
pub struct Plainly;

impl Identify for Plainly {
    fn peer(&self, socket: BorrowedFd<'_>) -> Option<Peer> {
        let pid = process(socket)?;
        let ended = pidfd_open(pid, PidfdFlags::empty()).ok();
        let pid = pid.as_raw_nonzero().get();
        let maps = Mappings::of(pid).inspect_err(|error| {
            debug!("the mappings of the front end with pid {pid} cannot be read: {error}");
        });
        let footprint = maps.ok().map(|maps| Arc::new(maps) as Arc<dyn Footprint>);
        Some(Peer { pid, started: None, ended, footprint })
    }
}

impl Footprint for Mappings {
    fn reaches(&self, file: BorrowedFd<'_>, from: u64) -> io::Result<bool> {
        self.reach(file, from)
    }
}

/// The one connection that came in through `listener`.
///
/// `vhost` accepts the connection and keeps it to itself, so it is looked for among the open descriptors (several of them
/// may be it): it has the listener's name, and a peer. None where that cannot be told for sure.
pub(super) fn connection(listener: BorrowedFd<'_>) -> Option<OwnedFd> {
    let name = getsockname(listener).ok()?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // In a sandbox there is no /proc; the working directory is what it would lead to.
    let directory = openat(CWD, "/proc/self/fd", flags, Mode::empty());
    let directory = directory.or_else(|_| openat(CWD, ".", flags, Mode::empty())).ok()?;
    let entries = Dir::new(directory).ok()?;
    let numbers = entries.filter_map(|entry| number(entry.ok()?.file_name()));
    let connections = numbers.filter_map(|number| {
        // SAFETY: should another thread close the descriptor meanwhile, the calls below say that it is not open, or tell
        // of another socket, which has another name.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        let same = getsockname(fd).is_ok_and(|other| other == name) && getpeername(fd).is_ok();
        if same { fcntl_dupfd_cloexec(fd, 0).ok() } else { None }
    });
    let connections: Vec<OwnedFd> = connections.collect();
    let cookie = |connection: &OwnedFd| socket_cookie(connection).ok();
    let first = cookie(connections.first()?)?;
    let one = connections.iter().all(|connection| cookie(connection) == Some(first));
    connections.into_iter().next().filter(|_| one)
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
        let pid = || Some(Plainly.peer(connection(listener.as_fd())?.as_fd())?.pid);
        assert_eq!(pid(), None);
        let _theirs = UnixStream::connect(directory.path().join("socket")).unwrap();
        let (ours, _) = listener.accept().unwrap();
        let _the_same = ours.try_clone().unwrap();
        assert_eq!(pid(), Some(std::process::id() as i32));
        let _second = UnixStream::connect(directory.path().join("socket")).unwrap();
        let _ours_too = listener.accept().unwrap();
        assert_eq!(pid(), None, "which of them?");
    }
}
