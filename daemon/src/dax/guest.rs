//! The window as the file system knows it.

use std::io;
use std::sync::Arc;

use fuse::errno;

use super::{FileId, Policy, Window};
use crate::passthrough::Mapped;

/// A window, and which files are mapped into it.
#[derive(Debug)]
pub struct GuestView {
    /// The window.
    pub window: Arc<Window>,
    /// Which files.
    pub policy: Policy,
}

impl Mapped for GuestView {
    fn maps(&self, mode: u32, size: u64, is_marked: &dyn Fn() -> bool) -> bool {
        self.policy.maps(mode, size, is_marked)
    }

    fn follows(&self) -> bool {
        self.window.follows()
    }

    fn follow(&self, device: u64, inode: u64, size: u64) -> io::Result<()> {
        self.window.follow(FileId { device, inode }, size)
    }

    fn fit(&self, device: u64, inode: u64, size: u64) -> io::Result<()> {
        // Why not, the log says.
        let busy = |_| errno::error(libc::EBUSY);
        self.window.fit(FileId { device, inode }, size).map(drop).map_err(busy)
    }

    fn own_cut(&self, device: u64, inode: u64) {
        self.window.own_cut(FileId { device, inode });
    }

    fn clear(&self) {
        self.window.clear();
    }
}
