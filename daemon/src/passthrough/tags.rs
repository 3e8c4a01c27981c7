//! What the observer keeps with inodes.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use fuse::{NodeId, errno};
use rustix::fs::OFlags;

use super::identity::{FileHandle, Identity, Name};
use super::inode::Inode;
use super::lookup::Found;
use super::observer::{Expected, HostInode, Observer, Pin, Tag};
use super::stat::{FileType, Stat, stat};
use super::{Passthrough, open_beneath};

/// What an inode is kept with.
pub(super) type Kept = (Tag, Option<Pin>);

/// What to keep with an inode that the guest is about to be told of.
///
/// # Errors
/// The observer's.
pub(super) fn met(
    observer: Option<&dyn Observer>,
    found: &Found<'_>,
    identity: &Identity,
    stat: &Stat,
) -> io::Result<Kept> {
    let Some(observer) = observer else { return Ok(Kept::default()) };
    show(found, identity, stat, |inode| observer.meet(inode))
}

/// What to keep with an inode found in `parent`, of which nothing but its identity is known so far.
pub(super) fn expected(
    observer: Option<&dyn Observer>,
    parent: Tag,
    identity: Option<&Identity>,
    fd: BorrowedFd<'_>,
) -> Option<Expected> {
    match &identity?.name {
        Name::Handle(handle) => observer?.expect(parent, handle.parts(), fd),
        Name::Number { .. } | Name::Lost(_) => None,
    }
}

/// What to keep with an inode that was expected, and lies where it was.
///
/// # Errors
/// The observer's.
pub(super) fn settled(
    observer: Option<&dyn Observer>,
    expected: Expected,
    found: &Found<'_>,
    identity: &Identity,
    stat: &Stat,
) -> io::Result<Kept> {
    let Some(observer) = observer else { return Ok(Kept::default()) };
    let tag = show(found, identity, stat, |inode| observer.settle(expected.tag, inode))?;
    Ok((tag, expected.pin))
}

/// The tag of what is open as `fd`, for an inode that the guest does not know.
fn of(
    observer: Option<&dyn Observer>,
    fd: BorrowedFd<'_>,
    identity: &Identity,
    stat: &Stat,
) -> io::Result<Tag> {
    let Some(observer) = observer else { return Ok(Tag::default()) };
    show(&Found::File(fd), identity, stat, |inode| observer.tag(inode))
}

fn show<T>(
    found: &Found<'_>,
    identity: &Identity,
    stat: &Stat,
    look: impl FnOnce(&HostInode<'_>) -> io::Result<T>,
) -> io::Result<T> {
    let fd = found.as_fd();
    // How *this* daemon remembers its inodes must make no difference to what the host calls them.
    let own;
    let handle = match &identity.name {
        Name::Handle(handle) => Some(handle),
        Name::Number { .. } | Name::Lost(_) => {
            own = FileHandle::of(fd, c"")?;
            own.as_ref()
        }
    };
    look(&HostInode {
        fd,
        device: stat.device(),
        ino: stat.ino(),
        handle: handle.map(FileHandle::parts),
        is_directory: stat.file_type() == FileType::Directory,
        is_readable: matches!(found, Found::Readable(_)),
    })
}

/// What a name means at a moment.
#[derive(Debug, Default)]
pub struct Meaning {
    tag: Option<Tag>,
    known: Option<Arc<Inode>>,
}

impl Meaning {
    /// The observer's tag of the inode; none where the name means nothing.
    #[must_use]
    pub fn tag(&self) -> Option<Tag> {
        self.tag
    }

    /// The inode, where the guest knows it.
    pub(super) fn known(&self) -> Option<Arc<Inode>> {
        self.known.clone()
    }

    fn of_known(inode: Arc<Inode>) -> Self {
        Self { tag: Some(inode.tag), known: Some(inode) }
    }
}

impl Passthrough {
    /// The observer's tag of an inode that the guest knows.
    ///
    /// # Errors
    /// `EBADF` where the guest does not know it.
    pub fn tag(&self, node: NodeId) -> io::Result<Tag> {
        self.inode(node).map(|inode| inode.tag)
    }

    /// The tag that an inode which the guest knows would be given now.
    ///
    /// # Errors
    /// As for [`Self::tag`]; the observer's.
    pub fn tag_again(&self, node: NodeId) -> io::Result<Tag> {
        let inode = self.inode(node)?;
        let fd = self.path_fd(node)?;
        of(self.observer.as_deref(), fd.as_fd(), &inode.identity, &stat(&fd)?)
    }

    /// What `name` means in `parent` at this moment. Counts no lookup.
    ///
    /// # Errors
    /// Why the name cannot be looked at.
    pub fn meaning(&self, parent: NodeId, name: &CStr) -> io::Result<Meaning> {
        let parent = self.inode(parent)?;
        let dir = self.descriptors.path_fd(&parent)?;
        match parent.mount.identify_by_handle(dir.as_fd(), name) {
            Ok(Some(identity)) => {
                if let Some(known) = self.inodes.find(&identity) {
                    return Ok(Meaning::of_known(known));
                }
            }
            Err(error) if error.raw_os_error() == Some(errno::ENOENT) => {
                return Ok(Meaning::default());
            }
            // What is wrong with it, openat2(2) says.
            Ok(None) | Err(_) => {}
        }
        let fd = match open_beneath(&dir, name, OFlags::PATH, 0) {
            Err(error) if error.raw_os_error() == Some(errno::ENOENT) => {
                return Ok(Meaning::default());
            }
            fd => fd?,
        };
        let stat = stat(&fd)?;
        let mount = self.mount(&parent, fd.as_fd(), &stat)?;
        let identity = mount.identify(fd.as_fd(), &stat)?;
        if let Some(known) = self.inodes.find(&identity) {
            return Ok(Meaning::of_known(known));
        }
        let tag = of(self.observer.as_deref(), fd.as_fd(), &identity, &stat)?;
        Ok(Meaning { tag: Some(tag), known: None })
    }
}
