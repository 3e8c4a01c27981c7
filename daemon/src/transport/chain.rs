//! Walks a descriptor chain and checks all of it before anybody uses any of it.
//!
//! `virtio-queue`'s own iterator ends without a word where a chain is malformed, so that such a chain looks like a
//! short one. This walk tells. Rules: virtio 1.3, 2.7.4 (readable before writable), 2.7.5 (the descriptor table).

use thiserror::Error;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, VolatileSlice};

use super::buffers::Buffers;
use super::memory::{Memory, stretch};

/// Descriptors that one request may have, indirect ones included. Linux asks for at most one a page of data and a few
/// for headers; the bound is here so that a request cannot make the walk, or the memory it takes, arbitrarily long.
const MAX_DESCRIPTORS: u32 = 4096;

const DESCRIPTOR_SIZE: u32 = size_of::<Descriptor>() as u32;

/// A request's memory: what the guest wrote, and room for the reply.
#[derive(Debug, Default)]
pub(super) struct Chain<'m> {
    pub(super) readable: Buffers<'m>,
    pub(super) writable: Buffers<'m>,
}

/// A table of descriptors in guest memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) address: GuestAddress,
    /// Descriptors in it.
    pub(super) len: u32,
}

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum ChainError {
    #[error("descriptor {index} of a table of {len}")]
    NoSuchDescriptor { index: u32, len: u32 },
    #[error("descriptor table at {address:#x} is outside guest memory")]
    TableOutsideMemory { address: u64 },
    #[error("chain of more than {limit} descriptors, or a loop")]
    TooLong { limit: u32 },
    #[error("indirect table of {len} bytes is not a table of descriptors")]
    IndirectTable { len: u32 },
    #[error("indirect table inside an indirect table, or in the middle of a chain")]
    MisplacedIndirect,
    #[error("buffer of no length at {address:#x}")]
    EmptyBuffer { address: u64 },
    #[error("readable buffer after a writable one")]
    ReadableAfterWritable,
    #[error("buffer of {len} bytes at {address:#x} is outside guest memory")]
    BufferOutsideMemory { address: u64, len: u32 },
    #[error("buffers of more than 4 GiB in one chain")]
    TooManyBytes,
}

impl<'m> Chain<'m> {
    /// Adds the buffers of the chain that begins at `head` of `table`. In place: a chain is too large to be handed around
    /// with every request.
    pub(super) fn collect(
        &mut self,
        memory: &'m Memory,
        table: Table,
        head: u16,
    ) -> Result<(), ChainError> {
        let mut walk = Walk::new(memory, table, self);
        let mut index = u32::from(head);
        loop {
            let descriptor = walk.fetch(index)?;
            if descriptor.refers_to_indirect_table() {
                walk.enter(descriptor)?;
                index = 0;
                continue;
            }
            walk.collect(descriptor)?;
            if !descriptor.has_next() {
                return Ok(());
            }
            index = u32::from(descriptor.next());
        }
    }
}

struct Walk<'c, 'm> {
    memory: &'m Memory,
    table: Table,
    /// The table's bytes, where they lie in one region.
    descriptors: Option<VolatileSlice<'m>>,
    indirect: bool,
    /// How many descriptors the present table may still give: a chain visits each at most once.
    left: u32,
    bytes: u32,
    chain: &'c mut Chain<'m>,
}

impl<'c, 'm> Walk<'c, 'm> {
    fn new(memory: &'m Memory, table: Table, chain: &'c mut Chain<'m>) -> Self {
        let left = table.len.min(MAX_DESCRIPTORS);
        let descriptors = table.bytes(memory);
        Self { memory, table, descriptors, indirect: false, left, bytes: 0, chain }
    }

    /// Reads one descriptor, once: the guest may rewrite it, we go on with this copy.
    fn fetch(&mut self, index: u32) -> Result<Descriptor, ChainError> {
        if index >= self.table.len {
            return Err(ChainError::NoSuchDescriptor { index, len: self.table.len });
        }
        let limit = self.table.len.min(MAX_DESCRIPTORS);
        self.left = self.left.checked_sub(1).ok_or(ChainError::TooLong { limit })?;
        let offset = u64::from(index) * u64::from(DESCRIPTOR_SIZE);
        let outside = ChainError::TableOutsideMemory { address: self.table.address.0 };
        if let Some(bytes) = &self.descriptors {
            return bytes.read_obj(offset as usize).map_err(|_| outside);
        }
        let address = self.table.address.0.checked_add(offset).ok_or(outside)?;
        self.memory.read_obj(GuestAddress(address)).map_err(|_| outside)
    }

    fn enter(&mut self, descriptor: Descriptor) -> Result<(), ChainError> {
        if self.indirect || descriptor.has_next() {
            return Err(ChainError::MisplacedIndirect);
        }
        let len = descriptor.len();
        if len == 0 || !len.is_multiple_of(DESCRIPTOR_SIZE) {
            return Err(ChainError::IndirectTable { len });
        }
        self.table = Table { address: descriptor.addr(), len: len / DESCRIPTOR_SIZE };
        self.descriptors = self.table.bytes(self.memory);
        self.left = self.table.len.min(MAX_DESCRIPTORS);
        self.indirect = true;
        Ok(())
    }

    fn collect(&mut self, descriptor: Descriptor) -> Result<(), ChainError> {
        let address = descriptor.addr();
        let len = descriptor.len();
        if len == 0 {
            return Err(ChainError::EmptyBuffer { address: address.0 });
        }
        self.bytes = self.bytes.checked_add(len).ok_or(ChainError::TooManyBytes)?;
        let buffers = if descriptor.is_write_only() {
            &mut self.chain.writable
        } else if self.chain.writable.is_empty() {
            &mut self.chain.readable
        } else {
            return Err(ChainError::ReadableAfterWritable);
        };
        if let Some(slice) = stretch(self.memory, address, len as usize) {
            buffers.push(slice);
            return Ok(());
        }
        for slice in self.memory.get_slices(address, len as usize) {
            let outside = ChainError::BufferOutsideMemory { address: address.0, len };
            buffers.push(slice.map_err(|_| outside)?);
        }
        Ok(())
    }
}

impl Table {
    fn bytes(self, memory: &Memory) -> Option<VolatileSlice<'_>> {
        stretch(memory, self.address, self.len as usize * DESCRIPTOR_SIZE as usize)
    }
}

/// The chain that begins at `head` of `table`.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn walk(memory: &Memory, table: Table, head: u16) -> Result<Chain<'_>, ChainError> {
    let mut chain = Chain::default();
    chain.collect(memory, table, head)?;
    Ok(chain)
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
