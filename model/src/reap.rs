//! Finishing what a dead daemon left.

use crate::fault::Fault;
use crate::marks::KEEPER;
use crate::model::Model;
use crate::state::{Entry, Job, Life, Stage, State, Then};
use crate::word;

impl Model {
    /// Looks for an entry of a dead daemon that can be finished, and notes it as INTENT in the reaper's own ledger. None left: sweep.
    pub(crate) fn scan(&self, st: &mut State, reaper: u8, row: u8, tenant: u8) -> Option<Job> {
        let dead = &st.daemons[usize::from(row)];
        let same = dead.tenant == tenant && dead.life == Life::Dead;
        if !same && !self.broken(Fault::LedgerWithoutTenant) && !self.broken(Fault::ReapTheLiving) {
            return None; // another reaper was through with it before
        }
        self.leave_doubtful(st, row, tenant);
        let dead = &st.daemons[usize::from(row)];
        let can_finish = |e: &&Entry| {
            (e.stage == Stage::Held || self.broken(Fault::ReapIntent))
                && self.may_end(st, row, **e)
                && (e.tenant == tenant || self.broken(Fault::LedgerWithoutTenant))
        };
        let Some(&entry) = dead.ledger.iter().find(can_finish) else {
            return Some(Job::Sweep { next: 0, loaded: None, then: Then::Free { row, tenant } });
        };
        if self.broken(Fault::ReapWithoutClaim) {
            return Some(Job::Finish { row, entry });
        }
        if !self.broken(Fault::ReaperNotesNothing) {
            let own = &mut st.daemons[usize::from(reaper)];
            let tenant = own.tenant;
            own.ledger.push(Entry {
                worker: KEEPER,
                stage: Stage::Intent,
                dax: false,
                tenant,
                ..entry
            });
        }
        Some(Job::Claim { row, entry })
    }

    /// Whether an entry's time has come: that of a mapping only when the front end is gone.
    fn may_end(&self, st: &State, row: u8, entry: Entry) -> bool {
        let front_end = st.daemons[usize::from(row)].front_end;
        !entry.dax || !front_end || self.broken(Fault::DaxReleasedWithDaemon)
    }

    /// Marks in doubt are left, and counted.
    fn leave_doubtful(&self, st: &mut State, row: u8, tenant: u8) {
        if self.broken(Fault::ReapIntent) {
            return;
        }
        for entry in st.daemons[usize::from(row)].ledger.clone() {
            let doubtful = entry.stage == Stage::Intent && entry.tenant == tenant;
            if doubtful && self.may_end(st, row, entry) {
                st.daemons[usize::from(row)].ledger.retain(|e| *e != entry);
                let counted = !self.broken(Fault::IntentForgotten);
                st.leaked[usize::from(entry.slot)] += u16::from(counted);
            }
        }
    }

    /// Compare-and-swap of the entry to 0.
    pub(crate) fn claim(&self, st: &mut State, reaper: u8, row: u8, entry: Entry) -> Job {
        let ledger = &mut st.daemons[usize::from(row)].ledger;
        let tenantless = self.broken(Fault::LedgerWithoutTenant);
        let is_it = |e: &Entry| {
            *e == Entry { tenant: if tenantless { e.tenant } else { entry.tenant }, ..entry }
        };
        if let Some(at) = ledger.iter().position(is_it) {
            ledger.remove(at);
            return Job::Finish { row, entry };
        }
        st.strike_note(reaper);
        Job::Scan { row, tenant: entry.tenant }
    }

    /// Publishes a dead daemon's slot.
    pub(crate) fn finish_entry(&self, st: &mut State, reaper: u8, row: u8, entry: Entry) -> Job {
        let old = st.words[usize::from(entry.slot)];
        if !word::is_stuck(old) {
            st.set_word(entry.slot, word::publish(old));
        }
        if self.broken(Fault::ReapWithoutClaim) {
            st.daemons[usize::from(row)].ledger.retain(|e| *e != entry);
        }
        st.strike_note(reaper);
        Job::Scan { row, tenant: entry.tenant }
    }
}

impl State {
    /// A reaper is through with an entry.
    fn strike_note(&mut self, reaper: u8) {
        let ledger = &mut self.daemons[usize::from(reaper)].ledger;
        ledger.retain(|e| e.worker != KEEPER || e.stage != Stage::Intent);
    }
}
