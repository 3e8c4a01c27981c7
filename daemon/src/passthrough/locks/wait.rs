//! Threads that wait for locks.
//!
//! One thread each, which sleeps in the kernel. It is woken by a signal when it shall not wait any longer; a signal that
//! comes before the thread sleeps is lost, so it is sent until the thread has gone.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fuse::errno;
use fuse::filesystem::LockKind;
use fuse::park::Patience;
use parking_lot::MutexGuard;

use super::host::{self, Wait};
use super::table::{Carrier, Table, Waiter, Wanted};
use super::{Locks, Noted, is_held};
use crate::sys::Thread;

/// The threads call one function of the C library each.
const STACK: usize = 64 << 10;
/// How soon a thread is signalled again that has not answered.
const AGAIN: Duration = Duration::from_millis(2);

impl Locks {
    /// Puts the request aside, and starts a thread that waits for it with `wait`. `noted` lives as long as the wait.
    pub(super) fn park(
        self: &Arc<Self>,
        table: &mut MutexGuard<'_, Table>,
        patience: &Patience<'_>,
        (wanted, noted): (Wanted, Option<Box<dyn Noted>>),
        wait: impl FnOnce(u64) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        if table.was_interrupted(patience.unique()) {
            return Err(errno::error(errno::EINTR));
        }
        let later = patience.park()?;
        let token = table.begin_wait(patience.unique(), wanted, noted);
        let locks = Arc::clone(self);
        let run = move || {
            if let Some(waiter) = locks.table.lock().waiters.get_mut(&token) {
                waiter.thread = Some(Thread::current());
            }
            let result = wait(token);
            locks.end(token);
            later.answer(result);
        };
        let builder = thread::Builder::new().name("lock".to_owned()).stack_size(STACK);
        if let Err(error) = builder.spawn(run) {
            // The answer was dropped with the thread: the guest has its EIO.
            tracing::warn!("a lock cannot be waited for: {error}");
            let gone = table.end_wait(token);
            drop(gone);
        }
        Ok(())
    }

    /// Takes the calling thread out of those who wait: from here on nobody wakes it.
    fn end(&self, token: u64) {
        let gone = self.table.lock().end_wait(token);
        drop(gone);
        self.ended.notify_all();
    }

    /// Waits for the record lock of waiter `token`.
    ///
    /// What the kernel gives is entered by asking it once more without waiting: meanwhile the owner may have closed the
    /// file, or have got another descriptor.
    pub(super) fn wait_for_record(&self, token: u64) -> io::Result<()> {
        loop {
            let Some((wanted, carrier)) = self.next_try(token)? else {
                return Err(errno::error(errno::ENOLCK));
            };
            let Wanted::Record { node, handle, lock } = wanted else { return Ok(()) };
            match host::set(&carrier.descriptor, &lock, Wait::Yes) {
                Err(error) if error.raw_os_error() == Some(errno::EINTR) => continue,
                other => other?,
            }
            let mut table = self.table.lock();
            if !table.owner(node, lock.owner).is_some_and(|o| Arc::ptr_eq(&o.carrier, &carrier)) {
                host::release(&carrier.descriptor);
            }
            match table.enter_lock(node, handle, &lock) {
                Err(error) if is_held(&error) => {}
                result => return result,
            }
        }
    }

    /// What to wait for next; none where the owner has gone.
    ///
    /// # Errors
    /// The reason why not to wait any longer.
    fn next_try(&self, token: u64) -> io::Result<Option<(Wanted, Arc<Carrier>)>> {
        let table = self.table.lock();
        let Some(waiter) = table.waiters.get(&token) else { return Ok(None) };
        if let Some(errno) = waiter.cancelled {
            return Err(errno::error(errno));
        }
        let Wanted::Record { node, lock, .. } = waiter.wanted else { return Ok(None) };
        let carrier = table.owner(node, lock.owner).map(|owner| Arc::clone(&owner.carrier));
        Ok(carrier.map(|carrier| (waiter.wanted, carrier)))
    }

    /// Waits for the lock on the whole of `file`.
    pub(super) fn wait_for_whole(
        &self,
        token: u64,
        file: &impl AsFd,
        kind: LockKind,
    ) -> io::Result<()> {
        loop {
            if let Some(errno) = self.table.lock().waiters.get(&token).and_then(|w| w.cancelled) {
                return Err(errno::error(errno));
            }
            match host::whole(file, kind, Wait::Yes) {
                Err(error) if error.raw_os_error() == Some(errno::EINTR) => {}
                result => return result,
            }
        }
    }

    /// Ends the wait of all whom `whom` names, with this error number, unless they get their lock first. Returns when
    /// none of them waits any more; their answers may still be on their way.
    pub(super) fn cancel(
        &self,
        errno: i32,
        whom: impl Fn(&Waiter) -> bool,
    ) -> MutexGuard<'_, Table> {
        let mut table = self.table.lock();
        loop {
            let mut any = false;
            for waiter in table.waiters.values_mut().filter(|waiter| whom(waiter)) {
                any = true;
                waiter.cancelled.get_or_insert(errno);
                // A thread takes its entry out before it ends, under the lock that is held here.
                waiter.thread.inspect(|thread| thread.wake());
            }
            if !any {
                return table;
            }
            self.ended.wait_for(&mut table, AGAIN);
        }
    }
}
