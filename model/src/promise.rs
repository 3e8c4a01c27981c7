//! Each daemon answers for the stamps that it gave: what it notes of them, and when it may give none.

use crate::budget::spend;
use crate::fault::Fault;
use crate::ident::Identity;
use crate::model::Model;
use crate::scope::Watch;
use crate::state::{ANYBODY, Daemon, Job, State, Task, Then};
use crate::word;

impl Model {
    /// Who answers for a stamp that this daemon gives.
    pub(crate) fn giver(&self, daemon: u8) -> u8 {
        if self.scope.watch == Watch::Off || self.scope.always { ANYBODY } else { daemon }
    }

    /// Whether a daemon may give stamps: it watches, as far as it knows.
    pub(crate) fn may_stamp(&self, st: &State, daemon: u8) -> bool {
        let anyway = [Fault::StampUnwatched, Fault::LostStampsOn, Fault::WatchAfterObserve];
        self.scope.watch == Watch::Off
            || anyway.iter().any(|&fault| self.broken(fault))
            || st.daemons[usize::from(daemon)].watching
    }

    /// A worker's observation: the word is noted as promised *before* the state is read, and whether the watch stands is asked *after* the word was loaded.
    pub(crate) fn observe_for(
        &self,
        st: &mut State,
        worker: u8,
        task: &Task,
        id: Identity,
    ) -> Option<u64> {
        let daemon = self.scope.daemon_of(worker);
        let allowed = if self.broken(Fault::WatchCheckedBefore) {
            task.quirk
        } else {
            self.may_stamp(st, daemon)
        };
        let slot = self.slot(id);
        if st.words[usize::from(slot)] == 0 && !self.broken(Fault::StampUntouched) {
            st.advance(slot); // the first observer: an untouched word must match no stamp
        }
        let word = self.observe(st, id).filter(|_| allowed)?;
        if !self.broken(Fault::PromiseAfterRead) && !self.broken(Fault::PromiseOverwritten) {
            self.promise(st, daemon, id, word);
        }
        Some(word)
    }

    /// Faulty daemons note what they promise late: as they reply, or by a store that may overwrite a newer promise.
    pub(crate) fn promise_late(&self, st: &mut State, worker: u8, task: &Task, fault: Fault) {
        if self.scope.watch == Watch::Off || !self.broken(fault) {
            return;
        }
        let daemon = self.scope.daemon_of(worker);
        for (class, id) in self.classes(task) {
            let Some(word) = task.seen[class] else { continue };
            if fault == Fault::PromiseOverwritten {
                let promised = &mut st.daemons[usize::from(daemon)].promised;
                promised.resize(st.words.len(), 0);
                promised[usize::from(self.slot(id))] = word;
            } else {
                self.promise(st, daemon, id, word);
            }
        }
    }

    /// Notes that a daemon may give, or has given, a stamp with this word. Never goes back.
    pub(crate) fn promise(&self, st: &mut State, daemon: u8, id: Identity, word: u64) {
        self.promise_slot(st, daemon, self.slot(id), word);
    }

    /// A change may stamp its reply with the word that publishing leaves, so that word is promised when it is announced. Answers whether it may: as with an
    /// observation, whether the watch stands is asked after the word was had.
    pub(crate) fn promise_own(&self, st: &mut State, worker: u8, slot: u8) -> bool {
        let daemon = self.scope.daemon_of(worker);
        if !self.may_stamp(st, daemon) && !self.broken(Fault::WatchAskedAtPublish) {
            return false;
        }
        if !self.broken(Fault::OwnStampNotPromised) {
            let word = word::publish(st.words[usize::from(slot)]);
            self.promise_slot(st, daemon, slot, word);
        }
        true
    }

    fn promise_slot(&self, st: &mut State, daemon: u8, slot: u8, word: u64) {
        if self.scope.watch == Watch::Off {
            return;
        }
        let promised = &mut st.daemons[usize::from(daemon)].promised;
        promised.resize(st.words.len(), 0);
        let promised = &mut promised[usize::from(slot)];
        if *promised == 0 || is_past(word, *promised) {
            *promised = word;
        }
    }

    /// Whether a daemon that handles an event must move the slot: a stamp that it answers for may still count.
    pub(crate) fn answers_for(&self, st: &State, daemon: u8, slot: u8) -> bool {
        let promised = st.daemons[usize::from(daemon)].promised.get(usize::from(slot));
        let promised = promised.copied().unwrap_or(0);
        let word = st.words[usize::from(slot)];
        if self.broken(Fault::SkipWhenDifferent) {
            return promised == word;
        }
        promised != 0 && !is_past(word, promised)
    }

    /// Whether a daemon may give up its watch: not while a request is under way that may yet stamp.
    pub(crate) fn may_unwatch(&self, st: &State, daemon: u8) -> bool {
        let workers = daemon * self.scope.workers..(daemon + 1) * self.scope.workers;
        let mut tasks = workers.map(|worker| &st.tasks[usize::from(worker)]);
        self.broken(Fault::UnwatchInUse) || tasks.all(Option::is_none)
    }

    /// A daemon notices that its watch is gone: first it stops stamping, then it sweeps.
    pub(crate) fn notice_loss(&self, st: &mut State, daemon: u8) {
        let daemon = &mut st.daemons[usize::from(daemon)];
        daemon.watching = self.broken(Fault::LostSweepFirst);
        daemon.job = Some(Job::Sweep { next: 0, loaded: None, then: Then::Deafened });
    }
}

impl State {
    /// A daemon's sweep after the loss of its watch is through.
    pub(crate) fn deafened(&mut self, daemon: u8) {
        let bit = 1 << daemon;
        self.daemons[usize::from(daemon)].watching = false;
        self.events.iter_mut().for_each(|e| e.resync &= !bit);
        crate::house::drop_handled(self);
    }

    /// A daemon's watch is gone, and its unread events with it. It does not know yet.
    pub(crate) fn lose_watch(&mut self, daemon: u8) {
        spend(&mut self.left.deaf);
        self.daemons[usize::from(daemon)].deaf = true;
        self.mark_lost(daemon);
    }

    /// A daemon's guest has dropped every copy, so the daemon has nothing left to answer for, and need not watch.
    pub(crate) fn forget(&mut self, daemon: u8) {
        spend(&mut self.left.forgets);
        self.copies.retain(|c| c.by != daemon);
        let bit = 1 << daemon;
        self.events.iter_mut().for_each(|e| e.unread &= !bit);
        crate::house::drop_handled(self);
        let daemon = &mut self.daemons[usize::from(daemon)];
        daemon.watching = false;
        daemon.promised.clear();
    }

    /// Events that a daemon will not get to see: only a sweep makes them good.
    pub(crate) fn mark_lost(&mut self, daemon: u8) {
        let bit = 1 << daemon;
        for event in self.events.iter_mut().filter(|e| e.unread & bit != 0) {
            event.unread &= !bit;
            event.resync |= bit;
        }
    }
}

impl Daemon {
    /// Its watch is gone, and stamps that it gave may still count.
    pub(crate) fn is_unheard(&self) -> bool {
        let sweeping = matches!(self.job, Some(Job::Sweep { then: Then::Deafened, .. }));
        self.deaf && (self.watching || sweeping)
    }
}

/// Whether a word comes after another one (by less than half a turn).
fn is_past(word: u64, other: u64) -> bool {
    word != other && word.wrapping_sub(other) <= u64::MAX / 2
}
