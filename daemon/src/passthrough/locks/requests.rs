//! What guests ask for.

use std::io;
use std::sync::Arc;

use fuse::abi::InitFlags;
use fuse::filesystem::{LockKind, Locks, RecordLock};
use fuse::park::Patience;
use fuse::{Context, Handle, NodeId, errno};
use rustix::fs::OFlags;

use super::super::Passthrough;
use super::super::descriptors::Descriptor;
use super::host::{self, Wait};
use super::is_held;
use super::table::{Access, Wanted};

impl Locks for Passthrough {
    fn getlk(
        &self,
        _: &Context,
        node: NodeId,
        handle: Handle,
        lock: &RecordLock,
    ) -> io::Result<Option<RecordLock>> {
        self.agreed(InitFlags::POSIX_LOCKS)?;
        let file = self.handles.file(node, handle)?;
        self.locks.conflict(node, lock, &*file)
    }

    fn setlk(
        &self,
        _: &Context,
        node: NodeId,
        handle: Handle,
        lock: &RecordLock,
        patience: Option<&Patience<'_>>,
    ) -> io::Result<()> {
        self.agreed(InitFlags::POSIX_LOCKS)?;
        self.handles.file(node, handle)?;
        let inode = self.inode(node)?;
        let open = |access| {
            let writable = access == Access::Write;
            if writable && self.config.readonly {
                return Err(errno::error(errno::EROFS));
            }
            let permit = self.descriptors.take()?;
            let flags = if writable { OFlags::RDWR } else { OFlags::RDONLY };
            Ok(Descriptor::new(self.open_inode(&inode, flags)?, permit))
        };
        self.locks.set((node, handle), lock, open, patience)
    }

    fn flock(
        &self,
        _: &Context,
        node: NodeId,
        handle: Handle,
        kind: LockKind,
        patience: Option<&Patience<'_>>,
    ) -> io::Result<()> {
        self.agreed(InitFlags::FLOCK_LOCKS)?;
        let file = self.handles.file(node, handle)?;
        let result = host::whole(&*file, kind, Wait::No);
        if result.is_ok() {
            file.set_locked(kind != LockKind::Unlock);
        }
        match (result, patience) {
            (Err(error), Some(patience)) if is_held(&error) => {
                let wanted = Wanted::Whole { node, handle };
                let locks = Arc::clone(&self.locks);
                let wait = move |token| {
                    locks.wait_for_whole(token, &file, kind)?;
                    file.set_locked(true);
                    Ok(())
                };
                self.locks.park(&mut self.locks.table.lock(), patience, (wanted, None), wait)
            }
            (result, _) => result,
        }
    }

    fn interrupt(&self, unique: u64) {
        self.locks.interrupt(unique);
    }

    fn cancel_parked(&self) {
        self.locks.cancel_all();
    }
}

impl Passthrough {
    /// # Errors
    /// `ENOSYS` where INIT has not agreed on these locks.
    fn agreed(&self, locks: InitFlags) -> io::Result<()> {
        if self.session.has(locks) { Ok(()) } else { Err(errno::error(errno::ENOSYS)) }
    }
}
