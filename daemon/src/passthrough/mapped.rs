//! For whoever keeps pages of files mapped for the guest (DAX): it decides which files are, and has to follow their sizes.
//! Where the pages are is none of this file system's business.

use std::any::Any;
use std::ffi::CStr;
use std::fmt::Debug;
use std::io;
use std::os::fd::AsFd;

use fuse::NodeId;
use fuse::abi::AttrFlags;

use super::stat::{FileType, Stat, stat};
use super::{Passthrough, xattr};

/// The attribute that marks a file as one to be mapped, and the value that does.
///
/// Not Linux's own mark (`FS_XFLAG_DAX`): only ext4 and XFS keep that, it means something to the host, and it takes an open
/// file to read it.
const MARK: (&CStr, &[u8]) = (c"user.samepage.dax", b"1");

/// Keeps pages of files mapped for the guest.
pub trait Mapped: Debug + Send + Sync {
    /// Whether the guest shall map a regular file of this mode and size, which may be marked ([`MARK`]).
    fn maps(&self, mode: u32, size: u64, is_marked: &dyn Fn() -> bool) -> bool;

    /// Whether it matters at the moment that files grow.
    fn follows(&self) -> bool;

    /// The guest is about to learn that a file (by the host's numbers for device and inode) has `size` bytes.
    ///
    /// # Errors
    /// It must not learn that: it would use what is not mapped.
    fn follow(&self, device: u64, inode: u64, size: u64) -> io::Result<()>;

    /// A file will have `size` bytes, which the guest does not know: no page stays mapped that it will not have then.
    ///
    /// # Errors
    /// Then the file must stay as it is.
    fn fit(&self, device: u64, inode: u64, size: u64) -> io::Result<()>;

    /// The guest itself is about to cut a file. Its kernel has unmapped it.
    fn own_cut(&self, device: u64, inode: u64);

    /// The guest has unmounted, or has gone: nothing stays mapped.
    fn clear(&self);
}

/// Others who have files of the shared directory mapped for their guests.
pub trait Neighbours: Debug + Send + Sync {
    /// A file will have `size` bytes: nobody keeps a page mapped that it will not have then, nor maps one while the result
    /// lives.
    ///
    /// # Errors
    /// Then the file must stay as it is.
    fn before_cut(&self, device: u64, inode: u64, size: u64) -> io::Result<Cutting>;

    /// Whether somebody's guest waits for files to grow.
    fn mind_growth(&self) -> bool;

    /// A file has got longer.
    ///
    /// # Errors
    /// A guest that has it mapped does not get the new pages.
    fn grown(&self, device: u64, inode: u64, size: u64) -> io::Result<()>;
}

/// The right to cut a file.
pub type Cutting = Box<dyn Any>;

impl Passthrough {
    /// Before a file is cut to `size` bytes.
    ///
    /// # Errors
    /// `EBUSY`: another guest has it mapped, and its VMM does not let go.
    pub(super) fn before_cut(&self, file: impl AsFd, size: u64) -> io::Result<Option<Cutting>> {
        let (mapped, neighbours) = (&self.config.mapped, &self.config.neighbours);
        if mapped.is_none() && neighbours.is_none() {
            return Ok(None);
        }
        let stat = stat(file)?;
        if stat.file_type() != FileType::Regular {
            return Ok(None);
        }
        if let Some(mapped) = mapped {
            mapped.own_cut(stat.device(), stat.ino());
        }
        let neighbours = neighbours.as_ref();
        neighbours.map(|all| all.before_cut(stat.device(), stat.ino(), size)).transpose()
    }

    /// The guest is about to cut a file to nothing that it takes for another: it has not unmapped what it has of it.
    ///
    /// # Errors
    /// Those of [`Mapped::fit`].
    pub fn unmap_for_cut(&self, node: NodeId) -> io::Result<()> {
        let Some(mapped) = &self.config.mapped else { return Ok(()) };
        let stat = stat(self.path_fd(node)?)?;
        mapped.fit(stat.device(), stat.ino(), 0)
    }

    /// The guest is about to be told of a node's attributes; returns what it is told besides.
    ///
    /// # Errors
    /// Those of [`Mapped::follow`].
    pub(super) fn told(&self, node: NodeId, stat: &Stat) -> io::Result<AttrFlags> {
        let Some(mapped) = &self.config.mapped else { return Ok(AttrFlags::empty()) };
        if stat.file_type() != FileType::Regular {
            return Ok(AttrFlags::empty());
        }
        if mapped.follows() {
            mapped.follow(stat.device(), stat.ino(), stat.size())?;
        }
        let is_marked = || self.has_mark(node).unwrap_or(false);
        let is_mapped = mapped.maps(stat.permissions(), stat.size(), &is_marked);
        Ok(if is_mapped { AttrFlags::DAX } else { AttrFlags::empty() })
    }

    fn has_mark(&self, node: NodeId) -> io::Result<bool> {
        let (name, value) = MARK;
        let mut found = [0; 2];
        let len = xattr::read(self.path_fd(node)?.as_fd(), name, &mut found)?;
        Ok(found[..len] == *value)
    }

    /// The guest has changed a file in a way that may make it longer, and reckons the new size itself.
    ///
    /// # Errors
    /// Those of [`Mapped::follow`], or of `statx(2)`.
    pub(super) fn has_grown(&self, file: impl AsFd) -> io::Result<()> {
        let (mapped, neighbours) = self.who_minds_growth();
        if mapped.is_none() && neighbours.is_none() {
            return Ok(());
        }
        let stat = stat(file)?;
        let (device, inode, size) = (stat.device(), stat.ino(), stat.size());
        let own = mapped.map_or(Ok(()), |mapped| mapped.follow(device, inode, size));
        neighbours.map_or(Ok(()), |others| others.grown(device, inode, size)).and(own)
    }

    /// Whether [`Self::has_grown`] has anybody to tell at the moment.
    pub(super) fn is_growth_minded(&self) -> bool {
        let (mapped, neighbours) = self.who_minds_growth();
        mapped.is_some() || neighbours.is_some()
    }

    fn who_minds_growth(&self) -> (Option<&dyn Mapped>, Option<&dyn Neighbours>) {
        let mapped = self.config.mapped.as_deref().filter(|mapped| mapped.follows());
        let neighbours = self.config.neighbours.as_deref().filter(|others| others.mind_growth());
        (mapped, neighbours)
    }
}
