//! The handshake.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
};
use vm_memory::{GuestAddress, GuestMemoryBackend};

use super::memory::Memory;
use super::queue::{self, Queue};

/// What a Linux guest under QEMU agrees on.
const FEATURES: u64 = (1 << VIRTIO_F_VERSION_1)
    | (1 << VIRTIO_RING_F_INDIRECT_DESC)
    | (1 << VIRTIO_RING_F_EVENT_IDX)
    | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();

/// A connected front end, with its rings running.
pub(crate) struct Connection {
    vhost: Frontend,
    /// The request queues: all but hiprio.
    pub(crate) queues: Vec<Queue>,
}

impl Connection {
    /// Connects to `socket` with `requests` request queues of `depth` places, each with `room` bytes for a request and
    /// as many for its reply.
    ///
    /// # Errors
    /// The daemon has not so many queues, or does not speak as it should.
    pub(crate) fn open(socket: &Path, requests: usize, depth: usize, room: usize) -> Result<Self> {
        let all = requests + 1;
        let mut vhost = Frontend::connect(socket, all as u64).context("cannot connect")?;
        vhost.set_owner()?;
        let offered = vhost.get_features()?;
        ensure!(offered & FEATURES == FEATURES, "the daemon offers {offered:#x} only");
        let protocol = vhost.get_protocol_features()?;
        let unwanted = VhostUserProtocolFeatures::XEN_MMAP | VhostUserProtocolFeatures::LOG_SHMFD;
        vhost.set_protocol_features(protocol & !unwanted)?;
        if protocol.contains(VhostUserProtocolFeatures::MQ) {
            ensure!(vhost.get_queue_num()? >= all as u64, "the daemon has fewer queues");
        } else {
            ensure!(all <= 2, "the daemon has fewer queues");
        }
        vhost.set_features(FEATURES)?;
        let mut memory = Memory::new()?;
        let region = memory.mapped.iter().next().context("no memory")?;
        vhost.set_mem_table(&[VhostUserMemoryRegionInfo::from_guest_region(region)?])?;
        let mut queues = Vec::with_capacity(all);
        for index in 0..all {
            let depth = if index == 0 { 1 } else { depth };
            let queue = Queue::new(&mut memory, depth, room)?;
            start(&mut vhost, index, &queue)?;
            queues.push(queue);
        }
        queues.remove(0);
        Ok(Self { vhost, queues })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for index in 0..=self.queues.len() {
            // The daemon sees the end of the connection in any case.
            let _ = self.vhost.get_vring_base(index);
        }
    }
}

fn start(vhost: &mut Frontend, index: usize, queue: &Queue) -> Result<()> {
    let host = |address| -> Result<u64> {
        Ok(queue.memory().get_host_address(GuestAddress(address))? as u64)
    };
    let places = queue.places();
    let addresses = VringConfigData {
        queue_max_size: queue::SIZE,
        queue_size: queue::SIZE,
        flags: 0,
        desc_table_addr: host(places.descriptors)?,
        avail_ring_addr: host(places.available)?,
        used_ring_addr: host(places.used)?,
        log_addr: None,
    };
    vhost.set_vring_num(index, queue::SIZE)?;
    vhost.set_vring_base(index, 0)?;
    vhost.set_vring_addr(index, &addresses)?;
    vhost.set_vring_call(index, queue.call())?;
    vhost.set_vring_kick(index, queue.kick())?;
    vhost.set_vring_enable(index, true)?;
    Ok(())
}
