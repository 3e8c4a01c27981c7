//! Housekeeping in a daemon: reaping the dead, sweeping, rebuilding, starting and leaving.

use crate::budget::spend;
use crate::fault::Fault;
use crate::model::Model;
use crate::scope::Grain;
use crate::state::{Daemon, Entry, Job, Life, NOBODY, Stage, State, Task, Then, Words};
use crate::word;

impl Model {
    /// Takes one step of a daemon's housekeeping.
    pub(crate) fn housekeep(&self, st: &mut State, daemon: u8) {
        let at = usize::from(daemon);
        let Some(job) = st.daemons[at].job.take() else { return };
        let next = match job {
            Job::Scan { row, tenant } => self.scan(st, daemon, row, tenant),
            Job::Claim { row, entry } => Some(self.claim(st, daemon, row, entry)),
            Job::Finish { row, entry } => Some(self.finish_entry(st, daemon, row, entry)),
            Job::Sweep { next, loaded, then } => self.sweep(st, daemon, next, loaded, then),
            Job::Rebuild { next } => self.rebuild(st, daemon, next),
        };
        st.daemons[at].job = next;
    }

    /// Advances the next slot, or all of them.
    fn sweep(
        &self,
        st: &mut State,
        daemon: u8,
        next: u8,
        loaded: Option<u64>,
        then: Then,
    ) -> Option<Job> {
        let slots = self.scope.layout.slots();
        let spared = self.spares_sweep(then) || st.daemons[usize::from(daemon)].marks_all();
        let mut next = if spared { slots } else { next };
        while next < slots {
            if self.broken(Fault::SweepByStore) && loaded.is_none() {
                return Some(Job::Sweep { next, loaded: Some(st.words[usize::from(next)]), then });
            }
            self.sweep_slot(st, next, loaded);
            next += 1;
            if self.scope.grain == Grain::Word && next < slots {
                return Some(Job::Sweep { next, loaded: None, then });
            }
        }
        match then {
            Then::Free { row, tenant } => free(st, row, tenant),
            Then::Serve => serve(st, daemon),
            Then::Resynced => {
                let bit = 1 << daemon;
                st.events.iter_mut().for_each(|e| e.resync &= !bit);
                drop_handled(st);
            }
            Then::Deafened => st.deafened(daemon),
            Then::Leave => {
                st.daemons[usize::from(daemon)].life = Life::Dead;
                let tenant = st.daemons[usize::from(daemon)].tenant;
                free(st, daemon, tenant);
            }
        }
        None
    }

    fn spares_sweep(&self, then: Then) -> bool {
        match then {
            Then::Free { .. } => self.broken(Fault::NoSweepOnReap),
            Then::Serve => self.broken(Fault::NoSweepAtStart),
            Then::Resynced => self.broken(Fault::OverflowWithoutSweep),
            Then::Deafened => self.broken(Fault::LostWithoutSweep),
            Then::Leave => self.broken(Fault::NoSweepOnExit),
        }
    }

    fn sweep_slot(&self, st: &mut State, slot: u8, loaded: Option<u64>) {
        let old = st.words[usize::from(slot)];
        if old == 0 {
            return; // a hole, as far as we know: nobody has observed it
        }
        if let Some(loaded) = loaded {
            st.set_word(slot, word::advance(loaded));
        } else if self.broken(Fault::SweepClearsBusy) {
            st.set_word(slot, word::advance(old) & !word::BUSY);
        } else {
            st.advance(slot);
        }
    }

    /// A request's own sweep, before its reply (only a daemon that gives up a lock as the page says). Answers whether it is through.
    pub(crate) fn sweep_after(&self, st: &mut State, task: &mut Task) -> bool {
        while task.sweep < self.scope.layout.slots() {
            st.advance(task.sweep);
            task.sweep += 1;
            if self.scope.grain == Grain::Word {
                break;
            }
        }
        task.sweep >= self.scope.layout.slots()
    }

    /// Whether a daemon that starts may rebuild the table.
    pub(crate) fn may_rebuild(&self, st: &State, daemon: u8) -> bool {
        self.scope.rebuild
            && st.daemons.iter().enumerate().all(|(row, other)| {
                let alive = matches!(other.life, Life::Up | Life::Starting | Life::Leaving);
                row == usize::from(daemon) || !alive || self.broken(Fault::RebuildUnlocked)
            })
    }

    /// Takes one step of a rebuild: dead daemons' ledgers first, then word after word.
    fn rebuild(&self, st: &mut State, daemon: u8, next: u8) -> Option<Job> {
        let slots = self.scope.layout.slots();
        if self.broken(Fault::TableReplaced) {
            st.mapped_words.get_or_insert(st.words.clone());
            st.words =
                std::iter::repeat_n(self.scope.first_word, usize::from(slots)).collect::<Words>();
            self.drop_dead(st, daemon);
            serve(st, daemon);
            return None;
        }
        let words_first = self.broken(Fault::RebuildWordsFirst);
        let ledgers_at = if words_first { slots } else { 0 };
        if next == ledgers_at {
            self.drop_dead(st, daemon);
        } else {
            let slot = if words_first { next } else { next - 1 };
            self.rebuild_slot(st, slot);
        }
        if next < slots {
            return Some(Job::Rebuild { next: next + 1 });
        }
        serve(st, daemon);
        None
    }

    /// A rebuild discards the dead, and their marks go with the words; what stands for mappings of a VMM that lives is kept.
    fn drop_dead(&self, st: &mut State, but: u8) {
        for row in 0..st.daemons.len() {
            if row == usize::from(but) || st.daemons[row].life != Life::Dead {
                continue;
            }
            let dead = &mut st.daemons[row];
            let maps = dead.front_end && !self.broken(Fault::RebuildIgnoresDax);
            let stays = |e: &Entry| maps && e.dax && e.stage == Stage::Held;
            let (kept, gone): (Vec<Entry>, Vec<Entry>) =
                dead.ledger.iter().copied().partition(stays);
            for entry in gone {
                st.leaked[usize::from(entry.slot)] += 1;
            }
            dead.ledger = kept.into_iter().collect();
            if dead.ledger.is_empty() {
                vacate(dead);
            }
            let bit = 1 << row;
            st.events.iter_mut().for_each(|e| {
                e.unread = (e.unread & !bit) | NOBODY;
                e.resync &= !bit;
            });
        }
    }

    fn rebuild_slot(&self, st: &mut State, slot: u8) {
        let old = st.words[usize::from(slot)];
        let new = if self.broken(Fault::TableZeroed) {
            self.scope.first_word
        } else if self.broken(Fault::RebuildKeepsGeneration) {
            old & !word::BUSY
        } else {
            word::advance(old) & !word::BUSY
        };
        st.leaked[usize::from(slot)] = 0;
        // Of those that `drop_dead` has left, also where the VMM has gone meanwhile: a reaper will find them.
        let dead = st.daemons.iter().filter(|d| d.life == Life::Dead);
        let held = dead.flat_map(|d| &d.ledger).filter(|e| e.dax && e.stage == Stage::Held);
        let retained = held.filter(|e| e.slot == slot).count();
        st.set_word(slot, new + retained as u64);
    }
}

impl State {
    /// A daemon takes a free row.
    pub(crate) fn start_daemon(&mut self, daemon: u8, rebuild: bool) {
        spend(&mut self.left.starts);
        let new = &mut self.daemons[usize::from(daemon)];
        new.life = Life::Starting;
        new.tenant += 1;
        new.front_end = true;
        new.job = Some(if rebuild {
            Job::Rebuild { next: 0 }
        } else {
            Job::Sweep { next: 0, loaded: None, then: Then::Serve }
        });
    }

    /// The host-only file is lost while nobody runs: rows and ledgers with it.
    pub(crate) fn lose_host_file(&mut self) {
        spend(&mut self.left.losses);
        for event in &mut self.events {
            event.unread = NOBODY;
            event.resync = 0;
        }
        for row in &mut self.daemons {
            for entry in std::mem::take(&mut row.ledger) {
                self.leaked[usize::from(entry.slot)] += 1;
            }
            vacate(row);
        }
    }
}

/// A dead daemon has been dealt with: its row is free, unless its guest's DAX mappings outlive it.
pub(crate) fn free(st: &mut State, row: u8, tenant: u8) {
    let dead = &mut st.daemons[usize::from(row)];
    if dead.tenant != tenant || dead.life != Life::Dead {
        return;
    }
    if dead.ledger.iter().any(|e| e.dax) {
        dead.reaped = true;
    } else {
        vacate(dead);
    }
    let bit = 1 << row;
    for event in &mut st.events {
        event.unread &= !bit;
        event.resync &= !bit;
    }
    drop_handled(st);
}

/// The start is complete: from here on changes that nobody saw may not be believed any more.
fn serve(st: &mut State, daemon: u8) {
    st.daemons[usize::from(daemon)].life = Life::Up;
    let bit = NOBODY | (1 << daemon);
    st.events.iter_mut().for_each(|e| e.unread &= !bit);
    drop_handled(st);
}

/// Frees a row. What the VMM has mapped stays mapped.
fn vacate(daemon: &mut Daemon) {
    let mapped = std::mem::take(&mut daemon.mapped);
    let front_end = daemon.front_end && !mapped.is_empty();
    *daemon = Daemon { front_end, mapped, ..Daemon::off(daemon.tenant) };
}

/// Forgets events that everybody has handled.
pub(crate) fn drop_handled(st: &mut State) {
    st.events.retain(|e| e.unread != 0 || e.resync != 0);
}

impl Daemon {
    /// A row without a daemon.
    #[must_use]
    pub fn off(tenant: u8) -> Self {
        Self {
            life: Life::Off,
            tenant,
            ledger: smallvec::SmallVec::new(),
            reaped: false,
            job: None,
            watching: false,
            deaf: false,
            promised: smallvec::SmallVec::new(),
            front_end: false,
            mapped: smallvec::SmallVec::new(),
            known: smallvec::SmallVec::new(),
            expected: 0,
            lingers: smallvec::SmallVec::new(),
        }
    }
}
