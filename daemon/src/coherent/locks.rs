//! Locks are nothing that guests cache.

use std::io::Result;

use fuse::filesystem::{LockKind, Locks, RecordLock};
use fuse::park::Patience;
use fuse::{Context, Handle, NodeId};

use super::Coherent;

impl Locks for Coherent {
    fn getlk(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        lock: &RecordLock,
    ) -> Result<Option<RecordLock>> {
        self.inner.getlk(ctx, node, handle, lock)
    }

    fn setlk(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        lock: &RecordLock,
        patience: Option<&Patience<'_>>,
    ) -> Result<()> {
        self.inner.setlk(ctx, node, handle, lock, patience)
    }

    fn flock(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        kind: LockKind,
        patience: Option<&Patience<'_>>,
    ) -> Result<()> {
        self.inner.flock(ctx, node, handle, kind, patience)
    }

    fn interrupt(&self, unique: u64) {
        self.inner.interrupt(unique);
    }

    fn cancel_parked(&self) {
        self.inner.cancel_parked();
    }
}
