//! Identifiers that travel between the guest's kernel and a file system.

/// What the guest's kernel calls an inode. 0 means "no inode" in a negative LOOKUP reply; 1 is the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The shared directory itself (`FUSE_ROOT_ID`).
    pub const ROOT: Self = Self(1);
}

/// An open file or directory (`fh`): made up by the file system, opaque to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Handle(pub u64);

/// Who asks: the guest process's file-system credentials, as `fuse_in_header` carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// fsuid of the guest's process.
    pub uid: u32,
    /// fsgid of the guest's process.
    pub gid: u32,
    /// The process in the guest. For logs only.
    pub pid: u32,
}
