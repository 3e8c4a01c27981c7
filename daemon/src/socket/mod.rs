//! Sockets in the file system: made with the right permissions, never taken from a live daemon, gone when we are.

mod pid_file;

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Group;
use rustix::fs::{Gid, Mode, chmod, chown, fchmod};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use thiserror::Error;

pub use pid_file::PidFile;

/// Connections that may wait while one is served.
const BACKLOG: i32 = 16;

/// How long a socket may outlive the lock on its pid file: a serving process ends a moment after its supervisor was killed.
const PATIENCE: Duration = Duration::from_millis(500);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Why a socket could not be made. The text names the remedy; the caller names the option and the path.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Somebody listens there.
    #[error("in use by {0}; stop it or choose another path")]
    InUse(String),
    /// Something else lies there.
    #[error("exists and is no socket; remove it or choose another path")]
    NoSocket,
    /// The path has no name in it, or is too long for a socket's address (107 bytes).
    #[error("no usable socket path; choose a shorter one that ends in a name")]
    BadPath,
    /// The directory is not there.
    #[error("its directory does not exist; create it or choose another path")]
    NoDirectory,
    /// The directory must not be written.
    #[error(
        "permission denied; run as a user who may write to its directory, or choose another path"
    )]
    Permission,
    /// There is no such group.
    #[error("group {0} does not exist; create it or name another --socket-group")]
    NoGroup(String),
    /// The daemon's user may not give files to that group.
    #[error("cannot be given to group {0}: {1}; run as a member of that group or as root")]
    Group(String, io::Error),
    /// Anything else.
    #[error("{0}; choose another path")]
    Other(io::Error),
}

impl From<Errno> for SocketError {
    fn from(errno: Errno) -> Self {
        Self::from(io::Error::from(errno))
    }
}

impl From<io::Error> for SocketError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NoDirectory,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Permission,
            io::ErrorKind::AddrInUse => Self::InUse("another process".to_owned()),
            _ => Self::Other(error),
        }
    }
}

/// Something that listens at a path, and removes the path when dropped, if it is still its own.
#[derive(Debug)]
pub struct BoundSocket {
    path: PathBuf,
    identity: (u64, u64),
}

impl BoundSocket {
    /// Listens at `path`, which a dead daemon may have left behind. Only the daemon's own user may connect, and `group`
    /// where given.
    ///
    /// # Errors
    /// [`SocketError`]; nothing is left behind then.
    pub fn bind(path: &Path, group: Option<&str>) -> Result<(Self, UnixListener), SocketError> {
        let path = std::path::absolute(path).map_err(|_| SocketError::BadPath)?;
        let address = SocketAddrUnix::new(&path).map_err(|_| SocketError::BadPath)?;
        let group = group.map(find_group).transpose()?;
        make_way(&path, &address)?;

        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // The path gets the socket's mode when it appears: it is never open to more than it should be.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        rustix::net::bind(&socket, &address)?;
        let bound = Self { identity: identity(&path)?, path };
        if let Some(group) = group {
            bound.give_to(&group)?;
        }
        rustix::net::listen(&socket, BACKLOG)?;
        Ok((bound, UnixListener::from(socket)))
    }

    fn give_to(&self, group: &Group) -> Result<(), SocketError> {
        let gid = Gid::from_raw(group.gid.as_raw());
        chown(&self.path, None, Some(gid))
            .map_err(|error| SocketError::Group(group.name.clone(), error.into()))?;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP;
        Ok(chmod(&self.path, mode)?)
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // Should that fail, the next daemon finds a socket without a listener and replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The id of a group, if there is such a group.
#[must_use]
pub fn group_id(name: &str) -> Option<u32> {
    find_group(name).ok().map(|group| group.gid.as_raw())
}

fn find_group(name: &str) -> Result<Group, SocketError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group),
        Ok(None) => Err(SocketError::NoGroup(name.to_owned())),
        Err(errno) => Err(SocketError::Other(errno.into())),
    }
}

/// Removes a socket that nobody listens on any more.
fn make_way(path: &Path, address: &SocketAddrUnix) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return check_directory(path),
        Err(error) => return Err(error.into()),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(SocketError::NoSocket),
        Ok(_) => {}
    }
    let deadline = Instant::now() + PATIENCE;
    while is_alive(address)? {
        if Instant::now() >= deadline {
            return Err(SocketError::InUse("another process".to_owned()));
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(fs::remove_file(path)?)
}

/// `bind` answers the same for a missing directory as for others; say which it is before anything is made.
fn check_directory(path: &Path) -> Result<(), SocketError> {
    match path.parent().map(fs::metadata) {
        Some(Ok(metadata)) if metadata.is_dir() => Ok(()),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(_)) | None => Err(SocketError::NoDirectory),
    }
}

/// Whether a process holds the socket at `address`.
///
/// Connecting would disturb it: virtiofsd serves one connection and exits. A datagram socket cannot connect to a stream
/// socket, and the kernel tells a live one (`EPROTOTYPE`) from a dead one (`ECONNREFUSED`) all the same.
fn is_alive(address: &SocketAddrUnix) -> Result<bool, SocketError> {
    let probe = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    match rustix::net::connect(&probe, address) {
        Ok(()) | Err(Errno::PROTOTYPE) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests;
