//! The same numbers for the same inodes and open files.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use fuse::abi::InitFlags;
use fuse::{Handle, NodeId, errno};
use rustix::fs::OFlags;

use super::RestoreError;
use super::paths::Paths;
use crate::migration::{
    Mode, OnError, Options, SavedFile, SavedHandle, SavedInode, SavedKind, SavedSession, State,
    Whereabouts,
};
use crate::passthrough::descriptors::Descriptor;
use crate::passthrough::handles::OpenFile;
use crate::passthrough::identity::{FileHandle, Identity, Name};
use crate::passthrough::inode::Inode;
use crate::passthrough::lookup::Found;
use crate::passthrough::mounts::reopen;
use crate::passthrough::stat::{FileType, stat};
use crate::passthrough::{Passthrough, tags};
use crate::sys::{self, RawFileHandle};

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Inodes that the guest knows.
    pub inodes: usize,
    /// Files and directories that it has open.
    pub files: usize,
    /// Of both, those that are not found.
    pub lost: usize,
}

impl Passthrough {
    /// Takes over the guest of which `state` tells. It knows nothing yet, or is forgotten.
    ///
    /// # Errors
    /// [`RestoreError`]; then nothing of the guest is left here.
    pub fn restore(&self, state: &State, options: Options) -> Result<Restored, RestoreError> {
        self.do_destroy();
        let restored = self.take_over(state, options);
        if restored.is_err() {
            self.do_destroy();
        }
        restored
    }

    fn take_over(&self, state: &State, options: Options) -> Result<Restored, RestoreError> {
        let Some(session) = &state.session else { return Ok(Restored::default()) };
        self.go_on_with(session)?;
        let origins = Origins::new(self, state, options)?;
        let mut restored =
            Restored { inodes: state.inodes.len(), files: state.files.len(), lost: 0 };
        for saved in &state.inodes {
            if let Err(why) = origins.find(saved).and_then(|fd| self.enter(saved, fd)) {
                let what = format!("inode {}{}", saved.node, called(&saved.place));
                lose(options, &mut restored, what, why)?;
                self.inodes.insert(self.lost(saved));
            }
        }
        for saved in &state.files {
            if let Err(error) = self.open_again(saved) {
                let place = state.inodes.iter().find(|inode| inode.node == saved.node);
                let called = place.map(|inode| called(&inode.place)).unwrap_or_default();
                let what = format!("open file {} of inode {}{called}", saved.handle, saved.node);
                lose(options, &mut restored, what, error.to_string())?;
                self.handles.lose(Handle(saved.handle));
            }
        }
        self.inodes.go_on_from(session.next_node);
        self.handles.go_on_from(session.next_handle);
        Ok(restored)
    }

    fn go_on_with(&self, session: &SavedSession) -> Result<(), RestoreError> {
        if session.agreed.contains(InitFlags::VERSION_TABLE) {
            return Err(RestoreError::Table);
        }
        let missing = session.agreed - self.agreement(InitFlags::all())?;
        if !missing.is_empty() {
            return Err(RestoreError::Agreement(missing));
        }
        self.session.set(session.agreed);
        Ok(())
    }

    /// Enters an inode as the one that the guest knows by its number.
    fn enter(&self, saved: &SavedInode, fd: OwnedFd) -> Result<(), String> {
        let text = |error: io::Error| error.to_string();
        let attributes = stat(&fd).map_err(text)?;
        if attributes.file_type() != file_type(saved.kind) {
            return Err("there is something of another type".to_owned());
        }
        let mount = self.mounts.of(fd.as_fd(), &attributes).map_err(text)?;
        let identity = mount.identify(fd.as_fd(), &attributes).map_err(text)?;
        if let Some(known) = self.inodes.find(&identity) {
            return Err(format!("there is the same file as inode {}", known.nodeid.0));
        }
        let observer = self.observer.as_deref();
        let found = Found::File(fd.as_fd());
        let kept = tags::met(observer, &found, &identity, &attributes).map_err(text)?;
        let (keep, spare) = match identity.name {
            Name::Handle(_) => (None, Some(fd)),
            _ => (Some(Descriptor::new(fd, self.descriptors.take().map_err(text)?)), None),
        };
        let kind = (attributes.file_type(), attributes.device());
        let inode = Inode::new(NodeId(saved.node), identity, kind, (mount, kept), keep);
        inode.was_told(saved.lookups);
        let inode = self.inodes.insert(inode);
        // Without a name its handle may mean nothing once nobody has it open.
        if let Some(fd) = spare.filter(|_| attributes.nlink() == 0) {
            self.descriptors.hold_unlinked(&inode, self.descriptors.cache(&inode, fd));
        }
        Ok(())
    }

    /// An inode that answers `ESTALE`.
    fn lost(&self, saved: &SavedInode) -> Inode {
        let root = self.inodes.root();
        let mount = Arc::clone(&root.mount);
        let identity = Identity { mount: mount.id(), name: Name::Lost(saved.node) };
        let kind = (file_type(saved.kind), root.device);
        let inode =
            Inode::new(NodeId(saved.node), identity, kind, (mount, tags::Kept::default()), None);
        inode.was_told(saved.lookups);
        inode
    }

    fn open_again(&self, saved: &SavedFile) -> io::Result<()> {
        let node = NodeId(saved.node);
        let inode = self.inode(node)?;
        let permit = self.descriptors.take()?;
        let file = if inode.file_type == FileType::Directory {
            let fd = self.open_inode(&inode, OFlags::RDONLY | OFlags::DIRECTORY)?;
            OpenFile::directory(node, Descriptor::new(fd, permit))
        } else {
            let flags = self.host_flags(saved.flags) - OFlags::TRUNC;
            if flags & OFlags::RWMODE != OFlags::RDONLY {
                self.writable()?;
            }
            OpenFile::file(node, Descriptor::new(self.open_inode(&inode, flags)?, permit), flags)
        };
        self.handles.insert_as(Handle(saved.handle), file);
        Ok(())
    }
}

/// Something is not found.
fn lose(
    options: Options,
    restored: &mut Restored,
    what: String,
    why: String,
) -> Result<(), RestoreError> {
    if options.on_error == OnError::Abort {
        return Err(RestoreError::Lost { what, why });
    }
    restored.lost += 1;
    tracing::warn!("{what} is not found here: {why}; the guest gets ESTALE");
    Ok(())
}

/// What the log calls it besides its number.
fn called(place: &Whereabouts) -> String {
    match place {
        Whereabouts::Path { path, .. } => format!(" ({})", path.escape_ascii()),
        _ => String::new(),
    }
}

fn file_type(kind: SavedKind) -> FileType {
    match kind {
        SavedKind::Regular => FileType::Regular,
        SavedKind::Directory => FileType::Directory,
        SavedKind::Other => FileType::Other,
    }
}

/// Where inodes are looked for.
struct Origins {
    paths: Paths,
    /// What file handles are opened by, or why not, for each of the state's mounts.
    mounts: Vec<io::Result<OwnedFd>>,
}

impl Origins {
    fn new(share: &Passthrough, state: &State, options: Options) -> Result<Self, RestoreError> {
        let paths = Paths::new(share)?;
        if let Some(expected) = &state.root
            && !is_called(share.path_fd(NodeId::ROOT)?.as_fd(), expected)?
        {
            return Err(RestoreError::Root);
        }
        if !state.mounts.is_empty() && options.mode != Mode::Handles {
            return Err(RestoreError::Handles);
        }
        let mounts = state.mounts.iter().map(|path| by_handles(&paths, path)).collect();
        Ok(Self { paths, mounts })
    }

    /// An `O_PATH` descriptor of an inode, or why there is none.
    fn find(&self, saved: &SavedInode) -> Result<OwnedFd, String> {
        let text = |error: io::Error| error.to_string();
        match &saved.place {
            Whereabouts::Path { path, handle } => {
                let fd = self.paths.open(path, OFlags::PATH).map_err(text)?;
                match handle {
                    Some(handle) if !is_called(fd.as_fd(), handle).map_err(text)? => {
                        Err("another file has its name".to_owned())
                    }
                    _ => Ok(fd),
                }
            }
            Whereabouts::Handle { mount, handle } => {
                let mount = self.mounts.get(*mount as usize).ok_or("its mount is not there")?;
                let mount = mount.as_ref().map_err(|error| format!("its mount: {error}"))?;
                open_by_handle(mount.as_fd(), handle).map_err(|error| match error.raw_os_error() {
                    Some(errno::EPERM) => {
                        format!("{error} (file handles take CAP_DAC_READ_SEARCH)")
                    }
                    _ => error.to_string(),
                })
            }
            Whereabouts::Nowhere(why) => Err(format!("where it was, {why}")),
        }
    }
}

/// Something on a mount, open as file handles want it.
fn by_handles(paths: &Paths, path: &[u8]) -> io::Result<OwnedFd> {
    let fd = paths.open(path, OFlags::PATH)?;
    if stat(&fd)?.file_type() == FileType::Other {
        return Err(errno::error(errno::EOPNOTSUPP));
    }
    reopen(&fd, OFlags::RDONLY)
}

fn open_by_handle(mount: BorrowedFd<'_>, handle: &SavedHandle) -> io::Result<OwnedFd> {
    let raw = RawFileHandle::new(handle.kind, &handle.bytes);
    let raw = raw.ok_or_else(|| errno::error(errno::EOVERFLOW))?;
    sys::open_by_handle_at(mount, &raw, libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC)
}

/// Whether what is open as `fd` has this file handle.
fn is_called(fd: BorrowedFd<'_>, expected: &SavedHandle) -> io::Result<bool> {
    let handle = FileHandle::of(fd, c"")?;
    Ok(handle.is_some_and(|handle| handle.parts() == (expected.kind, &expected.bytes[..])))
}
