//! For whoever vouches for replies: it is asked right before the host is, so that what it says is never newer than the
//! answer. What it vouches by is none of this file system's business.

use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;

use fuse::abi::Stamp;
use smallvec::SmallVec;

/// What an observer keeps with each inode that the guest knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// Stands for the inode; 0: nothing vouches for it.
    pub key: u64,
    /// Of a directory: how its names are compared.
    pub names: NameRule,
    /// Which of the observer's file systems it lies on; 0: of none.
    pub system: u8,
}

/// How a directory compares names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameRule {
    /// It has none, or nothing vouches for them.
    #[default]
    None,
    /// Byte for byte: one name is one name.
    Bytewise,
    /// Without regard to case.
    Folded,
    /// The daemon may not find out.
    Unknown,
}

/// What an observer wants to be kept for as long as the guest knows an inode.
pub type Pin = Box<dyn Debug + Send + Sync>;

/// What an inode will be kept with, if it lies where it is expected.
#[derive(Debug)]
pub struct Expected {
    /// Good to be observed by.
    pub tag: Tag,
    /// As of [`Observer::meet`].
    pub pin: Option<Pin>,
    /// The device that the inode must have: a mount can have several.
    pub device: u64,
}

/// What the host knows an inode by.
#[derive(Clone, Copy, Debug)]
pub struct HostInode<'a> {
    /// An open descriptor of it, maybe by `O_PATH`.
    pub fd: BorrowedFd<'a>,
    /// `stx_dev` as `makedev` makes it.
    pub device: u64,
    /// `stx_ino`.
    pub ino: u64,
    /// Type and bytes of its file handle, where its file system has handles.
    pub handle: Option<(i32, &'a [u8])>,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Whether `fd` is open for reading; if not, it may be by `O_PATH`.
    pub is_readable: bool,
}

/// Names that are observed at once.
pub const NAMES_AT_ONCE: usize = 16;

/// Stamps of names, in the names' order.
pub type NameStamps = SmallVec<[Stamp; NAMES_AT_ONCE]>;

/// Vouches for what replies say. The stamps that it hands out travel with the replies.
pub trait Observer: Debug + Send + Sync {
    /// What to keep with an inode that the guest is told of for the first time.
    ///
    /// # Errors
    /// As for [`Self::tag`].
    fn meet(&self, inode: &HostInode<'_>) -> io::Result<(Tag, Option<Pin>)>;

    /// As [`Self::meet`] for an inode of which no more is known than its file handle, and that it lies on the mount of
    /// what has the tag `parent`: so that it can be observed before its attributes are read for the first time. It holds
    /// if the inode's device turns out to be the answer's; [`Self::settle`] then gives the tag to keep. None: nothing can
    /// be told yet.
    fn expect(&self, parent: Tag, handle: (i32, &[u8]), fd: BorrowedFd<'_>) -> Option<Expected>;

    /// Whether a directory in `parent` is best shown as open for reading, where it is opened anyway.
    fn reads_directories(&self, parent: Tag) -> bool;

    /// The tag of an inode that was expected, and of which everything is known now.
    ///
    /// # Errors
    /// As for [`Self::tag`].
    fn settle(&self, expected: Tag, inode: &HostInode<'_>) -> io::Result<Tag>;

    /// An inode that the guest knows is at hand, open as `fd`, and about to be observed: for what could not be done when it
    /// was met.
    fn meet_again(&self, inode: Tag, fd: BorrowedFd<'_>);

    /// The tag of an inode that the guest is told nothing of.
    ///
    /// # Errors
    /// It cannot be told whether somebody has to learn of the inode's changes: the operation must fail.
    fn tag(&self, inode: &HostInode<'_>) -> io::Result<Tag>;

    /// About to find out what `names`, entries of a listing, mean in `dir`: a stamp for each of the first of them, at
    /// least for one; none where nobody would look at them. Several at once cost less than one after the other.
    fn names(&self, dir: Tag, names: &mut dyn Iterator<Item = &[u8]>) -> NameStamps;

    /// About to read an inode's attributes. None where nobody would look at the stamp.
    fn attributes(&self, inode: Tag) -> Option<Stamp>;
}
