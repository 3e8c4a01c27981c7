//! vhost-user and virtqueues: how a guest's requests reach the server and how replies go back.
//!
//! This is the only place that names `vhost`, `virtio-queue` and `vm-memory`; nothing here calls the file system.
//!
//! ```text
//! front end ── messages ──▶ VhostUserDaemon (one a connection) ── memory, ring addresses, kick and call events
//! guest ──── kick ────────▶ a worker a queue ─▶ Ring::take ─▶ chain::walk ─▶ RequestHandler ─▶ Ring (used ring, call)
//!                                          └──▶ Pool (--thread-pool-size), request queues only   ▲
//!                                                             RequestHandler ─▶ Lot::park ─▶ later ─┘
//! ```
//!
//! A queue's worker goes from a kick until it sleeps (`worker`): when the guest is called is `owed`'s business, how kicks are
//! heard `kick`'s, and what both sides share of a ring is read and written in `split`. While a VMM migrates the guest, `page_log`
//! tells it what was written, and `transfer` carries what the daemon knows of the guest.
//!
//! What a guest writes can stop its own queue and nothing else: the walk checks every descriptor once and works on the
//! copy, guest memory is only ever touched through [`vm_memory::VolatileSlice`] or handed to the host's kernel as iovecs.

mod buffers;
mod chain;
mod config_space;
mod device;
mod file_io;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod guarded;
mod inherited;
mod kick;
mod lot;
mod memory;
mod messenger;
mod owed;
mod page_log;
mod peer;
mod pool;
mod progress;
mod region;
mod request;
mod requests;
mod ring;
mod serve;
mod split;
mod stopper;
#[cfg(test)]
mod testing;
mod transfer;
mod worker;

use std::io;

use fuse::io::{ReplyWriter, RequestReader};
use fuse::park::Park;
use fuse::{Handled, Mapper, ProtocolError};

pub use config_space::{Tag, TagError};
pub use inherited::inherited_listener;
pub use peer::{Identify, Peer, Plainly};
pub use region::SharedRegion;
pub use serve::{Counters, Options, RequestQueues, serve};
pub use stopper::Stopper;

/// What answers requests: a [`fuse::Server`], or a script in a test.
pub trait RequestHandler: Send + Sync {
    /// Called once by every thread before its first request.
    ///
    /// # Errors
    /// Where the thread cannot be made fit; it then serves nothing.
    fn prepare_thread(&self) -> io::Result<()>;

    /// Serves one request; tells how many bytes of the reply area were filled, counted from its start. A request that
    /// was put aside in `lot` is answered later.
    ///
    /// # Errors
    /// [`ProtocolError`] where no reply is possible: the queue that brought the request stops.
    fn handle(
        &self,
        request: &mut dyn RequestReader,
        reply: &mut dyn ReplyWriter,
        mapper: Option<&dyn Mapper>,
        lot: &dyn Park,
    ) -> Result<Handled, ProtocolError>;

    /// What another daemon needs to go on with the guest. No request is in progress.
    ///
    /// # Errors
    /// Why the guest cannot be moved. It may go on here.
    fn save(&self) -> io::Result<Vec<u8>>;

    /// Goes on with the guest of another daemon, which gave this state.
    ///
    /// # Errors
    /// Why not. No guest has mounted then.
    fn load(&self, state: &[u8]) -> io::Result<()>;

    /// Answers all requests that were put aside, soon: their rings stop.
    fn cancel_parked(&self);

    /// A front end has connected, from the process `pid` if that is known.
    fn connected(&self, _peer: Option<&Peer>) {}

    /// The guest has gone without a word: a device reset, or the front end disconnected. No request is in progress.
    fn reset(&self);
}
