//! What the guest has open.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fuse::{Handle, NodeId, errno};
use parking_lot::{Mutex, RwLock};

use super::descriptors::Descriptor;
use super::dir_stream::DirStream;
use super::inodes::Spread;

const SHARDS: usize = 16;

/// An open file or directory.
#[derive(Debug)]
pub(super) struct OpenFile {
    node: NodeId,
    descriptor: Descriptor,
    /// How far a directory has been read; none for files.
    listing: Option<Mutex<DirStream>>,
}

impl OpenFile {
    pub(super) fn file(node: NodeId, descriptor: Descriptor) -> Self {
        Self { node, descriptor, listing: None }
    }

    pub(super) fn directory(node: NodeId, descriptor: Descriptor) -> Self {
        Self { node, descriptor, listing: Some(Mutex::default()) }
    }

    /// How far the directory has been read.
    ///
    /// # Errors
    /// `ENOTDIR` for files.
    pub(super) fn listing(&self) -> io::Result<&Mutex<DirStream>> {
        self.listing.as_ref().ok_or_else(|| errno::error(errno::ENOTDIR))
    }
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
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

    /// The open file or directory of `node` with this handle.
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

    /// As [`Self::get`], but no directory.
    ///
    /// # Errors
    /// `EISDIR` for directories, `EBADF` where there is no such handle.
    pub(super) fn file(&self, node: NodeId, handle: Handle) -> io::Result<Arc<OpenFile>> {
        let file = self.get(node, handle)?;
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
