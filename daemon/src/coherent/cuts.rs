//! Files that are cut short while guests have them mapped: all daemons of the table agree first (`coherence::FileLock`).

use std::io;
use std::sync::Arc;

use coherence::{Engine, FileNumber, Tenant, Unyielding};
use fuse::errno;

use crate::dax::{Entered, FileId, Gate, Window};
use crate::passthrough::{Cutting, Neighbours};

/// The daemons of a table, as seen by one that cuts files or maps them.
#[derive(Debug)]
pub struct Cuts(Arc<Engine>);

impl Cuts {
    /// The table's.
    #[must_use]
    pub fn new(engine: &Arc<Engine>) -> Self {
        Self(Arc::clone(engine))
    }
}

impl Neighbours for Cuts {
    fn before_cut(&self, device: u64, inode: u64, size: u64) -> io::Result<Cutting> {
        let mut lock = self.0.lock_file(FileNumber { device, inode }).map_err(busy)?;
        lock.others_fit(size).map_err(busy)?;
        Ok(Box::new(lock))
    }

    fn mind_growth(&self) -> bool {
        self.0.has_blanks()
    }

    fn grown(&self, device: u64, inode: u64, size: u64) -> io::Result<()> {
        self.0.grown(FileNumber { device, inode }, size).map_err(busy)
    }
}

impl Gate for Cuts {
    fn enter(&self, file: FileId) -> io::Result<Entered> {
        Ok(Box::new(self.0.lock_file(number(file)).map_err(busy)?))
    }

    fn set_mapped(&self, files: &[FileId]) {
        self.0.set_mapped(files.iter().copied().map(number));
    }
}

fn busy(error: Unyielding) -> io::Error {
    tracing::warn!(
        "a file stays as it is: {error}; end that VMM, or unmount its share (docs/dax.md)"
    );
    errno::error(libc::EBUSY)
}

fn number(FileId { device, inode }: FileId) -> FileNumber {
    FileNumber { device, inode }
}

/// A DAX window as others of the table know it.
#[derive(Debug)]
pub struct WindowTenant(pub Arc<Window>);

impl Tenant for WindowTenant {
    fn fit(&self, FileNumber { device, inode }: FileNumber, size: u64) -> io::Result<bool> {
        self.0.fit(FileId { device, inode }, size)
    }

    fn settle(&self, FileNumber { device, inode }: FileNumber) {
        if let Err(error) = self.0.fit_to_file(FileId { device, inode }) {
            tracing::error!("a guest has lost pages of a file that was not cut: {error}");
        }
    }
}
