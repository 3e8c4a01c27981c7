//! Sweeps that come too soon after the last one: everything is marked instead, and taken back later.

use crate::budget::spend;
use crate::fault::Fault;
use crate::marks::KEEPER;
use crate::model::Model;
use crate::state::{Daemon, Entry, Job, Stage, State, Then};
use crate::word;

impl Model {
    /// Instead of the sweep that it is about to make a daemon marks every slot.
    pub(crate) fn hurry(&self, st: &mut State, daemon: u8) {
        spend(&mut st.left.hurries);
        for slot in 0..self.scope.layout.slots() {
            st.set_word(slot, word::announce(st.words[usize::from(slot)]));
            let own = &mut st.daemons[usize::from(daemon)];
            let (stage, tenant) = (Stage::Held, own.tenant);
            own.ledger.push(Entry { worker: KEEPER, slot, stage, dax: false, tenant });
        }
        self.housekeep(st, daemon);
    }

    /// Takes the marks back, which advances every slot.
    pub(crate) fn calm(&self, st: &mut State, daemon: u8) {
        if !st.daemons[usize::from(daemon)].marks_all() {
            return;
        }
        let is_mark = |e: &Entry| e.worker == KEEPER && e.stage == Stage::Held;
        st.daemons[usize::from(daemon)].ledger.retain(|e| !is_mark(e));
        for slot in 0..self.scope.layout.slots() {
            let old = st.words[usize::from(slot)];
            let undone = self.broken(Fault::HurryUndone);
            st.set_word(slot, if undone { old - 1 } else { word::publish(old) });
        }
    }
}

impl Daemon {
    /// Whether it has marked everything. Then a sweep is nothing to do: every slot will have moved when it is no longer busy.
    pub(crate) fn marks_all(&self) -> bool {
        self.ledger.iter().any(|e| e.worker == KEEPER && e.stage == Stage::Held)
    }

    /// Whether it is about to make a sweep that may be put off.
    pub(crate) fn may_hurry(&self) -> bool {
        let late = |then: &Then| !matches!(then, Then::Serve | Then::Leave);
        matches!(&self.job, Some(Job::Sweep { next: 0, loaded: None, then }) if late(then))
            && !self.marks_all()
    }
}
