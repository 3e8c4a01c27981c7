//! For whoever keeps pages of files mapped for the guest (DAX): it decides which files are, and has to follow their sizes.
//! Where the pages are is none of this file system's business.

use std::fmt::Debug;
use std::io;
use std::os::fd::AsFd;

use fuse::abi::AttrFlags;

use super::Passthrough;
use super::stat::{FileType, Stat, stat};

/// Keeps pages of files mapped for the guest.
pub trait Mapped: Debug + Send + Sync {
    /// Whether the guest shall map a regular file of this mode and size.
    fn maps(&self, mode: u32, size: u64) -> bool;

    /// Whether it matters at the moment that files grow.
    fn follows(&self) -> bool;

    /// The guest is about to learn that a file (by the host's numbers for device and inode) has `size` bytes.
    ///
    /// # Errors
    /// It must not learn that: it would use what is not mapped.
    fn follow(&self, device: u64, inode: u64, size: u64) -> io::Result<()>;

    /// The guest has unmounted, or has gone: nothing stays mapped.
    fn clear(&self);
}

impl Passthrough {
    /// The guest is about to be told of these attributes; returns what it is told besides.
    ///
    /// # Errors
    /// Those of [`Mapped::follow`].
    pub(super) fn told(&self, stat: &Stat) -> io::Result<AttrFlags> {
        let Some(mapped) = &self.config.mapped else { return Ok(AttrFlags::empty()) };
        if stat.file_type() != FileType::Regular {
            return Ok(AttrFlags::empty());
        }
        if mapped.follows() {
            mapped.follow(stat.device(), stat.ino(), stat.size())?;
        }
        let is_mapped = mapped.maps(stat.permissions(), stat.size());
        Ok(if is_mapped { AttrFlags::DAX } else { AttrFlags::empty() })
    }

    /// The guest has changed a file in a way that may make it longer, and reckons the new size itself.
    ///
    /// # Errors
    /// Those of [`Mapped::follow`], or of `statx(2)`.
    pub(super) fn has_grown(&self, file: impl AsFd) -> io::Result<()> {
        let mapped = self.config.mapped.as_ref().filter(|mapped| mapped.follows());
        let Some(mapped) = mapped else { return Ok(()) };
        let stat = stat(file)?;
        mapped.follow(stat.device(), stat.ino(), stat.size())
    }
}
