//! What the guest has open.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use fuse::{Handle, NodeId, errno};
use parking_lot::{Mutex, RwLock};
use rustix::fs::OFlags;

use super::descriptors::{Descriptor, Permit};
use super::dir_stream::DirStream;
use super::inodes::Spread;
use super::mounts;

const SHARDS: usize = 16;

/// An open file or directory.
#[derive(Debug)]
pub(super) struct OpenFile {
    node: NodeId,
    access: Access,
    /// Closing it may tell of something: it was opened for writing.
    writes: bool,
    /// How far a directory has been read; none for files.
    listing: Option<Mutex<DirStream>>,
}

/// How an open file is reached.
#[derive(Debug)]
enum Access {
    Open(Descriptor),
    Later(Later),
}

/// A file that is only opened once it is used: a guest that has its pages opens it, maps or reads those, and closes it,
/// and then two system calls were for nothing.
#[derive(Debug)]
struct Later {
    /// `O_PATH`: the file stays what it is, and can be opened, whatever becomes of its names.
    path: Arc<Descriptor>,
    opened: OnceLock<OwnedFd>,
    /// For `opened`.
    _permit: Permit,
}

impl OpenFile {
    /// A file. `flags`: those that it is open with.
    pub(super) fn file(node: NodeId, descriptor: Descriptor, flags: OFlags) -> Self {
        let writes = flags & OFlags::RWMODE != OFlags::RDONLY;
        Self { node, access: Access::Open(descriptor), writes, listing: None }
    }

    pub(super) fn directory(node: NodeId, descriptor: Descriptor) -> Self {
        let listing = Some(Mutex::default());
        Self { node, access: Access::Open(descriptor), writes: false, listing }
    }

    /// A file that is to be read, if at all. `path` is an `O_PATH` descriptor of it, `permit` that for one more.
    pub(super) fn to_read(node: NodeId, path: Arc<Descriptor>, permit: Permit) -> Self {
        let later = Later { path, opened: OnceLock::new(), _permit: permit };
        Self { node, access: Access::Later(later), writes: false, listing: None }
    }

    /// Opens it, if that was put off.
    fn ready(&self) -> io::Result<()> {
        if let Access::Later(later) = &self.access
            && later.opened.get().is_none()
        {
            let file = mounts::reopen(&*later.path, OFlags::RDONLY)?;
            // Should another thread have been faster, its descriptor is as good.
            let _ = later.opened.set(file);
        }
        Ok(())
    }

    /// Whether nobody has used it yet.
    #[cfg(test)]
    pub(super) fn is_put_off(&self) -> bool {
        matches!(&self.access, Access::Later(later) if later.opened.get().is_none())
    }

    /// Whether it was opened for writing.
    pub(super) fn writes(&self) -> bool {
        self.writes
    }

    /// How far the directory has been read.
    ///
    /// # Errors
    /// `ENOTDIR` for files.
    pub(super) fn listing(&self) -> io::Result<&Mutex<DirStream>> {
        self.listing.as_ref().ok_or_else(|| errno::error(errno::ENOTDIR))
    }
}

/// By `O_PATH` where opening was put off, unless it comes from [`Handles::file`] or [`Handles::ready`].
impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.access {
            Access::Open(descriptor) => descriptor.as_fd(),
            Access::Later(Later { path, opened, .. }) => {
                opened.get().map_or_else(|| path.as_fd(), OwnedFd::as_fd)
            }
        }
    }
}

type Shard = HashMap<u64, Arc<OpenFile>, BuildHasherDefault<Spread>>;

/// All that the guest has open, by handle. Handles are never used again.
#[derive(Debug)]
pub(super) struct Handles {
    shards: [RwLock<Shard>; SHARDS],
    next: AtomicU64,
}

impl Handles {
    pub(super) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()), next: AtomicU64::new(1) }
    }

    /// Enters an open file.
    pub(super) fn insert(&self, file: OpenFile) -> Handle {
        // Relaxed: only uniqueness matters.
        let handle = Handle(self.next.fetch_add(1, Ordering::Relaxed));
        self.shard(handle).write().insert(handle.0, Arc::new(file));
        handle
    }

    /// The open file or directory of `node` with this handle, maybe by `O_PATH` only.
    ///
    /// # Errors
    /// `EBADF` where there is none.
    pub(super) fn get(&self, node: NodeId, handle: Handle) -> io::Result<Arc<OpenFile>> {
        self.shard(handle)
            .read()
            .get(&handle.0)
            .filter(|file| file.node == node)
            .cloned()
            .ok_or_else(|| errno::error(errno::EBADF))
    }

    /// Whatever `node` is open as. Looks at all that is open: not for every request.
    pub(super) fn any(&self, node: NodeId) -> Option<Arc<OpenFile>> {
        self.shards
            .iter()
            .find_map(|shard| shard.read().values().find(|file| file.node == node).cloned())
    }

    /// As [`Self::get`], open for what it was opened for.
    ///
    /// # Errors
    /// `EBADF` where there is none; what opening it answers, where that was put off.
    pub(super) fn ready(&self, node: NodeId, handle: Handle) -> io::Result<Arc<OpenFile>> {
        let file = self.get(node, handle)?;
        file.ready()?;
        Ok(file)
    }

    /// As [`Self::ready`], but no directory.
    ///
    /// # Errors
    /// `EISDIR` for directories; as [`Self::ready`].
    pub(super) fn file(&self, node: NodeId, handle: Handle) -> io::Result<Arc<OpenFile>> {
        let file = self.ready(node, handle)?;
        if file.listing.is_some() { Err(errno::error(errno::EISDIR)) } else { Ok(file) }
    }

    /// Takes an open file out. It is closed when the last request that uses it is done.
    ///
    /// # Errors
    /// `EBADF` where there is none.
    pub(super) fn remove(&self, node: NodeId, handle: Handle) -> io::Result<Arc<OpenFile>> {
        let mut shard = self.shard(handle).write();
        match shard.get(&handle.0) {
            Some(file) if file.node == node => {
                shard.remove(&handle.0).ok_or_else(|| errno::error(errno::EBADF))
            }
            _ => Err(errno::error(errno::EBADF)),
        }
    }

    /// Closes everything.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            let files = std::mem::take(&mut *shard.write());
            // Outside the lock: closing can block.
            drop(files);
        }
    }

    fn shard(&self, handle: Handle) -> &RwLock<Shard> {
        &self.shards[handle.0 as usize % SHARDS]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }
}
