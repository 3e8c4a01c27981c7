//! Decodes a request, calls the file system, writes the reply.

use crate::filesystem::FileSystem;
use crate::io::{ReplyWriter, RequestReader};
use crate::mapper::Mapper;

/// What the transport and the command line decide about a connection.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Largest WRITE in bytes; READ and the guest's `max_pages` follow from it.
    pub max_write: u32,
    /// Requests that the guest may keep in flight in the background.
    pub max_background: u16,
    /// log2 of the DAX alignment; none: no DAX.
    pub map_alignment: Option<u16>,
}

/// A request that cannot even be answered; the queue that brought it must stop.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// Shorter than `fuse_in_header`.
    #[error("request of {0} bytes is shorter than its header")]
    ShortHeader(usize),
    /// No room for `fuse_out_header`.
    #[error("{opcode}: reply area of {capacity} bytes is shorter than a reply header")]
    NoReplyRoom {
        /// The request's opcode.
        opcode: u32,
        /// What the guest provided.
        capacity: usize,
    },
    /// The guest named memory that it does not have.
    #[error("guest memory: {0}")]
    Memory(std::io::Error),
}

/// Serves one guest's requests out of `F`.
#[derive(Debug)]
pub struct Server<F> {
    #[allow(dead_code)]
    fs: F,
}

impl<F: FileSystem> Server<F> {
    /// A server that waits for INIT.
    pub fn new(fs: F, _config: ServerConfig) -> Self {
        Self { fs }
    }

    /// Serves one request; returns the length of the reply, 0 for requests that have none (FORGET and its like).
    /// May be called from several threads at once.
    ///
    /// # Errors
    /// [`ProtocolError`] where no reply is possible.
    pub fn handle(
        &self,
        _request: &mut dyn RequestReader,
        _reply: &mut dyn ReplyWriter,
        _mapper: Option<&dyn Mapper>,
    ) -> Result<usize, ProtocolError> {
        todo!()
    }

    /// The guest has gone without a word (device reset, disconnect): as DESTROY, and INIT may come again.
    pub fn reset(&self) {}
}
