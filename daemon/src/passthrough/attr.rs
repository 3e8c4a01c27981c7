//! GETATTR, SETATTR, STATX, ACCESS, STATFS and SYNCFS.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use fuse::abi::{InitFlags, Kstatfs, Stamp};
use fuse::filesystem::{Attributes, SetAttr, SetTime, StatxAttributes};
use fuse::{Context, Handle, NodeId, errno};
use rustix::fs::{
    Access, AtFlags, Mode, OFlags, StatxFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
};
use rustix::path::DecInt;

use super::credentials::{Checks, WithoutFsetid, gid, uid};
use super::stat::{Stat, stat, statx};
use super::{Passthrough, thread};

/// `AT_STATX_FORCE_SYNC` and `AT_STATX_DONT_SYNC`: all that a guest may pass on.
const SYNC_FLAGS: AtFlags = AtFlags::STATX_FORCE_SYNC.union(AtFlags::STATX_DONT_SYNC);

impl Passthrough {
    pub(super) fn do_getattr(
        &self,
        node: NodeId,
        handle: Option<Handle>,
    ) -> io::Result<Attributes> {
        let stat = self.with_fd(node, handle, |fd| stat(fd))?;
        self.attributes(node, &stat)
    }

    pub(super) fn do_statx(
        &self,
        node: NodeId,
        handle: Option<Handle>,
        flags: u32,
        mask: u32,
    ) -> io::Result<StatxAttributes> {
        if self.session.has(InitFlags::HAS_INODE_DAX) {
            // Linux would take the reply, which has no place for it, to say that the file is not mapped any more, and drop
            // the inode with its mappings (`fuse_statx_to_attr()`, `fuse_dax_dontcache()`). It asks by GETATTR then.
            return Err(errno::error(errno::ENOSYS));
        }
        let flags = AtFlags::from_bits_retain(flags) & SYNC_FLAGS;
        // The basic ones always: the guest's kernel refreshes its inode with them.
        let mask = StatxFlags::from_bits_retain(mask) & StatxFlags::BTIME | StatxFlags::BASIC_STATS;
        let stat = self.with_fd(node, handle, |fd| statx(fd, flags, mask))?;
        self.told(node, &stat)?;
        Ok(StatxAttributes {
            statx: self.ids.statx(stat.fuse_statx()),
            ttl: self.config.attr_ttl(),
            stamp: Stamp::default(),
        })
    }

    /// Each change is a system call of its own. The owner comes first, for changing it clears suid and sgid, which the
    /// new mode may set; times come last, for the others touch them.
    pub(super) fn do_setattr(
        &self,
        node: NodeId,
        handle: Option<Handle>,
        set: &SetAttr,
    ) -> io::Result<Attributes> {
        let times = timestamps(set)?;
        let owner = (
            set.uid.map(|id| self.ids.users.to_host(id).and_then(uid)).transpose()?,
            set.gid.map(|id| self.ids.groups.to_host(id).and_then(gid)).transpose()?,
        );
        let stat = self.with_fd(node, handle, |fd| {
            if owner != (None, None) || set.size.is_some() {
                self.drop_capability(fd)?;
            }
            if owner != (None, None) {
                rustix::fs::chownat(fd, c"", owner.0, owner.1, AtFlags::EMPTY_PATH)?;
            }
            if let Some(mode) = set.mode {
                chmod(fd, mode)?;
            }
            if let Some(size) = set.size {
                self.truncate(node, handle, size, set.kill_suidgid)?;
            }
            if let Some(times) = &times {
                rustix::fs::utimensat(fd, c"", times, AtFlags::EMPTY_PATH)?;
            }
            stat(fd)
        })?;
        self.attributes(node, &stat)
    }

    fn truncate(
        &self,
        node: NodeId,
        handle: Option<Handle>,
        size: u64,
        kill_suidgid: bool,
    ) -> io::Result<()> {
        if let Some(handle) = handle {
            let file = self.handles.file(node, handle)?;
            return self.cut(file.as_fd(), size, kill_suidgid);
        }
        let file = self.open_inode(&self.inode(node)?, OFlags::WRONLY)?;
        self.cut(file.as_fd(), size, kill_suidgid)
    }

    fn cut(&self, file: BorrowedFd<'_>, size: u64, kill_suidgid: bool) -> io::Result<()> {
        // Whoever minds growth from here on finds the file as it will be.
        let shrinks = self.is_growth_minded() && stat(file)?.size() >= size;
        let cutting = self.before_cut(file, size)?;
        let guard = WithoutFsetid::when(kill_suidgid)?;
        rustix::fs::ftruncate(file, size)?;
        drop((guard, cutting));
        if shrinks { Ok(()) } else { self.has_grown(file) }
    }

    /// Linux never asks: virtio-fs mounts with `default_permissions`.
    pub(super) fn do_access(&self, context: &Context, node: NodeId, mask: u32) -> io::Result<()> {
        let fd = self.path_fd(node)?;
        let access = Access::from_bits_truncate(mask);
        // EACCESS: it is the effective user that acts for the guest's.
        let link = DecInt::from_fd(&fd);
        let proc = thread::proc_self_fd()?;
        let _guard = self.assume(context, None, Checks::Host)?;
        Ok(rustix::fs::accessat(proc, link.as_c_str(), access, AtFlags::EACCESS)?)
    }

    pub(super) fn do_statfs(&self, node: NodeId) -> io::Result<Kstatfs> {
        let figures = rustix::fs::fstatvfs(self.path_fd(node)?)?;
        Ok(Kstatfs {
            blocks: figures.f_blocks,
            bfree: figures.f_bfree,
            bavail: figures.f_bavail,
            files: figures.f_files,
            ffree: figures.f_ffree,
            bsize: u32::try_from(figures.f_bsize).unwrap_or(u32::MAX),
            namelen: u32::try_from(figures.f_namemax).unwrap_or(u32::MAX),
            frsize: u32::try_from(figures.f_frsize).unwrap_or(u32::MAX),
            ..Kstatfs::default()
        })
    }

    /// A guest that sees one file system means all that lie below it on the host.
    pub(super) fn do_syncfs(&self, node: NodeId) -> io::Result<()> {
        let inode = self.inode(node)?;
        let file = self.open_inode(&inode, OFlags::RDONLY)?;
        rustix::fs::syncfs(file)?;
        if self.session.has(InitFlags::SUBMOUNTS) {
            return Ok(());
        }
        for mount in self.mounts.all().iter().filter(|mount| mount.id() != inode.mount.id()) {
            mount.sync()?;
        }
        Ok(())
    }

    /// Calls `act` with the open file, where the guest names one, else with an `O_PATH` descriptor of the inode.
    fn with_fd<T>(
        &self,
        node: NodeId,
        handle: Option<Handle>,
        act: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some(handle) = handle {
            return act(self.handles.get(node, handle)?.as_fd());
        }
        let inode = self.inode(node)?;
        let fd = self.path_of(&inode)?;
        // Nobody looks the root up.
        self.show_again(&inode, fd.as_fd());
        act(fd.as_fd())
    }

    fn attributes(&self, node: NodeId, stat: &Stat) -> io::Result<Attributes> {
        let attr = self.ids.attr(stat.attr(self.told(node, stat)?));
        Ok(Attributes { attr, ttl: self.config.attr_ttl(), stamp: Stamp::default() })
    }
}

/// `chmod(2)` of what is open as `fd`, even by `O_PATH`.
pub(super) fn chmod(fd: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    let (proc, link) = (thread::proc_self_fd()?, DecInt::from_fd(fd));
    let mode = Mode::from_raw_mode(mode & 0o7777);
    Ok(rustix::fs::chmodat(proc, link.as_c_str(), mode, AtFlags::empty())?)
}

fn timestamps(set: &SetAttr) -> io::Result<Option<Timestamps>> {
    if set.atime.is_none() && set.mtime.is_none() {
        return Ok(None);
    }
    let timespec = |time| match time {
        None => Ok(Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }),
        Some(SetTime::Now) => Ok(Timespec { tv_sec: 0, tv_nsec: UTIME_NOW }),
        // Larger ones mean something else to the system call.
        Some(SetTime::At(seconds, nanoseconds)) if nanoseconds < 1_000_000_000 => {
            Ok(Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() })
        }
        Some(SetTime::At(..)) => Err(errno::error(errno::EINVAL)),
    };
    Ok(Some(Timestamps {
        last_access: timespec(set.atime)?,
        last_modification: timespec(set.mtime)?,
    }))
}
