//! One request on its way from the available ring to the used ring.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use fuse::io::{DataSource, ReplyWriter, WriteMode};
use fuse::{Handled, Mapper, ProtocolError};
use thiserror::Error;

use super::RequestHandler;
use super::buffers::Buffers;
use super::chain::{Chain, ChainError, Table};
use super::file_io;
use super::lot::Lot;
use super::memory::Memory;
use super::owed::Owed;
use super::ring::{Ring, RingError};
use super::serve::Counters;
use crate::dax::Window;
use crate::vanishing::lost_by_this_thread;

/// Why a request could not be answered. Its queue must stop.
#[derive(Debug, Error)]
pub(super) enum RequestError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error("memory that the guest named is gone: pages of a file that was cut short")]
    MemoryGone,
    #[error("reply of {0} bytes")]
    ReplyLength(usize),
}

/// A chain that was taken out of the available ring. It counts as in progress until it is dropped.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) counted: InProgress,
    pub(super) place: Place,
}

/// Where a request's bytes are.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Keeps the mappings alive that the chain's buffers lie in, whatever the front end does to its memory table.
    memory: Arc<Memory>,
    table: Table,
    head: u16,
    queue: usize,
}

impl Request {
    /// Wraps the chain at `head` of `table`, which `ring`, the queue number `queue`, has counted.
    pub(super) fn new(
        ring: Ring,
        queue: usize,
        memory: Arc<Memory>,
        table: Table,
        head: u16,
    ) -> Self {
        let place = Place { memory, table, head, queue };
        Self { counted: InProgress { ring, parked: false }, place }
    }

    /// The number of the queue that it came from.
    pub(super) fn queue(&self) -> usize {
        self.place.queue
    }

    /// The ring that it came from.
    pub(super) fn ring(&self) -> &Ring {
        &self.counted.ring
    }

    /// Walks the chain, lets `handler` answer and gives the chain back to the guest, unless `handler` puts it aside.
    /// `window`: the guest's DAX window; `owed` as in [`Ring::give_back`].
    pub(super) fn serve(
        self,
        handler: &dyn RequestHandler,
        counters: &Arc<Counters>,
        window: Option<&Window>,
        owed: Option<&mut Owed>,
    ) -> Result<(), RequestError> {
        let lost = lost_by_this_thread();
        let Self { counted, place } = self;
        let lot = Lot::new(counted, &place, counters, owed);
        let mut chain = Chain::default();
        chain.collect(&place.memory, place.table, place.head)?;
        let mapper = window.map(|window| window as &dyn Mapper);
        let handled = answer(&chain, handler, mapper, &lot)?;
        if lost_by_this_thread() != lost {
            // What was read is not what the guest wrote, and what was written is nowhere.
            return Err(RequestError::MemoryGone);
        }
        match (handled, lot.into_inner()) {
            (Handled::Replied(len), (Some(counted), owed)) => {
                place.give_back(len, &chain, counted, owed)
            }
            // It is put aside, and answered from there.
            _ => Ok(()),
        }
    }
}

impl Place {
    /// The number of the queue.
    pub(super) fn queue(&self) -> usize {
        self.queue
    }

    /// Writes a whole reply, of a request that was put aside. The chain is walked anew: what the guest has changed of
    /// it meanwhile is checked as it was the first time.
    pub(super) fn reply(&self, bytes: &[u8], counted: InProgress) -> Result<(), RequestError> {
        let lost = lost_by_this_thread();
        let mut chain = Chain::default();
        chain.collect(&self.memory, self.table, self.head)?;
        chain.writable.copy_in(0, bytes).map_err(ProtocolError::Memory)?;
        if lost_by_this_thread() != lost {
            return Err(RequestError::MemoryGone);
        }
        self.give_back(bytes.len(), &chain, counted, None)
    }

    fn give_back(
        &self,
        len: usize,
        chain: &Chain<'_>,
        counted: InProgress,
        owed: Option<&mut Owed>,
    ) -> Result<(), RequestError> {
        let len = u32::try_from(len).map_err(|_| RequestError::ReplyLength(len))?;
        let ring = counted.ring.clone();
        let written = (&*self.memory, &chain.writable);
        Ok(ring.give_back(self.head, len, written, counted, owed)?)
    }
}

fn answer(
    chain: &Chain<'_>,
    handler: &dyn RequestHandler,
    mapper: Option<&dyn Mapper>,
    lot: &Lot<'_>,
) -> Result<Handled, ProtocolError> {
    let mut request = Readable { buffers: &chain.readable, position: 0 };
    let mut reply = Writable { buffers: &chain.writable };
    handler.handle(&mut request, &mut reply, mapper, lot)
}

/// Counts a request of a ring until it is dropped.
#[derive(Debug)]
pub(super) struct InProgress {
    pub(super) ring: Ring,
    /// It is counted among those put aside, too.
    pub(super) parked: bool,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.ring.end(self.parked);
    }
}

/// The readable part of a chain, from front to back.
struct Readable<'c, 'm> {
    buffers: &'c Buffers<'m>,
    position: usize,
}

impl DataSource for Readable<'_, '_> {
    fn remaining(&self) -> usize {
        self.buffers.len() - self.position
    }

    fn write_to(
        &mut self,
        file: BorrowedFd<'_>,
        len: usize,
        offset: u64,
        mode: WriteMode,
    ) -> io::Result<usize> {
        let written = file_io::write(self.buffers, self.position, file, len, offset, mode)?;
        self.position += written;
        Ok(written)
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        self.buffers.copy_out(self.position, buf)?;
        self.position += buf.len();
        Ok(())
    }
}

/// The writable part of a chain.
struct Writable<'c, 'm> {
    buffers: &'c Buffers<'m>,
}

impl ReplyWriter for Writable<'_, '_> {
    fn capacity(&self) -> usize {
        self.buffers.len()
    }

    fn write_at(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.buffers.copy_in(at, bytes)
    }

    fn read_file_at(
        &mut self,
        at: usize,
        file: BorrowedFd<'_>,
        len: usize,
        offset: u64,
    ) -> io::Result<usize> {
        file_io::read(self.buffers, at, file, len, offset)
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
