//! The descriptors that the program was started with.
//!
//! The serving process must not have them: one that leads to a directory would be a way out. The supervisor must keep
//! them: whoever has started it may take a record lock on one of them for its sign of life, and closing any descriptor of
//! a file ends the locks that the process has on it. (libvirt's pid file is like that: without the lock libvirt takes the
//! daemon for dead, and never ends it.)

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use rustix::fs::{Dir, Mode, OFlags};

/// All but the standard ones, and the socket that is served.
#[derive(Debug)]
pub struct Inherited(Vec<RawFd>);

impl Inherited {
    /// To be called before the program has opened anything.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn find(served: Option<RawFd>) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open("/proc/self/fd", flags, Mode::empty())?;
        let own = directory.as_raw_fd();
        let mut found = Vec::new();
        for entry in Dir::new(directory)? {
            let entry = entry?;
            let number = entry.file_name().to_str().ok().and_then(|name| name.parse().ok());
            found.extend(number.filter(|&fd| fd > 2 && fd != own && Some(fd) != served));
        }
        Ok(Self(found))
    }

    /// For the serving process.
    pub(super) fn close(self) {
        for fd in self.0 {
            // What cannot be closed is not open.
            let _ = nix::unistd::close(fd);
        }
    }
}
