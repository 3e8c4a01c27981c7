//! Where front ends come in.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::Front;
use crate::error::StartError;
use crate::sandbox::{Asked, Link, Outside};
use crate::socket::{BoundSocket, PidFile, SocketError};
use crate::transport;

use super::system;

/// Where front ends shall come in.
pub(super) enum Entrance<'a> {
    Inherited(UnixListener),
    Path { path: &'a Path, group: Option<&'a str> },
}

/// An entrance that no other daemon has.
pub(super) struct Claim<'a> {
    entrance: Entrance<'a>,
    pid_file: Option<PidFile>,
}

/// What is listened on.
pub(super) struct Listeners {
    pub(super) vmm: UnixListener,
    pub(super) stats: Option<UnixListener>,
}

/// Where front ends come in, and what goes away with it.
pub(super) struct Door {
    pub(super) listeners: Listeners,
    /// Not in a sandbox: there they are the supervisor's.
    pub(super) _guards: Option<Guards>,
}

/// What the file system is rid of at the end. In this order: sockets go while their lock is still held.
pub(super) struct Guards {
    _sockets: Vec<BoundSocket>,
    _pid_file: Option<PidFile>,
}

impl<'a> Entrance<'a> {
    pub(super) fn new(front: &'a Front) -> Result<Self, StartError> {
        match front {
            Front::Path { path, group } => Ok(Self::Path { path, group: group.as_deref() }),
            Front::Descriptor(fd) => transport::inherited_listener(*fd)
                .map(Self::Inherited)
                .map_err(|reason| StartError::Descriptor { fd: *fd, reason }),
        }
    }

    /// The descriptor that the daemon was started with.
    pub(super) fn inherited(&self) -> Option<RawFd> {
        match self {
            Self::Inherited(listener) => Some(listener.as_raw_fd()),
            Self::Path { .. } => None,
        }
    }

    pub(super) fn claim(self) -> Result<Claim<'a>, StartError> {
        let pid_file = match self {
            Self::Inherited(_) => None,
            Self::Path { path, .. } => Some(PidFile::lock(path).map_err(at(path))?),
        };
        Ok(Claim { entrance: self, pid_file })
    }
}

impl<'a> Claim<'a> {
    fn open(self, stats: Option<&Path>) -> Result<(Listeners, Guards), StartError> {
        let mut sockets = Vec::new();
        let vmm = match self.entrance {
            Entrance::Inherited(listener) => listener,
            Entrance::Path { path, group } => {
                let (socket, listener) = BoundSocket::bind(path, group).map_err(at(path))?;
                sockets.push(socket);
                listener
            }
        };
        let stats = match stats {
            Some(path) => {
                let failed = |error| StartError::StatsSocket { path: path.to_owned(), error };
                let (socket, listener) = BoundSocket::bind(path, None).map_err(failed)?;
                sockets.push(socket);
                Some(listener)
            }
            None => None,
        };
        let guards = Guards { _sockets: sockets, _pid_file: self.pid_file };
        Ok((Listeners { vmm, stats }, guards))
    }

    /// For the process that makes the sockets for another one.
    pub(super) fn keep(self, stats: Option<&Path>) -> Kept<'a> {
        Kept { claim: Some(self), stats: stats.map(Path::to_owned), guards: None }
    }

    /// For the other one: leaves the pid file alone.
    pub(super) fn leave(self) -> Option<UnixListener> {
        if let Some(pid_file) = self.pid_file {
            pid_file.leave();
        }
        match self.entrance {
            Entrance::Inherited(listener) => Some(listener),
            Entrance::Path { .. } => None,
        }
    }
}

/// What the supervisor makes when it is asked, and removes at the end.
pub(super) struct Kept<'a> {
    claim: Option<Claim<'a>>,
    stats: Option<PathBuf>,
    guards: Option<Guards>,
}

impl Outside for Kept<'_> {
    fn sockets(&mut self) -> Result<Vec<OwnedFd>, StartError> {
        let Some(claim) = self.claim.take() else { return Ok(Vec::new()) };
        let inherited = matches!(claim.entrance, Entrance::Inherited(_));
        let (listeners, guards) = claim.open(self.stats.as_deref())?;
        self.guards = Some(guards);
        // The other process has an inherited one already.
        let vmm = Some(listeners.vmm).filter(|_| !inherited);
        Ok(vmm.into_iter().chain(listeners.stats).map(OwnedFd::from).collect())
    }
}

/// Whom to ask for sockets.
pub(super) enum Asking<'a> {
    Oneself(Claim<'a>),
    /// With the inherited one.
    Outside(Arc<Link>, Option<UnixListener>),
}

impl Asking<'_> {
    pub(super) fn open(self, stats: Option<&Path>) -> Result<Door, StartError> {
        match self {
            Self::Oneself(claim) => {
                let (listeners, guards) = claim.open(stats)?;
                Ok(Door { listeners, _guards: Some(guards) })
            }
            Self::Outside(link, inherited) => {
                let none: [BorrowedFd<'_>; 0] = [];
                let sockets = link.ask(Asked::Sockets, &none).map_err(system("sockets"))?;
                let mut sockets = sockets.into_iter().map(UnixListener::from);
                let missing = || system("sockets")(std::io::ErrorKind::InvalidData.into());
                let vmm = inherited.or_else(|| sockets.next()).ok_or_else(missing)?;
                Ok(Door { listeners: Listeners { vmm, stats: sockets.next() }, _guards: None })
            }
        }
    }
}

fn at(path: &Path) -> impl FnOnce(SocketError) -> StartError {
    let path = path.to_owned();
    move |error| StartError::Socket { path, error }
}
