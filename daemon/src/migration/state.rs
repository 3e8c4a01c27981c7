//! What a daemon knows of its guest, and another one has to know to go on.

use fuse::abi::InitFlags;

/// All of it. A guest that has not mounted has no session, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What INIT agreed on.
    pub session: Option<SavedSession>,
    /// The shared directory's handle, where handles count.
    pub root: Option<SavedHandle>,
    /// By position: something on each mount that file handles lie on, by its path.
    pub mounts: Vec<Vec<u8>>,
    /// All inodes that the guest knows, but the root.
    pub inodes: Vec<SavedInode>,
    /// All that it has open.
    pub files: Vec<SavedFile>,
}

/// What INIT agreed on, and what numbers were given since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedSession {
    /// The lower of the guest's and the daemon's minor version.
    pub minor: u32,
    /// Capabilities.
    pub agreed: InitFlags,
    /// No inode has had this number, nor a higher one.
    pub next_node: u64,
    /// The same of open files.
    pub next_handle: u64,
}

/// An inode that the guest knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedInode {
    /// Its number.
    pub node: u64,
    /// How often the guest was told of it and has not forgotten that; at least once.
    pub lookups: u64,
    /// What it is.
    pub kind: SavedKind,
    /// Where it is.
    pub place: Whereabouts,
}

/// What an inode is: what is found must be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedKind {
    /// A file.
    Regular,
    /// A directory.
    Directory,
    /// A symlink, device, FIFO or socket.
    Other,
}

/// How an inode is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// By its path below the shared directory, and with this handle if there is one.
    Path {
        /// Components with slashes between them, none of which is empty, "." or "..".
        path: Vec<u8>,
        /// What it must turn out to be.
        handle: Option<SavedHandle>,
    },
    /// By file handle.
    Handle {
        /// On which of [`State::mounts`].
        mount: u32,
        /// The handle.
        handle: SavedHandle,
    },
    /// Not at all, for this reason.
    Nowhere(String),
}

/// A file handle: a type, and bytes that its file system understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedHandle {
    /// `handle_type`.
    pub kind: i32,
    /// `f_handle`, at most 128 bytes.
    pub bytes: Vec<u8>,
}

/// An open file or directory. How far a directory has been read the guest says itself, with each READDIR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedFile {
    /// Its number.
    pub handle: u64,
    /// What is open.
    pub node: u64,
    /// `open(2)`'s flags on the host, but for those that count at that moment only.
    pub flags: u32,
}
