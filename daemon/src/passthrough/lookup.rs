//! LOOKUP and FORGET: which inode a name means.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use fuse::abi::{AttrFlags, InitFlags, Stamp};
use fuse::filesystem::Entry;
use fuse::{NodeId, errno};
use rustix::fs::{Mode, OFlags};

use super::descriptors::Descriptor;
use super::identity::{Identity, Name};
use super::inode::Inode;
use super::mounts::{self, Mount};
use super::observer::Tag;
use super::stat::{FileType, Stat, stat};
use super::{Passthrough, open_beneath, tags};

impl Passthrough {
    pub(super) fn do_lookup(&self, parent: NodeId, name: &CStr) -> io::Result<Entry> {
        let parent = self.inode(parent)?;
        match name.to_bytes() {
            b"." => self.entry_of_known(&parent),
            b".." => self.lookup_above(&parent),
            _ => self.lookup_below(&parent, name),
        }
    }

    /// The entry for `name`, an ordinary one, in `parent`. Counts a lookup.
    pub(super) fn lookup_below(&self, parent: &Arc<Inode>, name: &CStr) -> io::Result<Entry> {
        let dir = self.descriptors.path_fd(parent)?;
        let fd = open_beneath(&dir, name, OFlags::PATH, 0)?;
        self.entry(parent, Found::Path(fd))
    }

    /// The entry for an inode found in `parent`. Counts a lookup.
    pub(super) fn entry(&self, parent: &Inode, found: Found<'_>) -> io::Result<Entry> {
        let mut stat = stat(&found)?;
        let (inode, stamp) = self.intern(parent, found, &mut stat)?;
        let mut flags = AttrFlags::empty();
        let elsewhere = inode.mount.id() != parent.mount.id() || inode.device != parent.device;
        if elsewhere
            && inode.file_type == FileType::Directory
            && self.session.has(InitFlags::SUBMOUNTS)
        {
            flags |= AttrFlags::SUBMOUNT;
        }
        Ok(Entry { stamp, ..self.entry_from(inode.nodeid, &stat, flags) })
    }

    /// The inode that was found, with one more lookup counted, and what vouches for `stat`.
    fn intern(
        &self,
        parent: &Inode,
        found: Found<'_>,
        stat: &mut Stat,
    ) -> io::Result<(Arc<Inode>, Stamp)> {
        let mount = self.mount(parent, found.as_fd(), stat)?;
        let identity = mount.identify(found.as_fd(), stat)?;
        let by_handle = matches!(identity.name, Name::Handle(_));
        let known = self.inodes.claim(&identity);
        let tag = match &known {
            Some(inode) => inode.tag,
            None => tags::of(self.observer.as_deref(), found.as_fd(), &identity, stat),
        };
        let stamp = self.vouched(tag, &found, stat).inspect_err(|_| {
            if let Some(inode) = &known {
                self.inodes.forget(inode.nodeid, 1);
            }
        })?;
        let mount = (mount, tag);
        let inode = match known {
            Some(known) => known,
            None if by_handle => self.inodes.insert(self.fresh(identity, stat, mount, None)),
            None => {
                let descriptor = Descriptor::new(found.into_path()?, self.descriptors.take()?);
                let fresh = self.fresh(identity, stat, mount, Some(descriptor));
                return Ok((self.inodes.insert(fresh), stamp));
            }
        };
        if let (Found::Path(fd), FileType::Directory) = (found, inode.file_type)
            && by_handle
            && inode.open_descriptor().is_none()
        {
            // What is looked up in it next will want it.
            self.descriptors.cache(&inode, fd);
        }
        Ok((inode, stamp))
    }

    /// What vouches for the attributes of what was found. They are read once more for that: which inode it is was not
    /// known before the first time.
    fn vouched(&self, tag: Tag, found: &Found<'_>, attributes: &mut Stat) -> io::Result<Stamp> {
        let observer = self.observer.as_deref();
        let Some(stamp) = observer.and_then(|observer| observer.attributes(tag)) else {
            return Ok(Stamp::default());
        };
        *attributes = stat(found)?;
        Ok(stamp)
    }

    fn fresh(
        &self,
        identity: Identity,
        stat: &Stat,
        mount: (Arc<Mount>, Tag),
        keep: Option<Descriptor>,
    ) -> Inode {
        let kind = (stat.file_type(), stat.device());
        Inode::new(self.inodes.fresh_id(), identity, kind, mount, keep)
    }

    pub(super) fn mount(
        &self,
        parent: &Inode,
        fd: BorrowedFd<'_>,
        stat: &Stat,
    ) -> io::Result<Arc<Mount>> {
        if mounts::mount_id(stat)? == parent.mount.id() {
            return Ok(Arc::clone(&parent.mount));
        }
        self.mounts.of(fd, stat)
    }

    /// "..". The host may have moved the directory out of the shared one, so only what the guest knows already counts.
    fn lookup_above(&self, inode: &Arc<Inode>) -> io::Result<Entry> {
        if inode.nodeid == NodeId::ROOT {
            return self.entry_of_known(inode);
        }
        let dir = self.descriptors.path_fd(inode)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&dir, c"..", flags, Mode::empty())?;
        let stat = stat(&fd)?;
        let stale = || errno::error(errno::ESTALE);
        let mount = self.mounts.known(mounts::mount_id(&stat)?).ok_or_else(stale)?;
        let identity = mount.identify(fd.as_fd(), &stat)?;
        let above = self.inodes.claim(&identity).ok_or_else(stale)?;
        Ok(self.entry_from(above.nodeid, &stat, AttrFlags::empty()))
    }

    /// The entry for an inode that the guest knows. Counts a lookup.
    pub(super) fn entry_of_known(&self, inode: &Arc<Inode>) -> io::Result<Entry> {
        let fd = self.descriptors.path_fd(inode)?;
        self.entry(inode, Found::File(fd.as_fd()))
    }

    fn entry_from(&self, nodeid: NodeId, stat: &Stat, flags: AttrFlags) -> Entry {
        Entry {
            nodeid: nodeid.0,
            generation: 0,
            attr: stat.attr(flags),
            entry_ttl: self.config.entry_ttl(),
            attr_ttl: self.config.attr_ttl(),
            stamp: Stamp::default(),
        }
    }
}

/// What a name was found to mean.
#[derive(Debug)]
pub(super) enum Found<'fd> {
    /// An `O_PATH` descriptor.
    Path(OwnedFd),
    /// Something that is open anyway.
    File(BorrowedFd<'fd>),
}

impl AsFd for Found<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Path(fd) => fd.as_fd(),
            Self::File(fd) => *fd,
        }
    }
}

impl Found<'_> {
    /// An `O_PATH` descriptor of it. Not a mere duplicate: that would share locks and access mode with the open file.
    fn into_path(self) -> io::Result<OwnedFd> {
        match self {
            Self::Path(fd) => Ok(fd),
            Self::File(fd) => mounts::reopen(fd, OFlags::PATH),
        }
    }
}
