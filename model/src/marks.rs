//! Announce and publish, and the ledger beside them.

use smallvec::SmallVec;

use crate::fault::Fault;
use crate::ident::Identity;
use crate::model::Model;
use crate::op::{Announced, Op, OpKind, Part, truncation};
use crate::scope::Grain;
use crate::state::{Entry, Mark, Stage, State, Task};
use crate::word;

/// The ledger's segment for DAX holds: they belong to the daemon, not to a worker.
pub(crate) const HOLDS: u8 = u8::MAX;

/// The ledger's segment for the daemon's housekeeping: what it reaps, and a sweep that marks everything.
pub(crate) const KEEPER: u8 = u8::MAX - 1;

/// A word that can never come back.
pub(crate) const GONE: u64 = u64::MAX;

/// Slots, sorted.
pub(crate) type Slots = SmallVec<[u8; 8]>;

impl Model {
    /// The slots that the request announces at its present step, sorted and each once.
    pub(crate) fn slots_to_announce(&self, task: &Task) -> Slots {
        if task.trespassed() && !self.broken(Fault::GiveUpThenSweep) {
            return (0..self.scope.layout.slots()).collect();
        }
        self.own_slots(task)
    }

    /// The slots of what the request changes, as far as it knows, sorted and each once.
    pub(crate) fn own_slots(&self, task: &Task) -> Slots {
        let mut slots: Slots = self.announced(task).iter().map(|&(_, id)| self.slot(id)).collect();
        if task.quirk && self.broken(Fault::DaemonsHashApart) {
            slots.iter_mut().for_each(|s| *s = (*s + 1) % self.scope.layout.slots());
        }
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// What the request announces, as far as it knows at its present step.
    pub(crate) fn announced(&self, task: &Task) -> Announced {
        let Some(kind) = task.op.kind() else { return Announced::new() };
        if task.nothing_to_change() || task.held {
            return Announced::new();
        }
        let mut all = task.op.announces(&self.scope.layout, task.found);
        if let (true, Some(ino)) = (task.pinned, task.subject) {
            all.extend(truncation(ino));
        }
        all.retain(|(part, id)| {
            let spared = *part == Part::Perm
                && self.broken(Fault::PermOnlyIfSuidSeen)
                && kind == OpKind::Write
                && !task.suid;
            !spared && self.has_slot(*id) && !self.broken(Fault::Omit(kind, *part))
        });
        all
    }

    /// Announces the next slot, or all of them. Answers whether none is left.
    pub(crate) fn announce(&self, st: &mut State, worker: u8, task: &mut Task) -> bool {
        self.begin_lingering(st, worker, task);
        for slot in self.slots_to_announce(task) {
            if task.has_marked(slot) {
                continue;
            }
            self.announce_slot(st, worker, task, slot);
            if self.scope.grain == Grain::Word {
                return false; // the next one, or nothing left: `is_idle` sees
            }
        }
        true
    }

    /// INTENT, add, HELD. A crash in between is an action of its own ([`crate::crash`]).
    pub(crate) fn announce_slot(&self, st: &mut State, worker: u8, task: &mut Task, slot: u8) {
        let entry = self.ledger_entry(st, worker, task.op, slot, Stage::Held);
        let old = st.words[usize::from(slot)];
        let wraps = self.broken(Fault::BusyWraps);
        let counted = !word::is_stuck(old) || wraps;
        if counted {
            let new = if wraps { old.wrapping_add(1) } else { word::announce(old) };
            st.set_word(slot, new);
            st.daemons[usize::from(self.scope.daemon_of(worker))].ledger.push(entry);
        }
        let may_stamp = self.promise_own(st, worker, slot);
        let announced = if counted && may_stamp { st.words[usize::from(slot)] } else { GONE };
        task.marks.push(Mark { slot, announced, published: None, counted });
    }

    /// A ledger entry for a worker's slot.
    pub(crate) fn ledger_entry(
        &self,
        st: &State,
        worker: u8,
        op: Op,
        slot: u8,
        stage: Stage,
    ) -> Entry {
        let daemon = usize::from(self.scope.daemon_of(worker));
        let dax = matches!(op, Op::Map(_) | Op::Unmap(_));
        let segment = if dax { HOLDS } else { worker % self.scope.workers };
        Entry { worker: segment, slot, stage, dax, tenant: st.daemons[daemon].tenant }
    }

    /// Publishes the next slot, or all of them. Answers whether none is left.
    pub(crate) fn publish(&self, st: &mut State, worker: u8, task: &mut Task) -> bool {
        for at in 0..task.marks.len() {
            if task.marks[at].published.is_some() {
                continue;
            }
            let slot = task.marks[at].slot;
            self.clear_entry(st, worker, task.op, slot);
            let published = self.publish_slot(st, task, slot, task.marks[at].counted);
            task.marks[at].published = Some(published);
            if self.scope.grain == Grain::Word {
                break;
            }
        }
        let through = task.marks.iter().all(|m| m.published.is_some());
        if through {
            self.look_at_owners(st, worker, task);
            self.finish_change(st, worker, task);
        }
        through
    }

    /// The publishing add; answers what it left in the word.
    pub(crate) fn publish_slot(&self, st: &mut State, task: &Task, slot: u8, counted: bool) -> u64 {
        let old = st.words[usize::from(slot)];
        let stuck = word::is_stuck(old) && !self.broken(Fault::SaturationNotSticky);
        let failed = task.failed || matches!(task.op, Op::WriteFails(_));
        if !counted || stuck {
            return GONE;
        }
        if failed && self.broken(Fault::FailedChangeUnpublished) {
            return GONE;
        }
        let new = if failed && self.broken(Fault::FailedChangeUndone) {
            old.wrapping_sub(1)
        } else {
            self.published_word(old)
        };
        st.set_word(slot, new);
        new
    }

    /// What a publish leaves in a word. A daemon that has not heard of saturation just adds.
    pub(crate) fn published_word(&self, old: u64) -> u64 {
        if self.broken(Fault::SaturationNotSticky) || self.broken(Fault::BusyWraps) {
            old.wrapping_add(word::GENERATION - 1)
        } else {
            word::publish(old)
        }
    }

    /// The crowd's changes end, all at once.
    pub(crate) fn crowd_leaves(&self, st: &mut State) {
        let times = u64::from(std::mem::take(&mut st.crowd));
        for word in &mut st.words {
            if !word::is_stuck(*word) || self.broken(Fault::SaturationNotSticky) {
                *word = word.wrapping_add(times * (word::GENERATION - 1));
            }
        }
    }

    /// Clears a worker's ledger entry.
    pub(crate) fn clear_entry(&self, st: &mut State, worker: u8, op: Op, slot: u8) {
        let mut entry = self.ledger_entry(st, worker, op, slot, Stage::Held);
        let ledger = &mut st.daemons[usize::from(self.scope.daemon_of(worker))].ledger;
        ledger.retain(|e| {
            entry.stage = e.stage;
            *e != entry
        });
    }

    /// The slot of an identity.
    pub(crate) fn slot(&self, id: Identity) -> u8 {
        self.scope.layout.slot(id)
    }
}
