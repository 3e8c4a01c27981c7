//! Record locks and `flock`.

use super::{LockKind, RecordLock, Result, unsupported};
use crate::ids::{Context, Handle, NodeId};
use crate::park::Patience;

/// Locks that guests take, and that may have to be waited for.
#[allow(unused_variables, clippy::missing_errors_doc)]
pub trait Locks {
    /// The first lock that is in the way of `lock`, which is no unlock; none: it could be had.
    fn getlk(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        lock: &RecordLock,
    ) -> Result<Option<RecordLock>> {
        unsupported()
    }

    /// Locks or unlocks a stretch for its owner, whose other locks there it replaces (SETLK, and SETLKW, which brings
    /// `patience`). `EAGAIN` where another owner's lock is in the way, unless the request can be parked.
    fn setlk(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        lock: &RecordLock,
        patience: Option<&Patience<'_>>,
    ) -> Result<()> {
        unsupported()
    }

    /// Locks or unlocks an open file as a whole (`flock(2)`). `EAGAIN` and `patience` as for [`Self::setlk`].
    fn flock(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        kind: LockKind,
        patience: Option<&Patience<'_>>,
    ) -> Result<()> {
        unsupported()
    }

    /// Whoever waits for the request with this number does not want to any more: if it is parked, it is answered with
    /// `EINTR`. It may not have been seen yet.
    fn interrupt(&self, unique: u64) {}

    /// Answers all parked requests, with `ENOLCK`: their rings stop. One that is parked meanwhile may be left.
    fn cancel_parked(&self) {}
}
