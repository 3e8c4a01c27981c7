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
use super::tags::{self, Kept};
use super::{Passthrough, luck, open_beneath};

impl Passthrough {
    pub(super) fn do_lookup(&self, parent: NodeId, name: &CStr) -> io::Result<Entry> {
        let parent = self.inode(parent)?;
        match name.to_bytes() {
            b"." => self.entry_of_known(&parent),
            b".." => self.lookup_above(&parent),
            _ => self.lookup_below(&parent, name, Found::Path),
        }
    }

    /// The entry for `name`, an ordinary one, in `parent`. Counts a lookup. `found` says how it is come by.
    pub(super) fn lookup_below(
        &self,
        parent: &Arc<Inode>,
        name: &CStr,
        found: fn(OwnedFd) -> Found<'static>,
    ) -> io::Result<Entry> {
        let dir = self.descriptors.path_fd(parent)?;
        if let Some(entry) = self.lookup_by_handle(parent, dir.as_fd(), name, found)? {
            return Ok(entry);
        }
        let fd = open_beneath(&dir, name, OFlags::PATH, 0)?;
        self.entry(parent, found(fd))
    }

    /// As [`Self::lookup_below`] where a name's file handle tells which inode it is: if the daemon has that open already,
    /// nothing need be opened. None where the name must be.
    ///
    /// # Errors
    /// `ENOENT`; what else is wrong with a name is for `openat2(2)` to say.
    fn lookup_by_handle(
        &self,
        parent: &Inode,
        dir: BorrowedFd<'_>,
        name: &CStr,
        found: fn(OwnedFd) -> Found<'static>,
    ) -> io::Result<Option<Entry>> {
        // Only openat2(2) can be told to stay below the directory, whatever the name is.
        let bytes = name.to_bytes();
        if bytes.is_empty() || bytes.contains(&b'/') || !luck::is_worth_a_try() {
            return Ok(None);
        }
        let identity = match parent.mount.identify_by_handle(dir, name) {
            Ok(Some(identity)) => identity,
            Err(error) if error.raw_os_error() == Some(errno::ENOENT) => {
                luck::had();
                return Err(error);
            }
            Ok(None) | Err(_) => return Ok(None),
        };
        if let Some(inode) = self.inodes.find(&identity)
            && let Some(open) = inode.open_descriptor()
            && inode.device == parent.device
            && inode.look_up()
        {
            luck::had();
            let (inode, stat, stamp) = self.meet_again(inode, Found::File(open.as_fd()))?;
            let entry = self.entry_from(inode.nodeid, &stat, AttrFlags::empty())?;
            return Ok(Some(Entry { stamp, ..entry }));
        }
        // It may have gone meanwhile.
        let Ok(fd) = parent.mount.open_path(&identity) else { return Ok(None) };
        self.entry_as(parent, found(fd), Some(identity)).map(Some)
    }

    /// The entry for an inode found in `parent`. Counts a lookup.
    pub(super) fn entry(&self, parent: &Inode, found: Found<'_>) -> io::Result<Entry> {
        let identity = parent.mount.identify_by_handle(found.as_fd(), c"")?;
        self.entry_as(parent, found, identity)
    }

    /// As [`Self::entry`] for what lies on the parent's mount and is `identity`; none: where it lies is not known.
    fn entry_as(
        &self,
        parent: &Inode,
        found: Found<'_>,
        identity: Option<Identity>,
    ) -> io::Result<Entry> {
        let known = identity.as_ref().and_then(|identity| self.inodes.claim(identity));
        let (inode, stat, stamp) = match known {
            Some(inode) => self.meet_again(inode, found)?,
            None => self.meet(parent, identity, found)?,
        };
        let mut flags = AttrFlags::empty();
        let elsewhere = inode.mount.id() != parent.mount.id() || inode.device != parent.device;
        if elsewhere
            && inode.file_type == FileType::Directory
            && self.session.has(InitFlags::SUBMOUNTS)
        {
            flags |= AttrFlags::SUBMOUNT;
        }
        Ok(Entry { stamp, ..self.entry_from(inode.nodeid, &stat, flags)? })
    }

    /// An inode that the guest knows, with a lookup counted; its attributes, and what vouches for them.
    fn meet_again(
        &self,
        inode: Arc<Inode>,
        found: Found<'_>,
    ) -> io::Result<(Arc<Inode>, Stat, Stamp)> {
        self.show_again(&inode, found.as_fd());
        let stamp = self.observe(inode.tag).unwrap_or_default();
        let stat = stat(&found).inspect_err(|_| self.inodes.forget(inode.nodeid, 1))?;
        self.keep(&inode, found, true);
        Ok((inode, stat, stamp))
    }

    /// An inode that the guest does not seem to know: as [`Self::meet_again`].
    fn meet(
        &self,
        parent: &Inode,
        identity: Option<Identity>,
        found: Found<'_>,
    ) -> io::Result<(Arc<Inode>, Stat, Stamp)> {
        let observer = self.observer.as_deref();
        let expected = tags::expected(observer, parent.tag, identity.as_ref(), found.as_fd());
        let vouched = expected.as_ref().and_then(|expected| self.observe(expected.tag));
        let attributes = stat(&found)?;
        let mount = self.mount(parent, found.as_fd(), &attributes)?;
        let identity = match identity {
            Some(identity) => identity,
            None => mount.identify(found.as_fd(), &attributes)?,
        };
        if let Some(inode) = self.inodes.claim(&identity) {
            return self.meet_again(inode, found);
        }
        let (kept, attributes, stamp) = match expected {
            Some(expected) if expected.device == attributes.device() => {
                let kept = tags::settled(observer, expected, &found, &identity, &attributes)?;
                (kept, attributes, vouched)
            }
            _ => self.observe_late(&found, &identity, attributes)?,
        };
        let stamp = stamp.unwrap_or_default();
        let mount = (mount, kept);
        if let Name::Handle(_) = identity.name {
            let inode = self.inodes.insert(self.fresh(identity, &attributes, mount, None));
            self.keep(&inode, found, false);
            return Ok((inode, attributes, stamp));
        }
        let descriptor = Descriptor::new(found.into_path()?, self.descriptors.take()?);
        let fresh = self.fresh(identity, &attributes, mount, Some(descriptor));
        Ok((self.inodes.insert(fresh), attributes, stamp))
    }

    /// Observes an inode of which it was not known which one it is before its attributes were read: they are read anew.
    fn observe_late(
        &self,
        found: &Found<'_>,
        identity: &Identity,
        attributes: Stat,
    ) -> io::Result<(Kept, Stat, Option<Stamp>)> {
        let kept = tags::met(self.observer.as_deref(), found, identity, &attributes)?;
        let stamp = self.observe(kept.0);
        let attributes = if stamp.is_some() { stat(found)? } else { attributes };
        Ok((kept, attributes, stamp))
    }

    /// Lets the observer have another look at an inode.
    pub(super) fn show_again(&self, inode: &Inode, fd: BorrowedFd<'_>) {
        if let Some(observer) = self.observer.as_deref() {
            observer.meet_again(inode.tag, fd);
        }
    }

    /// What vouches for attributes that are read after this.
    fn observe(&self, tag: Tag) -> Option<Stamp> {
        self.observer.as_deref().and_then(|observer| observer.attributes(tag))
    }

    /// What is looked up in a directory next will want its descriptor, a name that is asked for `again` will be once
    /// more, and what was looked up just now is about to be used.
    fn keep(&self, inode: &Arc<Inode>, found: Found<'_>, again: bool) {
        let (fd, listed) = match found {
            Found::File(_) => return,
            Found::Path(fd) | Found::Readable(fd) => (fd, false),
            Found::Listed(fd) => (fd, true),
        };
        if inode.open_descriptor().is_some() {
            return;
        }
        if inode.file_type == FileType::Directory {
            self.descriptors.cache(inode, fd);
            return;
        }
        let left = if again { self.descriptors.offer(inode, fd) } else { Some(fd) };
        if let Some(fd) = left.filter(|_| !listed) {
            self.descriptors.keep_recent(inode, fd);
        }
    }

    fn fresh(
        &self,
        identity: Identity,
        stat: &Stat,
        mount: (Arc<Mount>, Kept),
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
        self.entry_from(above.nodeid, &stat, AttrFlags::empty())
    }

    /// The entry for an inode that the guest knows. Counts a lookup.
    pub(super) fn entry_of_known(&self, inode: &Arc<Inode>) -> io::Result<Entry> {
        let fd = self.descriptors.path_fd(inode)?;
        self.entry(inode, Found::File(fd.as_fd()))
    }

    /// The entry for an inode with a lookup counted, which is taken back where there is none.
    fn entry_from(&self, nodeid: NodeId, stat: &Stat, flags: AttrFlags) -> io::Result<Entry> {
        let told = self.told(nodeid, stat).inspect_err(|_| self.inodes.forget(nodeid, 1))?;
        Ok(Entry {
            nodeid: nodeid.0,
            generation: 0,
            attr: self.ids.attr(stat.attr(flags | told)),
            entry_ttl: self.config.entry_ttl(),
            attr_ttl: self.config.attr_ttl(),
            stamp: Stamp::default(),
        })
    }
}

/// What a name was found to mean.
#[derive(Debug)]
pub(super) enum Found<'fd> {
    /// By its name, an `O_PATH` descriptor.
    Path(OwnedFd),
    /// A directory that was just made, open for reading: it serves as an `O_PATH` descriptor does.
    Readable(OwnedFd),
    /// In a listing, as one of many: an `O_PATH` descriptor.
    Listed(OwnedFd),
    /// Something that is open anyway.
    File(BorrowedFd<'fd>),
}

impl AsFd for Found<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Path(fd) | Self::Readable(fd) | Self::Listed(fd) => fd.as_fd(),
            Self::File(fd) => *fd,
        }
    }
}

impl Found<'_> {
    /// An `O_PATH` descriptor of it. Not a mere duplicate: that would share locks and access mode with the open file.
    fn into_path(self) -> io::Result<OwnedFd> {
        match self {
            Self::Path(fd) | Self::Readable(fd) | Self::Listed(fd) => Ok(fd),
            Self::File(fd) => mounts::reopen(fd, OFlags::PATH),
        }
    }
}
