//! Shared memory regions of the device (virtio 1.3, 2.10; vhost-user `SHMEM`): the DAX window, and a file that the guest
//! sees as a whole.
//!
//! The VMM makes the regions when it makes the device. QEMU 11.1 wants to be told to map something when the guest's
//! driver has started the device (told before, it crashes), and takes what is mapped away when the device is reset: a
//! file is mapped anew for each driver.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use tracing::{info, warn};
use vhost::vhost_user::message::VhostUserShMemConfig;

use super::messenger::Messenger;

/// Which region the DAX window is (virtio 1.3, 5.11.5).
pub(super) const DAX_WINDOW: u8 = 0;

/// A file for a shared memory region.
#[derive(Clone, Debug)]
pub struct SharedRegion {
    /// Which region (`shmid`); not 0, which is the DAX window's.
    pub id: u8,
    /// The file; QEMU wants to be able to write to it, whatever the guest may do.
    pub file: Arc<File>,
    /// Its length in bytes, a power of two.
    pub size: u64,
}

impl SharedRegion {
    /// Has the file mapped into the region. A VMM that does not do it has a guest that finds nothing there.
    ///
    /// # Errors
    /// No thread to be had.
    pub(super) fn map(&self, messenger: Arc<Messenger>) -> io::Result<()> {
        let region = self.clone();
        let map = move || match region.ask(&messenger) {
            Ok(()) => info!("shared memory region {} is mapped", region.id),
            Err(error) => warn!("the VMM does not map shared memory region {}: {error}", region.id),
        };
        thread::Builder::new().name("shared-region".to_owned()).spawn(map).map(drop)
    }

    /// Not writable: the guest has no business writing there. (QEMU 11.1 lets it all the same.)
    fn ask(&self, messenger: &Messenger) -> io::Result<()> {
        messenger.map(self.id, self.file.as_fd(), (0, 0, self.size), false)
    }
}

/// What the VMM is told of the device's regions; none where it has none.
pub(super) fn config(
    window: Option<u64>,
    file: Option<&SharedRegion>,
) -> Option<VhostUserShMemConfig> {
    let mut sizes = [0; 256];
    let window = window.map(|size| (DAX_WINDOW, size));
    let regions = window.into_iter().chain(file.map(|file| (file.id, file.size)));
    let count = regions.map(|(id, size)| sizes[usize::from(id)] = size).count();
    (count > 0).then(|| VhostUserShMemConfig::new(count as u32, &sizes))
}
