//! What another daemon needs to know of the guest.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use fuse::{Agreement, NodeId};
use rustix::fs::OFlags;

use super::SaveError;
use super::paths::{FileId, Paths};
use crate::migration::{
    Mode, Options, SavedFile, SavedHandle, SavedInode, SavedKind, SavedSession, State, Whereabouts,
};
use crate::passthrough::Passthrough;
use crate::passthrough::identity::{FileHandle, Name};
use crate::passthrough::inode::Inode;
use crate::passthrough::stat::{FileType, stat};

impl Passthrough {
    /// What another daemon needs to go on with the guest, which agreed on `agreement` with the server. No request is in
    /// progress. Paths are looked for now, while the guest stands still: nobody moves a file but others on the host.
    ///
    /// # Errors
    /// [`SaveError`] where the guest cannot be moved. It can go on here.
    pub fn save(&self, agreement: Agreement, options: Options) -> Result<State, SaveError> {
        self.is_movable()?;
        let session = SavedSession {
            minor: agreement.minor,
            agreed: agreement.flags | self.session.flags(),
            next_node: self.inodes.next(),
            next_handle: self.handles.next(),
        };
        let mut saving = Saving {
            share: self,
            options,
            paths: Paths::new(self)?,
            mounts: HashMap::new(),
            nameless: HashMap::new(),
            state: State { session: Some(session), ..State::default() },
        };
        saving.root()?;
        for inode in self.inodes.all() {
            saving.inode(&inode);
        }
        saving.search();
        let files = self.handles.all().into_iter();
        saving.state.files = files
            .map(|(handle, file)| SavedFile {
                handle,
                node: file.node().0,
                flags: (file.flags() - OFlags::TRUNC).bits(),
            })
            .collect();
        Ok(saving.state)
    }

    fn is_movable(&self) -> Result<(), SaveError> {
        if self.config.mapped.is_some() {
            return Err(SaveError::Window);
        }
        let (records, _) = self.locks.figures();
        let files = self.handles.all().iter().filter(|(_, file)| file.is_locked()).count();
        if records + files > 0 { Err(SaveError::Locks { records, files }) } else { Ok(()) }
    }
}

/// A state that is being written.
struct Saving<'a> {
    share: &'a Passthrough,
    options: Options,
    paths: Paths,
    /// Places of mounts in the state, by their ids.
    mounts: HashMap<u64, u32>,
    /// Places of inodes in the state that have names, but the kernel does not remember which.
    nameless: HashMap<FileId, usize>,
    state: State,
}

impl Saving<'_> {
    fn root(&mut self) -> io::Result<()> {
        let root = self.share.inode(NodeId::ROOT)?;
        if self.options.mode == Mode::Handles || self.options.verify_handles {
            self.state.root = handle_of(&root, self.share)?;
        }
        if self.options.mode == Mode::Handles {
            self.mounts.insert(root.mount.id(), 0);
            self.state.mounts.push(Vec::new());
        }
        Ok(())
    }

    fn inode(&mut self, inode: &Arc<Inode>) {
        let place = match self.options.mode {
            Mode::Paths => self.by_path(inode),
            Mode::Handles => self.by_handle(inode),
        };
        self.state.inodes.push(SavedInode {
            node: inode.nodeid.0,
            lookups: inode.lookups(),
            kind: match inode.file_type {
                FileType::Regular => SavedKind::Regular,
                FileType::Directory => SavedKind::Directory,
                FileType::Other => SavedKind::Other,
            },
            place: place.unwrap_or_else(|error| Whereabouts::Nowhere(error.to_string())),
        });
    }

    fn by_path(&mut self, inode: &Arc<Inode>) -> io::Result<Whereabouts> {
        let fd = self.share.path_of(inode)?;
        let attributes = stat(&fd)?;
        let id = FileId::of(&attributes)?;
        if let Some(path) = self.paths.of(fd.as_fd(), id) {
            return Ok(Whereabouts::Path { path, handle: self.proof(inode) });
        }
        if attributes.nlink() == 0 {
            return Ok(Whereabouts::Nowhere("it has no name any more".to_owned()));
        }
        self.nameless.insert(id, self.state.inodes.len());
        Ok(Whereabouts::Nowhere("none of its names is below the shared directory".to_owned()))
    }

    /// What shows at the other end that it is the right file.
    fn proof(&self, inode: &Arc<Inode>) -> Option<SavedHandle> {
        if self.options.verify_handles { handle_of(inode, self.share).ok()? } else { None }
    }

    /// Looks for inodes whose names are not remembered.
    fn search(&mut self) {
        if self.nameless.is_empty() {
            return;
        }
        let count = self.nameless.len();
        tracing::info!(
            "looking through the shared directory for {count} inodes without a known name"
        );
        let mut places = Vec::new();
        self.paths.search(&mut self.nameless, |index, path| places.push((index, path)));
        for (index, path) in places {
            let node = NodeId(self.state.inodes[index].node);
            let handle = self.share.inode(node).ok().and_then(|inode| self.proof(&inode));
            self.state.inodes[index].place = Whereabouts::Path { path, handle };
        }
    }

    fn by_handle(&mut self, inode: &Arc<Inode>) -> io::Result<Whereabouts> {
        let Some(handle) = handle_of(inode, self.share)? else {
            return Ok(Whereabouts::Nowhere("its file system has no file handles".to_owned()));
        };
        Ok(match self.mount(inode)? {
            Some(mount) => Whereabouts::Handle { mount, handle },
            None => Whereabouts::Nowhere("nothing on its mount has a name".to_owned()),
        })
    }

    /// The inode's mount among those of the state.
    fn mount(&mut self, inode: &Arc<Inode>) -> io::Result<Option<u32>> {
        if let Some(mount) = self.mounts.get(&inode.mount.id()) {
            return Ok(Some(*mount));
        }
        let fd = self.share.path_of(inode)?;
        let Some(path) = self.paths.of(fd.as_fd(), FileId::of(&stat(&fd)?)?) else {
            return Ok(None);
        };
        let mount = self.state.mounts.len() as u32;
        self.state.mounts.push(path);
        self.mounts.insert(inode.mount.id(), mount);
        Ok(Some(mount))
    }
}

fn handle_of(inode: &Arc<Inode>, share: &Passthrough) -> io::Result<Option<SavedHandle>> {
    let saved = |handle: &FileHandle| {
        let (kind, bytes) = handle.parts();
        SavedHandle { kind, bytes: bytes.to_vec() }
    };
    if let Name::Handle(handle) = &inode.identity.name {
        return Ok(Some(saved(handle)));
    }
    Ok(FileHandle::of(share.path_of(inode)?.as_fd(), c"")?.as_ref().map(saved))
}
