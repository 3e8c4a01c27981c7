//! The sequential file system that histories are held against.

use std::collections::BTreeMap;
use std::fmt;

use crate::op::{self, DIRECTORIES, Kind, NAMES, WORD};

/// An inode's number in the model: that of the operation that made it, so that it is the same in
/// every order in which operations may have happened. The directories come first.
pub type Id = u32;

/// What there is to know about an inode.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Inode {
    /// What it is.
    pub kind: Kind,
    /// The number that guests see; 0 if nobody has told.
    pub ino: u64,
    /// Permissions.
    pub mode: u32,
    /// Owner, and group.
    pub uid: u32,
    /// Names; of a directory 1 until it is removed.
    pub links: u32,
    /// Size.
    pub size: u64,
    /// Contents, or a link's target.
    pub word: u64,
    /// The extended attribute; 0 for none.
    pub xattr: u64,
    /// The time of modification, while it is one that was set.
    pub time: Option<u64>,
}

impl Inode {
    /// A new one.
    #[must_use]
    pub fn new(kind: Kind, ino: u64, mode: u32) -> Self {
        let (links, uid, size, word, xattr) = (1, 0, 0, 0, 0);
        Self { kind, ino, mode, uid, links, size, word, xattr, time: None }
    }

    /// Cut or extend.
    pub fn truncate(&mut self, size: u64) {
        if size < WORD {
            self.word &= (1 << (size * 8)) - 1;
        }
        self.size = size;
        self.time = None;
    }

    /// Write the word at the beginning.
    pub fn write(&mut self, word: u64) {
        self.word = word;
        self.size = self.size.max(WORD);
        self.time = None;
    }
}

/// The whole file system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    names: BTreeMap<(Id, u8), Id>,
    inodes: BTreeMap<Id, Inode>,
}

impl Default for State {
    fn default() -> Self {
        let directories =
            (0..DIRECTORIES.into()).map(|id| (id, Inode::new(Kind::Directory, 0, 0o755)));
        Self { names: BTreeMap::new(), inodes: directories.collect() }
    }
}

impl State {
    /// What a name means.
    #[must_use]
    pub fn lookup(&self, directory: Id, name: u8) -> Option<Id> {
        self.names.get(&(directory, name)).copied()
    }

    /// Whether every name means the same in both.
    #[must_use]
    pub fn has_same_names(&self, other: &Self) -> bool {
        self.names == other.names
    }

    /// An inode, which must be there: nobody holds one that was forgotten.
    #[must_use]
    pub fn inode(&self, id: Id) -> &Inode {
        &self.inodes[&id]
    }

    /// An inode to be changed; as [`State::inode`].
    ///
    /// # Panics
    /// It is not there.
    pub fn inode_mut(&mut self, id: Id) -> &mut Inode {
        self.inodes.get_mut(&id).expect("an inode stays as long as it is used")
    }

    /// The file with this number.
    #[must_use]
    pub fn by_number(&self, ino: u64) -> Option<Id> {
        let mut all = self.inodes.iter();
        all.find(|(_, inode)| ino != 0 && inode.ino == ino).map(|(id, _)| *id)
    }

    /// The files whose number nobody has told: they were made by a guest that died over it.
    pub fn without_number(&self) -> impl Iterator<Item = Id> {
        let files = self.inodes.iter();
        files.filter(|(_, inode)| inode.kind == Kind::File && inode.ino == 0).map(|(id, _)| *id)
    }

    /// Put a new inode under a name that is free.
    pub fn create(&mut self, directory: Id, name: u8, id: Id, inode: Inode) {
        self.inodes.insert(id, inode);
        self.names.insert((directory, name), id);
    }

    /// Let a name mean this inode too.
    pub fn link(&mut self, directory: Id, name: u8, id: Id) {
        self.inode_mut(id).links += 1;
        self.names.insert((directory, name), id);
    }

    /// Take a name away.
    pub fn unlink(&mut self, directory: Id, name: u8) {
        if let Some(id) = self.names.remove(&(directory, name)) {
            self.inode_mut(id).links -= 1;
        }
    }

    /// Let a name mean this, or nothing, and leave the link counts alone.
    pub fn set(&mut self, directory: Id, name: u8, id: Option<Id>) {
        match id {
            Some(id) => self.names.insert((directory, name), id),
            None => self.names.remove(&(directory, name)),
        };
    }

    /// Whether nothing is in a directory.
    #[must_use]
    pub fn is_empty(&self, directory: Id) -> bool {
        self.listing(directory) == 0
    }

    /// The names in a directory, a bit for each.
    #[must_use]
    pub fn listing(&self, directory: Id) -> u32 {
        let present = (0..NAMES).filter(|name| self.lookup(directory, *name).is_some());
        present.map(|name| 1 << name).sum()
    }

    /// Forget inodes without a name, but for those that are still `used`.
    pub fn forget(&mut self, used: &dyn Fn(Id) -> bool) {
        self.inodes.retain(|id, inode| inode.links > 0 || used(*id));
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((directory, name), id) in &self.names {
            writeln!(f, "  {directory}/{} is {id}: {:?}", op::name(*name), self.inodes[id])?;
        }
        Ok(())
    }
}
