//! The VMM's log of the pages that the daemon writes to.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};
use vhost::vhost_user::VhostUserFrontend;
use vhost::vhost_user::message::VhostUserVirtioFeatures;
use vhost::{VhostBackend, VhostUserDirtyLogRegion};
use vm_memory::{Bytes, GuestAddress};

use super::{AVAILABLE, FrontEnd, REPLY, REQUEST, USED};

const PAGE: u64 = 0x1000;

/// A bitmap in memory that VMM and daemon share: a bit for each page from address 0 on.
pub(crate) struct Log {
    pub(crate) file: File,
    len: u64,
}

impl Log {
    /// One that reaches to the end of the guest's memory.
    pub(crate) fn new() -> Self {
        Self::of((FrontEnd::end_of_memory() / PAGE).div_ceil(8).next_multiple_of(PAGE))
    }

    /// One of `len` bytes.
    pub(crate) fn of(len: u64) -> Self {
        let file = File::from(memfd_create("log", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(len).unwrap();
        Self { file, len }
    }

    /// Whether the page of `address` is marked.
    pub(crate) fn is_marked(&self, address: u64) -> bool {
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, address / PAGE / 8).unwrap();
        byte[0] & (1 << (address / PAGE % 8)) != 0
    }

    /// Takes all marks away, as the VMM does when it has copied the pages.
    pub(crate) fn clear(&self) {
        self.file.write_all_at(&vec![0; self.len as usize], 0).unwrap();
    }
}

impl FrontEnd {
    /// Begins a migration: the daemon shall mark in `log` what it writes to. The rings go on.
    pub(crate) fn log_pages(&mut self, log: &Log) {
        self.give_log(log);
        self.set_logging(true);
    }

    /// Hands over a log.
    pub(crate) fn give_log(&mut self, log: &Log) {
        let region = VhostUserDirtyLogRegion {
            mmap_size: log.len,
            mmap_offset: 0,
            mmap_handle: log.file.as_raw_fd(),
        };
        self.vhost.set_log_base(0, Some(region)).unwrap();
    }

    /// Turns `VHOST_F_LOG_ALL` on or off, and says where the rings are, as QEMU does.
    pub(crate) fn set_logging(&mut self, on: bool) {
        let log_all = VhostUserVirtioFeatures::LOG_ALL.bits();
        self.vhost.set_features(self.features | if on { log_all } else { 0 }).unwrap();
        (0..self.queues.len()).for_each(|index| self.place_ring(index, on));
        // An answer, and with it the certainty that it has been done.
        self.vhost.get_queue_num().unwrap();
    }

    /// Addresses of `queue` that only the guest writes to.
    pub(crate) fn guests_own(&self, queue: usize) -> [u64; 3] {
        [0, AVAILABLE, REQUEST].map(|offset| self.queues[queue].base + offset)
    }

    /// The bytes of each page of `queue`'s used ring and reply area, the first `len` of that, with the page's address.
    pub(crate) fn daemons_pages(&self, queue: usize, len: u64) -> Vec<(u64, Vec<u8>)> {
        let base = self.queues[queue].base;
        let replies = (0..len.div_ceil(PAGE)).map(|page| REPLY + page * PAGE);
        let pages = std::iter::once(USED).chain(replies).map(|offset| base + offset);
        let read = |address| {
            let mut bytes = vec![0; PAGE as usize];
            self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
            (address, bytes)
        };
        pages.map(read).collect()
    }
}
