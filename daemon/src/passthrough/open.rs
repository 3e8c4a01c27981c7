//! OPEN, OPENDIR and their ends.

use std::io;
use std::sync::Arc;

use fuse::abi::{InitFlags, OpenReplyFlags};
use fuse::filesystem::{Open, Opened};
use fuse::{Handle, NodeId};
use rustix::fs::{FlockOperation, OFlags};

use super::Passthrough;
use super::config::CachePolicy;
use super::credentials::WithoutFsetid;
use super::descriptors::Descriptor;
use super::handles::OpenFile;
use super::inode::Inode;
use super::stat::FileType;

/// Flags that mean the same on the host. `O_APPEND` is none of them: it goes with each write, for the guest may change
/// it, and a write from its page cache must land where it belongs.
const PASSED_ON: OFlags = OFlags::RDWR
    .union(OFlags::WRONLY)
    .union(OFlags::TRUNC)
    .union(OFlags::DSYNC)
    .union(OFlags::SYNC)
    .union(OFlags::DIRECT)
    .union(OFlags::NOATIME);

/// An `O_PATH` descriptor of the inode, where opening it can wait for the first read because it cannot fail before: a
/// daemon that may use file handles may read every file (`CAP_DAC_READ_SEARCH`), and whatever else can go wrong goes
/// wrong at the first read as well.
fn opened_by_reading(inode: &Inode, flags: OFlags) -> Option<Arc<Descriptor>> {
    let can_wait = flags == OFlags::RDONLY
        && inode.file_type == FileType::Regular
        && inode.is_known_by_handle();
    if can_wait { inode.open_descriptor() } else { None }
}

impl Passthrough {
    pub(super) fn do_open(&self, node: NodeId, open: Open) -> io::Result<Opened> {
        let flags = self.host_flags(open.flags);
        let inode = self.inode(node)?;
        let permit = self.descriptors.take()?;
        // Such a file counts twice: it keeps what it will be opened by.
        if self.descriptors.has_plenty()
            && let Some(path) = opened_by_reading(&inode, flags)
        {
            return Ok(self.opened(OpenFile::to_read(node, path, permit), flags));
        }
        let file = {
            let cuts = flags.contains(OFlags::TRUNC);
            let _cutting = if cuts { self.before_cut(self.path_of(&inode)?, 0)? } else { None };
            let _guard = WithoutFsetid::when(open.kill_suidgid)?;
            self.open_inode(&inode, flags)?
        };
        let file = Descriptor::new(file, permit);
        Ok(self.opened(OpenFile::file(node, file, flags), flags))
    }

    pub(super) fn do_opendir(&self, node: NodeId) -> io::Result<Opened> {
        let inode = self.inode(node)?;
        let permit = self.descriptors.take()?;
        let directory = self.open_inode(&inode, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let directory = OpenFile::directory(node, Descriptor::new(directory, permit));
        let handle = Some(self.handles.insert(directory));
        let flags = match self.config.cache {
            CachePolicy::Always | CachePolicy::Metadata => {
                OpenReplyFlags::CACHE_DIR | OpenReplyFlags::KEEP_CACHE
            }
            CachePolicy::Auto | CachePolicy::Never => OpenReplyFlags::empty(),
        };
        Ok(Opened { handle, flags, ..Opened::default() })
    }

    /// Whether `node` can be opened to be read whatever becomes of its mode: a daemon that may use file handles may read
    /// everything.
    ///
    /// # Errors
    /// As for every operation on an inode that the guest does not know.
    pub(crate) fn opens_at_any_time(&self, node: NodeId) -> io::Result<bool> {
        Ok(self.inode(node)?.is_known_by_handle())
    }

    /// Enters an open file.
    pub(super) fn opened(&self, file: OpenFile, flags: OFlags) -> Opened {
        let mut reply = OpenReplyFlags::empty();
        reply.set(OpenReplyFlags::DIRECT_IO, self.config.direct_io());
        reply.set(OpenReplyFlags::KEEP_CACHE, self.config.cache == CachePolicy::Always);
        // Nothing can be waiting to be flushed: that saves a request for each file that is only read.
        // But where it ends locks: of a reader's read locks nothing else would tell.
        let only_read = flags & OFlags::RWMODE == OFlags::RDONLY;
        let tells = self.session.has(InitFlags::POSIX_LOCKS);
        reply.set(OpenReplyFlags::NOFLUSH, only_read && !tells);
        let handle = self.handles.insert(file);
        Opened { handle: Some(handle), flags: reply, ..Opened::default() }
    }

    /// What the guest's `open(2)` flags mean on the host.
    pub(super) fn host_flags(&self, guest: u32) -> OFlags {
        let mut flags = OFlags::from_bits_retain(guest) & PASSED_ON;
        if self.session.has(InitFlags::WRITEBACK_CACHE) && flags & OFlags::RWMODE == OFlags::WRONLY
        {
            // The page cache reads what a write to part of a page leaves alone.
            flags = (flags - OFlags::RWMODE) | OFlags::RDWR;
        }
        flags.set(OFlags::DIRECT, flags.contains(OFlags::DIRECT) && self.config.allow_direct_io);
        flags.set(OFlags::NOATIME, flags.contains(OFlags::NOATIME) && self.config.preserve_noatime);
        flags
    }

    /// `unlock`: a `flock` ends with it, even where another request holds on to the file for a moment longer.
    pub(super) fn do_release(&self, node: NodeId, handle: Handle, unlock: bool) -> io::Result<()> {
        let file = self.handles.remove(node, handle)?;
        self.locks.forget_handle(node, handle);
        if unlock {
            rustix::fs::flock(&*file, FlockOperation::Unlock)?;
        }
        Ok(())
    }
}
