//! A file that the guest sees as a shared memory region of the device (virtio 1.3, 2.10; vhost-user `SHMEM`).
//!
//! The VMM makes the region when it makes the device, and maps the file into it when it is told to, by a message in the
//! other direction, which it reads when it has nothing else to do. So a thread of its own waits for the answer, never one
//! that the VMM may be waiting for.
//!
//! QEMU 11.1 wants to be told when the guest's driver has started the device (told before, it crashes), and takes what is
//! mapped away when the device is reset: the file is mapped anew for each driver.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread;

use tracing::{info, warn};
use vhost::vhost_user::message::{VhostUserMMap, VhostUserShMemConfig};
use vhost::vhost_user::{Backend, VhostUserFrontendReqHandler};

/// A file for a shared memory region.
#[derive(Clone, Debug)]
pub struct SharedRegion {
    /// Which region (`shmid`).
    pub id: u8,
    /// The file; QEMU wants to be able to write to it, whatever the guest may do.
    pub file: Arc<File>,
    /// Its length in bytes, a power of two.
    pub size: u64,
}

impl SharedRegion {
    /// What the VMM is told of the device's regions.
    pub(super) fn config(&self) -> VhostUserShMemConfig {
        let mut sizes = [0; 256];
        sizes[usize::from(self.id)] = self.size;
        VhostUserShMemConfig::new(1, &sizes)
    }

    /// Has the file mapped into the region. A VMM that does not do it has a guest that finds nothing there.
    ///
    /// # Errors
    /// No thread to be had.
    pub(super) fn map(&self, backend: Backend) -> io::Result<()> {
        let region = self.clone();
        let map = move || match region.ask(&backend) {
            Ok(_) => info!("shared memory region {} is mapped", region.id),
            Err(error) => warn!("the VMM does not map shared memory region {}: {error}", region.id),
        };
        thread::Builder::new().name("shared-memory".to_owned()).spawn(map).map(drop)
    }

    /// Without `WRITABLE`: the guest has no business writing there. (QEMU 11.1 lets it all the same.)
    fn ask(&self, backend: &Backend) -> io::Result<u64> {
        let map = VhostUserMMap { shmid: self.id, len: self.size, ..VhostUserMMap::default() };
        backend.shmem_map(&map, &*self.file)
    }
}
