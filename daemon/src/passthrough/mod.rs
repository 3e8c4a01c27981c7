//! One host directory as a [`fuse::FileSystem`]: each request becomes the system call that it is named after.
//!
//! ```text
//! filesystem  the trait: refuses changes when read-only, else calls one of
//!               lookup  attr  create  names  open  data  listing  xattr  ioctl  mapping
//! inodes      node id ◀─▶ inode ◀─▶ what the host calls it (identity), lookup counts
//! handles     open files and directories
//! locks       record locks and flock, and those who wait for them
//! descriptors how many may be open; a cache of those for inodes that are remembered by file handle
//! observer    who vouches for replies, asked before the host is
//! migration   giving a guest away, and taking one over
//! mapped      who keeps pages mapped for the guest, told of files that grow
//! mounts      the file systems below the shared directory
//! credentials acting for a guest's user: guards around a single system call
//! thread      what a serving thread has of its own
//! ```
//!
//! **Nothing outside the shared directory is ever reachable.** A name is one component, and is opened below the
//! directory's own descriptor, never following a link; every other request names an inode that was found in this way.
//! "." and ".." never lead to something that the guest does not know already. Devices, FIFOs and sockets are never
//! opened, only looked at through `O_PATH` descriptors.
//!
//! The guest's kernel checks permissions (virtio-fs always mounts with `default_permissions`); the host only sees to it
//! that new files belong to the right user. What must not be done with the daemon's rights is done under a guard from
//! `credentials`, around one system call.

mod attr;
mod config;
mod create;
mod credentials;
mod data;
mod descriptors;
mod dir_stream;
mod error;
mod filesystem;
mod handles;
mod identity;
mod ids;
mod inode;
mod inodes;
pub(crate) mod ioctl;
mod listing;
mod locks;
mod lookup;
mod luck;
mod mapped;
mod mapping;
mod migration;
mod mounts;
mod names;
mod observer;
mod open;
mod session;
mod stat;
mod tags;
#[cfg(test)]
mod tests;
mod thread;
mod xattr;
mod xattrmap;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use fuse::{NodeId, errno};
use rustix::fs::{Mode, OFlags, ResolveFlags};

pub use config::{CachePolicy, Config, InodeFileHandles, Negotiation};
pub use error::StartError;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use ids::try_out_ids;
pub use ids::{IdRule, Shift};
pub use locks::{Elsewhere, Noted, Stretch, Waiting};
pub use mapped::{Cutting, Mapped, Neighbours};
pub use migration::{RestoreError, Restored, SaveError};
pub(crate) use mounts::reopen;
pub use observer::{Expected, HostInode, NAMES_AT_ONCE, NameRule, NameStamps, Observer, Pin, Tag};
pub use tags::Meaning;
pub use thread::{prepare_thread, use_proc_self_fd};
pub(crate) use xattr::is_permission_xattr;
pub use xattrmap::XattrMap;

use descriptors::{Descriptor, Descriptors};
use handles::Handles;
use ids::{IdMap, Ids};
use inode::{Inode, PathFd};
use inodes::Inodes;
use locks::Locks;
use lookup::Found;
use mounts::Mounts;
use session::Session;
use stat::FileType;

/// A host directory, served.
#[derive(Debug)]
pub struct Passthrough {
    config: Config,
    inodes: Inodes,
    handles: Handles,
    mounts: Mounts,
    descriptors: Descriptors,
    session: Session,
    locks: Arc<Locks>,
    ids: Ids,
    /// What the host calls programs' capabilities, where `--xattrmap` gives them another name.
    foreign_capability: Option<std::ffi::CString>,
    observer: Option<Arc<dyn Observer>>,
}

impl Passthrough {
    /// Opens the shared directory.
    ///
    /// # Errors
    /// [`StartError`] names what is wrong and what to do about it.
    pub fn new(config: Config) -> Result<Self, StartError> {
        Self::observed(config, None)
    }

    /// As [`Self::new`], with somebody who vouches for replies.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn observed(
        config: Config,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, StartError> {
        thread::proc_self_fd().map_err(StartError::Proc)?;
        let map = |rules, option| IdMap::new(rules).ok_or(StartError::Ids { option });
        let ids = Ids {
            users: map(&config.translate_uid, "--translate-uid")?,
            groups: map(&config.translate_gid, "--translate-gid")?,
        };
        let mounts = Mounts::new(config.inode_file_handles);
        let descriptors = Descriptors::new(config.max_descriptors);
        let root = open_root(&config, &mounts, &descriptors, observer.as_deref())?;
        Ok(Self {
            inodes: Inodes::new(Arc::new(root)),
            handles: Handles::new(),
            session: Session::default(),
            locks: Locks::new(config.elsewhere.clone()).map_err(StartError::Locks)?,
            ids,
            foreign_capability: config.xattrmap.foreign_capability(),
            observer,
            config,
            mounts,
            descriptors,
        })
    }

    /// How long a guest may trust names, unless told otherwise.
    #[must_use]
    pub fn entry_ttl(&self) -> std::time::Duration {
        self.config.entry_ttl()
    }

    /// # Errors
    /// `EBADF` for an id that the guest has never been told of, or has forgotten.
    fn inode(&self, node: NodeId) -> io::Result<Arc<Inode>> {
        self.inodes.get(node).ok_or_else(|| errno::error(errno::EBADF))
    }

    /// An `O_PATH` descriptor of the inode that the guest calls `node`.
    fn path_fd(&self, node: NodeId) -> io::Result<PathFd> {
        self.path_of(&self.inode(node)?)
    }

    /// An `O_PATH` descriptor of an inode that the guest knows.
    fn path_of(&self, inode: &Arc<Inode>) -> io::Result<PathFd> {
        self.descriptors.path_fd(inode).or_else(|error| self.unless_open(inode, error))
    }

    /// Opens an inode that the guest knows for reading or writing.
    fn open_inode(&self, inode: &Arc<Inode>, flags: OFlags) -> io::Result<OwnedFd> {
        inode.open(flags).or_else(|error| reopen(self.unless_open(inode, error)?, flags))
    }

    /// What the host has taken the last name of can only be reached where it is open. Linux asks for an open file's
    /// attributes by the inode, and tells the application when that is stale.
    fn unless_open(&self, inode: &Arc<Inode>, error: io::Error) -> io::Result<PathFd> {
        if error.raw_os_error() != Some(errno::ESTALE) {
            return Err(error);
        }
        let Some(file) = self.handles.any(inode.nodeid) else { return Err(error) };
        Ok(self.descriptors.cache(inode, reopen(&*file, OFlags::PATH)?))
    }
}

/// The root is in use as long as the daemon runs: it always has its descriptor.
fn open_root(
    config: &Config,
    mounts: &Mounts,
    descriptors: &Descriptors,
    observer: Option<&dyn Observer>,
) -> Result<Inode, StartError> {
    let path = || config.shared_dir.clone();
    let examine = |source| StartError::Examine { path: path(), source };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&config.shared_dir, flags, Mode::empty())
        .map_err(|error| StartError::Open { path: path(), source: error.into() })?;
    let stat = stat::stat(&fd).map_err(examine)?;
    if stat.file_type() != FileType::Directory {
        return Err(StartError::NotADirectory { path: path() });
    }
    mounts::mount_id(&stat).map_err(examine)?;
    open_beneath(&fd, c".", OFlags::PATH, 0)
        .map_err(|source| StartError::Open { path: path(), source })?;
    let handles = |source| StartError::FileHandles { path: path(), source };
    let mount = mounts.of(fd.as_fd(), &stat).map_err(handles)?;
    let identity = mount.identify(fd.as_fd(), &stat).map_err(examine)?;
    let kept = tags::met(observer, &Found::File(fd.as_fd()), &identity, &stat).map_err(examine)?;
    let descriptor = Descriptor::new(fd, descriptors.take().map_err(examine)?);
    let kind = (stat.file_type(), stat.device());
    Ok(Inode::new(NodeId::ROOT, identity, kind, (mount, kept), Some(descriptor)))
}

/// Opens `name`, one component, in `dir`. No link is followed and nothing above `dir` is reached, whatever `name` says.
fn open_beneath(
    dir: impl AsFd,
    name: &std::ffi::CStr,
    flags: OFlags,
    mode: u32,
) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(dir, name, flags, Mode::from_raw_mode(mode & 0o7777), resolve)?)
}
