//! What the guest has open.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// What it is open with on the host.
    flags: OFlags,
    /// `flock(2)`ed.
    locked: AtomicBool,
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
        Self::new(node, Access::Open(descriptor), flags, None)
    }

    pub(super) fn directory(node: NodeId, descriptor: Descriptor) -> Self {
        Self::new(node, Access::Open(descriptor), OFlags::RDONLY, Some(Mutex::default()))
    }

    /// A file that is to be read, if at all. `path` is an `O_PATH` descriptor of it, `permit` that for one more.
    pub(super) fn to_read(node: NodeId, path: Arc<Descriptor>, permit: Permit) -> Self {
        let later = Later { path, opened: OnceLock::new(), _permit: permit };
        Self::new(node, Access::Later(later), OFlags::RDONLY, None)
    }

    fn new(node: NodeId, access: Access, flags: OFlags, listing: Option<Mutex<DirStream>>) -> Self {
        Self { node, access, flags, locked: AtomicBool::new(false), listing }
    }

    /// What is open.
    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// What it is open with on the host.
    pub(super) fn flags(&self) -> OFlags {
        self.flags
    }

    /// It was `flock(2)`ed, or is no more.
    pub(super) fn set_locked(&self, locked: bool) {
        // Relaxed: looked at while nothing else goes on.
        self.locked.store(locked, Ordering::Relaxed);
    }

    /// Whether it is `flock(2)`ed.
    pub(super) fn is_locked(&self) -> bool {
        // Relaxed: as above.
        self.locked.load(Ordering::Relaxed)
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
        self.flags & OFlags::RWMODE != OFlags::RDONLY
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
    /// What the guest had open where it comes from, and was not found here.
    lost: RwLock<HashSet<u64>>,
}

impl Handles {
    pub(super) fn new() -> Self {
        let shards = std::array::from_fn(|_| RwLock::default());
        Self { shards, next: AtomicU64::new(1), lost: RwLock::default() }
    }

    /// Enters an open file.
    pub(super) fn insert(&self, file: OpenFile) -> Handle {
        // Relaxed: only uniqueness matters.
        let handle = Handle(self.next.fetch_add(1, Ordering::Relaxed));
        self.shard(handle).write().insert(handle.0, Arc::new(file));
        handle
    }

    /// Enters an open file under a number that the guest knows already.
    pub(super) fn insert_as(&self, handle: Handle, file: OpenFile) {
        self.shard(handle).write().insert(handle.0, Arc::new(file));
    }

    /// The guest knows this number, and there is no file for it.
    pub(super) fn lose(&self, handle: Handle) {
        self.lost.write().insert(handle.0);
    }

    /// The lowest number that was never given.
    pub(super) fn next(&self) -> u64 {
        // Relaxed: asked while nothing else goes on.
        self.next.load(Ordering::Relaxed)
    }

    /// No number below `next` is given.
    pub(super) fn go_on_from(&self, next: u64) {
        // Relaxed: only uniqueness matters.
        self.next.fetch_max(next, Ordering::Relaxed);
    }

    /// All that is open.
    pub(super) fn all(&self) -> Vec<(u64, Arc<OpenFile>)> {
        let in_shard = |shard: &RwLock<Shard>| -> Vec<_> {
            shard.read().iter().map(|(handle, file)| (*handle, Arc::clone(file))).collect()
        };
        self.shards.iter().flat_map(in_shard).collect()
    }

    /// Why there is no such file.
    fn missing(&self, handle: Handle) -> io::Error {
        let lost = self.lost.read().contains(&handle.0);
        errno::error(if lost { errno::ESTALE } else { errno::EBADF })
    }

    /// The open file or directory of `node` with this handle, maybe by `O_PATH` only.
    ///
    /// # Errors
    /// `EBADF` where there is none; `ESTALE` where it is lost.
    pub(super) fn get(&self, node: NodeId, handle: Handle) -> io::Result<Arc<OpenFile>> {
        self.shard(handle)
            .read()
            .get(&handle.0)
            .filter(|file| file.node == node)
            .cloned()
            .ok_or_else(|| self.missing(handle))
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
            _ => {
                let missing = self.missing(handle);
                self.lost.write().remove(&handle.0);
                Err(missing)
            }
        }
    }

    /// Closes everything.
    pub(super) fn clear(&self) {
        self.lost.write().clear();
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
