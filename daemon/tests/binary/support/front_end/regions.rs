//! The guest's memory as the VMM describes it, and its part in a DAX window.

use std::fs::File;
use std::os::fd::AsRawFd;

use vhost::vhost_user::{FrontendReqHandler, VhostUserFrontend, VhostUserFrontendReqHandler};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use super::{FrontEnd, MEMORY, QUEUE_STRIDE, REQUEST};

/// Behind the guest's own memory.
const ALIAS: u64 = 1 << 40;

impl FrontEnd {
    /// From now on the daemon may ask for mappings, over this channel.
    pub(crate) fn answer_over<S: VhostUserFrontendReqHandler>(
        &mut self,
        channel: &FrontendReqHandler<S>,
    ) {
        self.vhost.set_backend_request_fd(&channel.get_tx_raw_fd()).unwrap();
        // A driver begins.
        self.vhost.set_features(self.features).unwrap();
    }

    /// Replaces the guest's memory table by the same memory, as a VMM does when it plugs some in.
    pub(crate) fn swap_memory_table(&mut self) {
        let region = self.memory.iter().next().unwrap();
        let region = VhostUserMemoryRegionInfo::from_guest_region(region).unwrap();
        self.vhost.set_mem_table(&[region]).unwrap();
        // An answer, and with it the certainty that it has been done.
        self.vhost.get_queue_num().unwrap();
    }

    /// Shows `len` bytes of `file` to the guest as memory, as a VMM does that has mapped them into a window.
    pub(crate) fn add_memory(&mut self, file: &File, len: u64) {
        let region = self.memory.iter().next().unwrap();
        let own = VhostUserMemoryRegionInfo::from_guest_region(region).unwrap();
        let alias = VhostUserMemoryRegionInfo {
            guest_phys_addr: ALIAS,
            memory_size: len,
            userspace_addr: ALIAS,
            mmap_offset: 0,
            mmap_handle: file.as_raw_fd(),
        };
        self.vhost.set_mem_table(&[own, alias]).unwrap();
    }

    /// Where that is in the guest's memory.
    pub(crate) fn alias() -> u64 {
        ALIAS
    }
}

/// A guest's memory in the hands of another of its processors.
pub(crate) struct SharedMemory(pub(super) GuestMemoryMmap);

impl SharedMemory {
    /// Writes one byte of the descriptors (below 300) or of the request.
    pub(crate) fn flip(&self, queue: usize, at: u64, byte: u8) {
        let base = MEMORY + queue as u64 * QUEUE_STRIDE;
        let at = if at < 300 { at % 32 } else { REQUEST + at - 300 };
        self.0.write_obj(byte, GuestAddress(base + at)).unwrap();
    }
}
