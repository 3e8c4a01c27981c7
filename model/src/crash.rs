//! Crashes: at every step, and between the ledger and the word.

use serde::{Deserialize, Serialize};

use crate::budget::spend;
use crate::fault::Fault;
use crate::marks::HOLDS;
use crate::model::Model;
use crate::program::Step;
use crate::scope::Grain;
use crate::state::{Entry, Life, Stage, State, Task};
use crate::word;

/// A worker that died while it dealt with one slot. Slots before it are complete, those after it untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Torn {
    /// The worker.
    pub worker: u8,
    /// The slot.
    pub slot: u8,
    /// How far it got with it.
    pub at: TornAt,
}

/// Between which two acts a worker died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TornAt {
    /// Announcing: the first act is done (the ledger), the second is not (the add).
    BeforeAdd,
    /// Announcing: the add is done, the ledger does not say so yet.
    AfterAdd,
    /// Publishing: the first act is done (the ledger), the second is not (the add).
    BeforePublish,
    /// Publishing: the add is done, the ledger is not cleared yet.
    AfterPublish,
}

impl Model {
    /// The places between two acts where a worker can die now.
    pub(crate) fn torn_places(&self, worker: u8, task: &Task, out: &mut Vec<Torn>) {
        let first_only = match self.scope.grain {
            Grain::Word => 1,
            Grain::Change => usize::MAX,
        };
        match self.step_of(task) {
            Step::Announce | Step::AnnouncePinned => {
                let mut slots = self.slots_to_announce(task);
                slots.retain(|slot| !task.has_marked(*slot));
                for slot in slots.into_iter().take(first_only) {
                    out.push(Torn { worker, slot, at: TornAt::BeforeAdd });
                    out.push(Torn { worker, slot, at: TornAt::AfterAdd });
                }
            }
            Step::Publish => {
                let unpublished = task.marks.iter().filter(|m| m.published.is_none() && m.counted);
                for mark in unpublished.take(first_only) {
                    out.push(Torn { worker, slot: mark.slot, at: TornAt::BeforePublish });
                    out.push(Torn { worker, slot: mark.slot, at: TornAt::AfterPublish });
                }
            }
            _ => {}
        }
    }

    /// A daemon dies, all its workers with it.
    pub(crate) fn crash(&self, st: &mut State, daemon: u8, torn: Option<Torn>) {
        spend(&mut st.left.crashes);
        st.crashed = true;
        if let Some(torn) = torn {
            self.tear(st, torn);
        }
        let workers = daemon * self.scope.workers..(daemon + 1) * self.scope.workers;
        for worker in workers {
            let dead = st.tasks[usize::from(worker)].take();
            if let Some(mut task) = dead.filter(|_| !self.broken(Fault::LockNotRobust)) {
                st.release_locks(&mut task);
            }
        }
        self.abandon_lingers(st, daemon);
        let dead = &mut st.daemons[usize::from(daemon)];
        dead.job = None; // what it has claimed stands in its own ledger
        dead.life = Life::Dead;
        dead.known.clear();
        dead.promised.clear();
        (dead.watching, dead.deaf) = (false, false);
        dead.expected = 0;
    }

    /// Only the dead daemon knew when its lingering marks have done their duty: they are left, and counted.
    fn abandon_lingers(&self, st: &mut State, daemon: u8) {
        let dead = &mut st.daemons[usize::from(daemon)];
        for linger in std::mem::take(&mut dead.lingers) {
            for slot in linger.slots {
                if self.broken(Fault::LingeringReaped) {
                    let (worker, tenant) = (HOLDS, dead.tenant);
                    dead.ledger.push(Entry {
                        worker,
                        slot,
                        stage: Stage::Held,
                        dax: false,
                        tenant,
                    });
                } else {
                    st.leaked[usize::from(slot)] += 1;
                }
            }
        }
    }

    /// Leaves a worker's ledger and words as they are in the middle of its step.
    fn tear(&self, st: &mut State, torn: Torn) {
        let Some(mut task) = st.tasks[usize::from(torn.worker)].take() else { return };
        let daemon = usize::from(self.scope.daemon_of(torn.worker));
        let slot = usize::from(torn.slot);
        match torn.at {
            TornAt::BeforeAdd | TornAt::AfterAdd => {
                self.announce_below(st, torn.worker, &mut task, torn.slot);
                let held_first = self.broken(Fault::HeldBeforeAdd);
                let stage = if held_first { Stage::Held } else { Stage::Intent };
                let entry = self.ledger_entry(st, torn.worker, task.op, torn.slot, stage);
                st.daemons[daemon].ledger.push(entry);
                if torn.at == TornAt::AfterAdd && !word::is_stuck(st.words[slot]) {
                    st.set_word(torn.slot, word::announce(st.words[slot]));
                }
            }
            TornAt::BeforePublish | TornAt::AfterPublish => {
                self.publish_below(st, torn.worker, &mut task, torn.slot);
                if torn.at == TornAt::AfterPublish && !word::is_stuck(st.words[slot]) {
                    st.set_word(torn.slot, word::publish(st.words[slot]));
                }
                if self.broken(Fault::PublishHeld) {
                    // as if nothing had been
                } else if self.broken(Fault::ClearedBeforePublish) {
                    self.clear_entry(st, torn.worker, task.op, torn.slot);
                } else {
                    self.clear_entry(st, torn.worker, task.op, torn.slot);
                    let entry =
                        self.ledger_entry(st, torn.worker, task.op, torn.slot, Stage::Intent);
                    st.daemons[daemon].ledger.push(entry);
                }
            }
        }
        st.tasks[usize::from(torn.worker)] = Some(task);
    }

    fn announce_below(&self, st: &mut State, worker: u8, task: &mut Task, end: u8) {
        for slot in self.slots_to_announce(task) {
            if slot < end && !task.has_marked(slot) {
                self.announce_slot(st, worker, task, slot);
            }
        }
    }

    fn publish_below(&self, st: &mut State, worker: u8, task: &mut Task, end: u8) {
        for mark in task.marks.clone() {
            if mark.slot < end && mark.published.is_none() {
                self.clear_entry(st, worker, task.op, mark.slot);
                self.publish_slot(st, task, mark.slot, mark.counted);
            }
        }
    }
}
