//! Name locks, and what is done about one that is not had in time.
//!
//! Who gives up waiting announces *every* slot for as long as its change lasts, since it cannot know which inode its
//! system call will hit. And its own slots *linger*: they stay busy until whoever has the lock is done, since that
//! one's system call may hit what the trespasser has put under the name.

use smallvec::SmallVec;

use crate::budget::spend;
use crate::fault::Fault;
use crate::ident::Name;
use crate::marks::HOLDS;
use crate::model::Model;
use crate::op::Op;
use crate::program::Step;
use crate::state::{Linger, State, Task};
use crate::word;

impl Model {
    /// Whether the operation takes name locks.
    pub(crate) fn must_lock(&self, op: Op) -> bool {
        !op.names().is_empty()
            && !self.broken(Fault::NoNameLock)
            && (!self.broken(Fault::LockOnlyUnlinkAndRename) || op.resolves())
    }

    /// The lock stripes of an operation, sorted.
    fn stripes(&self, op: Op) -> SmallVec<[u8; 2]> {
        let mut stripes: SmallVec<[u8; 2]> = op.names().iter().map(|&n| self.stripe(n)).collect();
        stripes.sort_unstable();
        stripes.dedup();
        stripes
    }

    /// Where names fold, the lock must fold with them, though such names have no entry slot.
    pub(crate) fn stripe(&self, name: Name) -> u8 {
        if self.broken(Fault::LockByBytes) { name.0 } else { self.scope.layout.stored_as(name).0 }
    }

    /// Whether the request waits for a lock.
    pub(crate) fn is_blocked(&self, st: &State, task: &Task) -> bool {
        self.step_of(task) == Step::Lock
            && self.stripes(task.op).iter().any(|&s| st.locks[usize::from(s)].is_some())
    }

    /// Takes the locks of a request that are free, in one step: it does nothing between the first and the last of them.
    pub(crate) fn take_locks(&self, st: &mut State, worker: u8, task: &mut Task) {
        for stripe in self.stripes(task.op) {
            let lock = &mut st.locks[usize::from(stripe)];
            if let Some(owner) = *lock {
                task.overdue.push((stripe, owner));
            } else {
                *lock = Some(worker);
                task.locks |= 1 << stripe;
            }
        }
    }

    /// The request has waited long enough: it takes the locks that it can have and goes on.
    pub(crate) fn give_up(&self, st: &mut State, worker: u8) {
        spend(&mut st.left.give_ups);
        let Some(mut task) = st.tasks[usize::from(worker)].take() else { return };
        self.take_locks(st, worker, &mut task);
        self.skip_idle(st, worker, &mut task);
        st.tasks[usize::from(worker)] = Some(task);
    }

    /// A trespasser's own slots get a mark more, which outlives its change.
    pub(crate) fn begin_lingering(&self, st: &mut State, worker: u8, task: &Task) {
        let spared = self.broken(Fault::GiveUpThenSweep) || self.broken(Fault::NothingLingers);
        if !task.trespassed() || !task.marks.is_empty() || spared {
            return;
        }
        let mut slots = self.own_slots(task);
        if self.broken(Fault::LingeringSharesHold) {
            let ledger = &st.daemons[usize::from(self.scope.daemon_of(worker))].ledger;
            slots.retain(|slot| !ledger.iter().any(|e| e.worker == HOLDS && e.slot == *slot));
        }
        for &(stripe, owner) in &task.overdue {
            for &slot in &slots {
                st.set_word(slot, word::announce(st.words[usize::from(slot)]));
            }
            let daemon = &mut st.daemons[usize::from(self.scope.daemon_of(worker))];
            daemon.lingers.push(Linger {
                worker,
                stripe,
                owner: Some(owner),
                slots: slots.clone(),
            });
        }
    }

    /// After its change a trespasser looks who has the lock *now*: only that one can still be overtaken.
    pub(crate) fn look_at_owners(&self, st: &mut State, worker: u8, task: &Task) {
        if self.broken(Fault::LingerForFirstOwner) {
            return;
        }
        let locks = st.locks;
        let daemon = &mut st.daemons[usize::from(self.scope.daemon_of(worker))];
        for linger in daemon.lingers.iter_mut().filter(|l| l.worker == worker && task.trespassed())
        {
            linger.owner = locks[usize::from(linger.stripe)];
        }
    }

    /// Whether a lingering mark has done its duty: its change is made, and the one it was kept for has let the lock go.
    pub(crate) fn may_settle(&self, st: &State, linger: &Linger) -> bool {
        let in_progress =
            st.tasks[usize::from(linger.worker)].as_ref().is_some_and(Task::trespassed);
        let owner = st.locks[usize::from(linger.stripe)];
        let done = owner.is_none() || owner != linger.owner;
        done && (!in_progress || self.broken(Fault::LingerForFirstOwner))
    }

    /// Takes a daemon's lingering marks back that have done their duty.
    pub(crate) fn settle(&self, st: &mut State, row: u8) {
        let lingers = std::mem::take(&mut st.daemons[usize::from(row)].lingers);
        for linger in lingers {
            if self.may_settle(st, &linger) {
                for &slot in &linger.slots {
                    let old = st.words[usize::from(slot)];
                    st.set_word(slot, word::publish(old));
                }
            } else {
                st.daemons[usize::from(row)].lingers.push(linger);
            }
        }
    }
}

impl Task {
    /// Whether it goes on without a lock that it could not have.
    pub(crate) fn trespassed(&self) -> bool {
        !self.overdue.is_empty()
    }
}
