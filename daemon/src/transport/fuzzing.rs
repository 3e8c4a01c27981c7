//! What fuzzers run of the transport: a guest's memory, with a ring and descriptors in it, as the input says.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use fuse::io::{ReplyWriter, RequestReader};
use fuse::park::Park;
use fuse::{Handled, Mapper, ProtocolError};
use vhost_user_backend::VringT;
use virtio_queue::QueueT;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use super::RequestHandler;
use super::chain::{self, Table};
use super::memory::{AtomicMemory, Memory};
use super::ring::{Ring, Taken};
use super::serve::Counters;

/// Two regions that touch; there is nothing above.
const SEAM: u64 = 0x4000;
const END: u64 = 0x8000;

/// Where the ring is in memory, unless the input moves it.
const TABLE: u64 = 0;
const AVAILABLE: u64 = 0x400;
const USED: u64 = 0x800;
const SIZE: u16 = 16;

thread_local! {
    /// Mapped once: a mapping takes longer than all the rest.
    static MEMORY: RefCell<AtomicMemory> = RefCell::new(AtomicMemory::new(memory()));
}

fn memory() -> Memory {
    let ranges = [(GuestAddress(0), SEAM as usize), (GuestAddress(SEAM), (END - SEAM) as usize)];
    Memory::from_ranges(&ranges).expect("memory for fuzzing")
}

/// Fills memory from its start, and zeroes the rest as far as inputs get.
fn fill(memory: &Memory, input: &[u8]) {
    const REACH: usize = 0x2000;
    let mut bytes = [0; REACH];
    let len = input.len().min(REACH);
    bytes[..len].copy_from_slice(&input[..len]);
    memory.write_slice(&bytes, GuestAddress(0)).expect("inside memory");
}

/// Walks the chain that the input's first two bytes name, in a table that the rest of it is.
///
/// # Panics
/// Where a chain is taken whose buffers cannot be used.
pub fn descriptors(input: &[u8]) {
    let Some((head, rest)) = input.split_first_chunk() else { return };
    MEMORY.with_borrow(|atomic| {
        let memory = atomic.memory();
        fill(&memory, rest);
        let table = Table { address: GuestAddress(TABLE), len: u32::from(SIZE) };
        let Ok(chain) = chain::walk(&memory, table, u16::from_le_bytes(*head)) else { return };
        assert!(!chain.readable.is_empty() || !chain.writable.is_empty());
        let mut bytes = vec![0; chain.readable.len().min(0x1_0000)];
        chain.readable.copy_out(0, &mut bytes).expect("readable");
        chain.writable.copy_in(0, &bytes[..bytes.len().min(chain.writable.len())]).expect("room");
        assert!(chain.readable.copy_out(chain.readable.len(), &mut [0]).is_err());
        assert!(chain.writable.copy_in(chain.writable.len(), &[0]).is_err());
        assert!(chain.readable.iovecs(0, usize::MAX).len() <= 1024);
    });
}

/// Serves a ring: the input is how it is set up and what is done, in pieces of four bytes, and then guest memory.
/// Returns how many requests were answered.
///
/// # Panics
/// Where requests are left in progress.
#[allow(clippy::must_use_candidate)] // A fuzzer does not ask.
pub fn ring(input: &[u8]) -> u32 {
    let Some((&[steps, size], mut rest)) = input.split_first_chunk() else { return 0 };
    MEMORY.with_borrow(|atomic| {
        let mut scene = Scene::new(atomic, size);
        let mut script = Vec::new();
        for _ in 0..steps % 32 {
            let Some((step, tail)) = rest.split_first_chunk::<4>() else { break };
            script.push(*step);
            rest = tail;
        }
        fill(&atomic.memory(), rest);
        for [what, which, low, high] in script {
            scene.step(what, which, u16::from_le_bytes([low, high]));
        }
        // Relaxed by nature: one thread.
        assert!(scene.ring.is_idle_within(std::time::Duration::ZERO));
        scene.served
    })
}

struct Scene<'a> {
    memory: &'a AtomicMemory,
    ring: Ring,
    counters: Arc<Counters>,
    served: u32,
}

impl<'a> Scene<'a> {
    fn new(memory: &'a AtomicMemory, size: u8) -> Self {
        let ring = Ring::new(memory.clone(), 1024).expect("a ring");
        // Sizes that make no sense are refused by the library, which keeps the last.
        ring.set_queue_size(if size == 0 { SIZE } else { u16::from(size) });
        let _ = ring.set_queue_info(TABLE, AVAILABLE, USED);
        ring.set_queue_ready(true);
        ring.set_enabled(true);
        Self { memory, ring, counters: Arc::default(), served: 0 }
    }

    fn step(&mut self, what: u8, which: u8, value: u16) {
        match what % 9 {
            0..=2 => self.serve(),
            3 => drop(self.ring.enable_kicks()),
            4 => drop(self.ring.disable_kicks()),
            5 => {
                let at = GuestAddress(u64::from(value) % END);
                // Beyond the end is one of the cases.
                let _ = self.memory.memory().write_obj(u16::from(which) * 257, at);
            }
            6 => {
                self.ring.set_queue_next_avail(value);
                self.ring.set_queue_next_used(value);
            }
            7 => {
                let [table, available, used] = match which % 4 {
                    0 => [u64::from(value), AVAILABLE, USED],
                    1 => [TABLE, u64::from(value), USED],
                    2 => [TABLE, AVAILABLE, u64::from(value)],
                    _ => [u64::MAX - u64::from(value); 3],
                };
                let _ = self.ring.set_queue_info(table, available, used);
            }
            _ => self.ring.set_queue_event_idx(which & 1 == 1),
        }
    }

    fn serve(&mut self) {
        // As a worker does: an error stops the ring.
        match self.ring.take(1) {
            Ok(Taken::Request(request)) => match request.serve(&Echo, &self.counters, None, None) {
                Ok(()) => self.served += 1,
                Err(_) => drop(self.ring.stop()),
            },
            Ok(Taken::Empty | Taken::Inactive) => {}
            Err(_) => drop(self.ring.stop()),
        }
        assert!(self.ring.get_ref().get_queue().size() <= 1024);
    }
}

/// Answers with what it was asked, as far as there is room.
struct Echo;

impl RequestHandler for Echo {
    fn prepare_thread(&self) -> io::Result<()> {
        Ok(())
    }

    fn handle(
        &self,
        request: &mut dyn RequestReader,
        reply: &mut dyn ReplyWriter,
        _: Option<&dyn Mapper>,
        _: &dyn Park,
    ) -> Result<Handled, ProtocolError> {
        let mut bytes = vec![0; request.remaining().min(reply.capacity()).min(0x1_0000)];
        request.read_exact(&mut bytes).map_err(ProtocolError::Memory)?;
        reply.write_at(0, &bytes).map_err(ProtocolError::Memory)?;
        Ok(Handled::Replied(bytes.len()))
    }

    fn save(&self) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn load(&self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn cancel_parked(&self) {}

    fn reset(&self) {}
}

/// Inputs to begin with: a chain, an indirect one, one that loops.
#[cfg(test)]
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let descriptor = |address: u64, len: u32, flags: u16, next: u16| {
        [&address.to_le_bytes()[..], &len.to_le_bytes(), &flags.to_le_bytes(), &next.to_le_bytes()]
            .concat()
    };
    let (next, write, indirect) = (1, 2, 4);
    let direct = [descriptor(0x1000, 40, next, 1), descriptor(0x1800, 80, write, 0)].concat();
    let mut table = descriptor(0x200, 32, indirect, 0);
    table.resize(0x200, 0);
    table.extend_from_slice(&direct);
    let seam = [descriptor(SEAM - 8, 16, next, 1), descriptor(0x1800, 16, write, 0)].concat();
    let seeds = [("chain", direct), ("indirect", table), ("seam", seam)];
    seeds.map(|(name, table)| (name, seed(table))).into()
}

/// Serve once, with one entry in the available ring.
#[cfg(test)]
fn seed(mut memory: Vec<u8>) -> Vec<u8> {
    memory.resize(AVAILABLE as usize, 0);
    // Flags, index 1, head 0.
    memory.extend_from_slice(&[0, 0, 1, 0, 0, 0]);
    let serve = [0, 0, 0, 0];
    [&[1, 0][..], &serve, &memory].concat()
}
