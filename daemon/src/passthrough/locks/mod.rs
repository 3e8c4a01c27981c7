//! Locks that all guests and the host's processes see.
//!
//! ```text
//! requests  GETLK, SETLK and FLOCK, as a guest asks for them
//! ranges    which bytes an owner has locked: a copy of what the kernel knows
//! table     owners and waiters; who waits for whom
//! wait      threads that wait, and how they are called back
//! elsewhere other guests' owners who wait
//! host      the system calls
//! ```
//!
//! *Record locks* (`fcntl(2)`) belong to an owner in the guest: a process, or an open file with `F_OFD_SETLK`. The
//! host's own record locks belong to a process, and the daemon is one process for all of its guest's owners; so each
//! owner has, for each file that it has locked, a descriptor of its own (a *carrier*) with open-file-description locks on
//! it. These conflict with each other as the owners' locks should, with other daemons' and with locks of the host's
//! processes of either kind, and go when the daemon dies. `flock(2)` belongs to an open file on both sides: it is done
//! on the handle's descriptor.
//!
//! The guest's kernel tells when locks end: by SETLK, by FLUSH when an owner closes the file, and by RELEASE when the
//! open file goes, which ends locks of `F_OFD_SETLK`, too. RELEASE is late: by then the owner may have opened the file
//! again. So it ends the locks of owners who have named its handle *since they last gave everything up*.
//!
//! A lock that must be waited for is waited for by a thread of its own, in the kernel's queue, fairly with everybody
//! else; the request is parked meanwhile ([`fuse::park`]). How many can be is the transport's to say: part of a ring.
//!
//! *Deadlocks* are found before they arise: `EDEADLK`. Between owners of this guest by the copy of what they have locked,
//! between those of several guests by what their daemons tell each other ([`Elsewhere`]). Whom a process of the host waits
//! for nobody tells, and the kernel does not look for circles of open-file-description locks: such a circle lasts until one
//! who waits is interrupted, or its guest ends.

mod elsewhere;
mod host;
mod ranges;
mod requests;
mod table;
mod wait;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use fuse::filesystem::{LockKind, RecordLock};
use fuse::park::Patience;
use fuse::{Handle, NodeId, errno};
use parking_lot::{Condvar, Mutex, MutexGuard};

pub use elsewhere::{Elsewhere, Noted, Stretch, Waiting};
#[cfg(test)]
pub(super) use table::MAX_RANGES;

use super::Passthrough;
use super::descriptors::Descriptor;
use crate::sys;
use table::{Access, Carrier, Table, Wanted};

/// One guest's locks.
#[derive(Debug)]
pub(super) struct Locks {
    table: Mutex<Table>,
    elsewhere: Option<Arc<dyn Elsewhere>>,
    /// Somebody has stopped waiting.
    ended: Condvar,
}

impl Locks {
    /// No locks.
    ///
    /// # Errors
    /// Where threads that wait could not be called back.
    pub(super) fn new(elsewhere: Option<Arc<dyn Elsewhere>>) -> io::Result<Arc<Self>> {
        sys::prepare_wake()?;
        Ok(Arc::new(Self { table: Mutex::default(), elsewhere, ended: Condvar::new() }))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.table.lock().is_empty()
    }

    /// How many stretches are locked, and how many requests wait.
    pub(super) fn figures(&self) -> (usize, usize) {
        self.table.lock().figures()
    }

    /// Locks or unlocks a stretch of the file that `open` opens, for reading only or for writing too.
    fn set(
        self: &Arc<Self>,
        (node, handle): (NodeId, Handle),
        lock: &RecordLock,
        open: impl Fn(Access) -> io::Result<Descriptor>,
        patience: Option<&Patience<'_>>,
    ) -> io::Result<()> {
        let mut table = self.provide(node, lock, &open, patience.is_some())?;
        let result = table.set(node, handle, lock);
        let must_wait = matches!(&result, Err(error) if is_held(error));
        let result = match patience.filter(|_| must_wait) {
            Some(patience) => self.tell(&table, node, lock).and_then(|noted| {
                let wanted = Wanted::Record { node, handle, lock: *lock };
                let locks = Arc::clone(self);
                let wait = move |token| locks.wait_for_record(token);
                self.park(&mut table, patience, (wanted, noted), wait)
            }),
            None => result,
        };
        let gone = table.tidy(node, lock.owner);
        drop(table);
        // Under no lock: closing can block.
        drop(gone);
        result
    }

    /// An owner is about to wait: others are told.
    ///
    /// # Errors
    /// `EDEADLK`: it would wait for somebody who waits for it.
    fn tell(
        &self,
        table: &Table,
        node: NodeId,
        lock: &RecordLock,
    ) -> io::Result<Option<Box<dyn Noted>>> {
        if table.is_deadlock(node, lock) {
            return Err(errno::error(errno::EDEADLK));
        }
        let Some(others) = &self.elsewhere else { return Ok(None) };
        table.waiting(node, lock).map(|waiting| others.begin(&waiting)).transpose()
    }

    /// Sees to it that the owner has a descriptor for locks of this kind. It is opened under no lock, since opening can
    /// block.
    ///
    /// Who may have to wait gets one that is open for writing, too, where the file can be opened so: it is never
    /// exchanged, and nobody is left waiting on the old one.
    fn provide(
        &self,
        node: NodeId,
        lock: &RecordLock,
        open: &impl Fn(Access) -> io::Result<Descriptor>,
        may_wait: bool,
    ) -> io::Result<MutexGuard<'_, Table>> {
        let needed = Access::of(lock.kind);
        let mut best = if may_wait { Access::Write } else { needed };
        loop {
            let table = self.table.lock();
            if lock.kind == LockKind::Unlock || table.has_carrier(node, lock.owner, best) {
                return Ok(table);
            }
            drop(table);
            match open(best) {
                Ok(descriptor) => {
                    let carrier = Carrier::new(descriptor, best)?;
                    let left_over = self.table.lock().enter(node, lock.owner, carrier)?;
                    drop(left_over);
                }
                Err(_) if best != needed => best = needed,
                Err(error) => return Err(error),
            }
        }
    }

    /// The first lock in the way of `lock`. `file` is asked for owners who have locked nothing.
    fn conflict(
        &self,
        node: NodeId,
        lock: &RecordLock,
        file: impl AsFd,
    ) -> io::Result<Option<RecordLock>> {
        let table = self.table.lock();
        let found = match table.owner(node, lock.owner) {
            Some(owner) => host::get(&owner.carrier.descriptor, lock)?,
            None => host::get(file, lock)?,
        };
        // The host says no more than that it is this daemon's: the process in the guest is known here.
        Ok(found.map(|found| RecordLock { pid: table.holder(node, &found), ..found }))
    }

    /// The owner has closed the file: its locks there go.
    pub(super) fn forget_owner(&self, node: NodeId, owner: u64) {
        let gone = self.table.lock().forget(node, owner);
        drop(gone);
    }

    /// The open file has gone: the locks go of those who had them by it, and nobody waits by it any more.
    pub(super) fn forget_handle(&self, node: NodeId, handle: Handle) {
        let mut table = self.cancel(errno::ENOLCK, |waiter| waiter.wanted.is_by(node, handle));
        let owners = table.owners_of(node, handle);
        let gone: Vec<_> = owners.into_iter().map(|owner| table.forget(node, owner)).collect();
        drop(table);
        drop(gone);
    }

    /// The guest has gone.
    pub(super) fn clear(&self) {
        let files = self.cancel(errno::ENOLCK, |_| true).take_files();
        drop(files);
    }

    /// Whoever waits in the request `unique` does not want to any more.
    pub(super) fn interrupt(&self, unique: u64) {
        let mut table = self.table.lock();
        if !table.waiters.values().any(|waiter| waiter.unique == unique) {
            return table.remember_early(unique);
        }
        drop(table);
        drop(self.cancel(errno::EINTR, |waiter| waiter.unique == unique));
    }

    /// Answers all who wait.
    pub(super) fn cancel_all(&self) {
        drop(self.cancel(errno::ENOLCK, |_| true));
    }
}

impl Passthrough {
    /// How many stretches of files the guest has locked, and how many of its requests wait for a lock.
    #[must_use]
    pub fn lock_figures(&self) -> (usize, usize) {
        self.locks.figures()
    }
}

/// Somebody else has the lock.
fn is_held(error: &io::Error) -> bool {
    error.raw_os_error() == Some(errno::EAGAIN)
}
