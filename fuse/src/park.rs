//! Requests whose answer comes later: locks that somebody else holds.
//!
//! A blocking lock may last for hours, and no thread that serves requests may wait so long. So the file system asks for
//! the request to be *parked* ([`Patience::park`]), lets something else wait, and answers by the [`Later`] that it got.

use std::cell::Cell;
use std::io;
use std::sync::Arc;

use zerocopy::IntoBytes;

use crate::abi::{Opcode, OutHeader};
use crate::counters::Counters;
use crate::errno;
use crate::failure::{Failure, Outcome};

/// How a request was dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// So many bytes of the reply area are filled; none for requests that have no reply.
    Replied(usize),
    /// The answer comes later, by what [`Park::park`] has given out.
    Parked,
}

/// The transport's side of the request that is being served: it can be put aside.
pub trait Park {
    /// Takes the request from whoever serves it; none where too many are parked already, and the guest's queue might
    /// fill up with requests that wait for one behind them.
    fn park(&self) -> Option<Box<dyn Parked>>;

    /// Serving the request may take long: who waits for the answers to earlier ones shall be told of them before.
    fn takes_long(&self) {}
}

/// A request that was put aside. Dropping it leaves the guest without an answer.
pub trait Parked: Send {
    /// Gives the request back to the guest with this reply.
    fn answer(self: Box<Self>, reply: &[u8]);
}

/// What a file system gets along with a request that it may let wait.
pub struct Patience<'a> {
    unique: u64,
    opcode: Option<Opcode>,
    lot: Option<&'a dyn Park>,
    counters: &'a Arc<Counters>,
    parked: Cell<bool>,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(
        (unique, opcode): (u64, Option<Opcode>),
        lot: Option<&'a dyn Park>,
        counters: &'a Arc<Counters>,
    ) -> Self {
        Self { unique, opcode, lot, counters, parked: Cell::new(false) }
    }

    /// The request's number, by which INTERRUPT names it.
    #[must_use]
    pub fn unique(&self) -> u64 {
        self.unique
    }

    /// Puts the request aside. From here on what the operation returns is not looked at.
    ///
    /// # Errors
    /// `ENOLCK` where too many wait already.
    pub fn park(&self) -> io::Result<Later> {
        let parked = self.lot.and_then(Park::park).ok_or_else(|| errno::error(errno::ENOLCK))?;
        self.parked.set(true);
        let (unique, opcode) = (self.unique, self.opcode);
        Ok(Later { unique, opcode, parked: Some(parked), counters: Arc::clone(self.counters) })
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.parked.get()
    }
}

/// The answer that is owed to a guest. Dropped without one, the guest gets `EIO`.
pub struct Later {
    unique: u64,
    opcode: Option<Opcode>,
    parked: Option<Box<dyn Parked>>,
    counters: Arc<Counters>,
}

impl Later {
    /// Answers: done, or not.
    pub fn answer(mut self, result: io::Result<()>) {
        self.give(result);
    }

    fn give(&mut self, result: io::Result<()>) {
        let Some(parked) = self.parked.take() else { return };
        let outcome: Outcome<()> = result.map_err(Failure::from);
        self.counters.outcome(self.opcode, &outcome);
        let errno = match outcome {
            Ok(()) => 0,
            Err(Failure::Errno(errno)) => errno,
            Err(Failure::Malformed | Failure::Memory(_)) => errno::EIO,
        };
        let len = size_of::<OutHeader>() as u32;
        parked.answer(OutHeader { len, error: -errno, unique: self.unique }.as_bytes());
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        self.give(Err(errno::error(errno::EIO)));
    }
}

impl std::fmt::Debug for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Later").field("unique", &self.unique).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Patience<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patience").field("unique", &self.unique).finish_non_exhaustive()
    }
}
