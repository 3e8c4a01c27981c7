//! Decodes a request, calls the file system, writes the reply.
//!
//! A request goes through [`Server::handle`] once: its header is read, its body copied out of the guest's memory (so
//! that what is checked is what is used), decoded, and performed; then the reply's header is written.
//!
//! What a guest does wrong is answered, not punished: `EINVAL` for whatever is malformed, `ENAMETOOLONG` for long
//! names, `ENOSYS` for unknown requests, `EIO` for anything before INIT. Only where there is no way to answer does
//! [`ProtocolError`] tell the transport to stop the queue.

mod dispatch;
mod forget;
mod init;
mod reply;
mod session;

use std::io;
use std::sync::Arc;

use smallvec::SmallVec;
use zerocopy::{FromZeros, IntoBytes};

use crate::abi::{InHeader, InitFlags, MIN_MINOR, MINOR, Opcode, WriteIn};
use crate::counters::Counters;
use crate::decode::{self, XATTR_MAX};
use crate::errno;
use crate::failure::{Failure, Outcome};
use crate::filesystem::FileSystem;
use crate::io::{ReplyWriter, RequestReader};
use crate::mapper::Mapper;
use crate::park::{Handled, Park, Patience};

use dispatch::{Caller, Exchange};
use reply::Reply;
use session::Session;

pub(crate) use session::Wire;

/// Longest body but for data: the value of an extended attribute, and a page for all else.
const MAX_BODY: usize = XATTR_MAX as usize + 4096;

/// Most bytes that are copied to or from the page cache in the time of a few small requests.
const QUICK_BYTES: usize = 1 << 16;

/// A request's body. Names and nearly all structures fit without an allocation.
type Body = SmallVec<[u8; 512]>;

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

/// What INIT agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The lower of the guest's and the server's minor version.
    pub minor: u32,
    /// Capabilities. A server remembers those only that change how requests are laid out.
    pub flags: InitFlags,
}

/// A guest that this server cannot go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest speaks FUSE 7.{minor}, and this daemon 7.{MIN_MINOR} to 7.{MINOR}")]
pub struct ResumeError {
    /// What the guest speaks.
    pub minor: u32,
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
    fs: F,
    config: ServerConfig,
    session: Session,
    counters: Arc<Counters>,
}

impl<F: FileSystem> Server<F> {
    /// A server that waits for INIT.
    pub fn new(fs: F, config: ServerConfig) -> Self {
        Self { fs, config, session: Session::default(), counters: Arc::default() }
    }

    /// The file system that is served.
    pub fn file_system(&self) -> &F {
        &self.fs
    }

    /// What has been served so far. The counters outlive the server in whoever keeps them.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// As [`Self::handle_or_park`], where no request can be put aside: a lock that would have to be waited for is
    /// `ENOLCK`. Returns the length of the reply.
    ///
    /// # Errors
    /// [`ProtocolError`] where no reply is possible.
    pub fn handle(
        &self,
        request: &mut dyn RequestReader,
        reply: &mut dyn ReplyWriter,
        mapper: Option<&dyn Mapper>,
    ) -> Result<usize, ProtocolError> {
        match self.handle_or_park(request, reply, mapper, None)? {
            Handled::Replied(len) => Ok(len),
            Handled::Parked => Ok(0),
        }
    }

    /// Serves one request; tells the length of the reply, 0 for requests that have none (FORGET and its like).
    /// May be called from several threads at once.
    ///
    /// # Errors
    /// [`ProtocolError`] where no reply is possible.
    pub fn handle_or_park(
        &self,
        request: &mut dyn RequestReader,
        reply: &mut dyn ReplyWriter,
        mapper: Option<&dyn Mapper>,
        lot: Option<&dyn Park>,
    ) -> Result<Handled, ProtocolError> {
        let total = request.remaining();
        let header = read_header(request);
        let opcode = header.as_ref().ok().and_then(|header| Opcode::from_number(header.opcode));
        let _in_flight = self.counters.enter(opcode);
        let header = header.inspect_err(|_| self.counters.malformed(None))?;
        if let Some(opcode) = opcode.filter(|opcode| opcode.is_one_way()) {
            let outcome = self.one_way(opcode, &header, total, request);
            self.counters.outcome(Some(opcode), &outcome);
            return match outcome {
                Err(Failure::Memory(error)) => Err(ProtocolError::Memory(error)),
                _ => Ok(Handled::Replied(0)),
            };
        }
        let capacity = reply.capacity();
        let Some(reply) = Reply::new(reply) else {
            self.counters.malformed(opcode);
            return Err(ProtocolError::NoReplyRoom { opcode: header.opcode, capacity });
        };
        let is_quick = opcode.is_none_or(Opcode::is_quick) && total.max(capacity) <= QUICK_BYTES;
        if let Some(lot) = lot.filter(|_| !is_quick) {
            lot.takes_long();
        }
        let patience = Patience::new((header.unique, opcode), lot, &self.counters);
        let mut exchange = Exchange { request, reply, mapper, patience };
        let outcome = self.serve(&header, opcode, total, &mut exchange);
        if exchange.patience.is_parked() {
            return Ok(Handled::Parked);
        }
        self.counters.outcome(opcode, &outcome);
        exchange.reply.finish(header.unique, outcome).map(Handled::Replied)
    }

    /// The guest has gone without a word (device reset, disconnect): as DESTROY, and INIT may come again.
    pub fn reset(&self) {
        self.session.close(|| self.fs.destroy());
    }

    /// What the guest that has mounted agreed on, as far as the server knows; none: no guest has.
    pub fn agreement(&self) -> Option<Agreement> {
        let wire = self.session.wire()?;
        Some(Agreement { minor: wire.minor(), flags: wire.granted() })
    }

    /// Goes on with a guest that agreed on this with another server. Whatever guest this one had is forgotten first, as by
    /// [`Self::reset`]; then `restore` makes the file system know what the other one knew.
    ///
    /// # Errors
    /// Those of `restore`; [`ResumeError`] for a minor version that this server does not speak. No guest has mounted then.
    pub fn resume<E: From<ResumeError>>(
        &self,
        agreement: Agreement,
        restore: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let Agreement { minor, flags } = agreement;
        self.session.open(
            || self.fs.destroy(),
            || {
                if !(MIN_MINOR..=MINOR).contains(&minor) {
                    return Err(ResumeError { minor }.into());
                }
                restore()?;
                Ok(Wire::new(minor, flags))
            },
        )
    }

    /// Serves a request that gets a reply; returns the length of the reply's body.
    fn serve(
        &self,
        header: &InHeader,
        opcode: Option<Opcode>,
        total: usize,
        exchange: &mut Exchange<'_>,
    ) -> Outcome<usize> {
        if header.len as usize != total {
            return Err(Failure::Malformed);
        }
        let opcode = opcode.ok_or(Failure::Errno(errno::ENOSYS))?;
        let body = read_body(opcode, exchange.request)?;
        match opcode {
            Opcode::Init => self.init(&body, &mut exchange.reply),
            Opcode::Destroy => self.destroy(&body),
            _ => {
                let wire = self.session.wire().ok_or(Failure::Errno(errno::EIO))?;
                let operation = decode::operation(opcode, header, wire, &body)?;
                exchange.reply.carry_stamps(wire.stamps());
                self.perform(&Caller::new(header)?, operation, exchange)
            }
        }
    }

    /// DESTROY. Whatever comes after it is `EIO` until the next INIT.
    fn destroy(&self, body: &[u8]) -> Outcome<usize> {
        if !body.is_empty() {
            return Err(Failure::Malformed);
        }
        self.reset();
        Ok(0)
    }
}

fn read_header(request: &mut dyn RequestReader) -> Result<InHeader, ProtocolError> {
    let total = request.remaining();
    if total < size_of::<InHeader>() {
        return Err(ProtocolError::ShortHeader(total));
    }
    let mut header = InHeader::new_zeroed();
    request.read_exact(header.as_mut_bytes()).map_err(ProtocolError::Memory)?;
    Ok(header)
}

/// Copies out what follows the header; of a WRITE, only what comes ahead of the data.
fn read_body(opcode: Opcode, request: &mut dyn RequestReader) -> Outcome<Body> {
    let remaining = request.remaining();
    let len = match opcode {
        Opcode::Write => remaining.min(size_of::<WriteIn>()),
        _ if remaining > MAX_BODY => return Err(Failure::Malformed),
        _ => remaining,
    };
    let mut body = Body::new();
    body.resize(len, 0);
    read(request, &mut body)?;
    Ok(body)
}

/// Copies bytes that are known to remain.
fn read(request: &mut dyn RequestReader, out: &mut [u8]) -> Outcome<()> {
    request.read_exact(out).map_err(|error: io::Error| Failure::Memory(error))
}

#[cfg(test)]
mod tests;
