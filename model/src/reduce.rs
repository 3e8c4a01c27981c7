//! Brings a state into a normal form, so that states that cannot be told apart are explored once.
//!
//! Three things are forgotten; the crate's docs argue why nothing is lost, and a test explores scopes with and without.
//! 1. A copy, an observation or a mark whose word is no longer the slot's word: words only move forward, so it can never match again.
//! 2. How many generations a slot has seen: only equality with live copies counts.
//! 3. Which numbers versions have: only their order, identity by identity.

use smallvec::SmallVec;

use crate::ident::{Identity, Value};
use crate::marks::GONE;
use crate::model::Model;
use crate::state::State;
use crate::word;

/// The version of what the host answers now, in a reduced state. Older ones count down from here.
const NOW: u8 = 200;

impl Model {
    /// Brings a state into its normal form.
    pub(crate) fn reduce(&self, st: &mut State) {
        self.forget_dead_words(st);
        self.forget_generations(st);
        self.forget_useless_permits(st);
        self.forget_versions(st);
        st.copies.sort_unstable();
        self.sort_daemons(st);
    }

    fn forget_dead_words(&self, st: &mut State) {
        let words = st.words.clone();
        let current = |id: Identity| words[usize::from(self.slot(id))];
        st.copies.retain(|c| c.word == current(c.id));
        for task in st.tasks.iter_mut().flatten() {
            for (class, id) in self.classes(task) {
                if task.seen[class].is_some_and(|w| w != current(id)) {
                    task.seen[class] = None;
                }
            }
            for mark in &mut task.marks {
                let now = words[usize::from(mark.slot)];
                let alone = match &mut mark.published {
                    Some(published) if *published != now => {
                        *published = GONE;
                        false
                    }
                    Some(published) => *published == word::publish(mark.announced),
                    None => mark.announced == now,
                };
                if !alone {
                    mark.announced = GONE;
                }
            }
            let marks = task.marks.clone();
            task.kept.retain(|copy| {
                let slot = self.slot(copy.id);
                match marks.iter().find(|m| m.slot == slot) {
                    None => copy.word == words[usize::from(slot)],
                    Some(m) => match m.published {
                        None => m.announced == word::announce(copy.word),
                        Some(published) => published == word::advance(copy.word),
                    },
                }
            });
        }
        for daemon in &mut st.daemons {
            for (promised, &now) in daemon.promised.iter_mut().zip(&words) {
                if now.wrapping_sub(*promised).wrapping_sub(1) < u64::MAX / 2 {
                    *promised = 0; // only of words to come is anything promised
                }
            }
            daemon.known.retain(|k| {
                let parent = k.parent.map(|(dir, v)| (Identity::Attr(dir), v));
                let still = |(id, v)| st.host.answer(&self.scope.layout, id) == v;
                still((k.id, k.value)) && parent.is_none_or(still)
            });
        }
    }

    fn forget_generations(&self, st: &mut State) {
        let base = self.scope.first_word & !word::BUSY;
        let shifts: SmallVec<[u64; 20]> =
            st.words.iter().map(|w| base.wrapping_sub(w & !word::BUSY)).collect();
        let shift = |word: &mut u64, slot: u8| {
            if *word != GONE {
                *word = word.wrapping_add(shifts[usize::from(slot)]);
            }
        };
        for (slot, word) in st.words.iter_mut().enumerate() {
            shift(word, slot as u8);
        }
        for copy in &mut st.copies {
            shift(&mut copy.word, self.slot(copy.id));
        }
        for daemon in &mut st.daemons {
            for (slot, promised) in daemon.promised.iter_mut().enumerate() {
                if *promised != 0 {
                    shift(promised, slot as u8);
                }
            }
        }
        for task in st.tasks.iter_mut().flatten() {
            for (class, id) in self.classes(task) {
                if let Some(word) = &mut task.seen[class] {
                    shift(word, self.slot(id));
                }
            }
            for mark in &mut task.marks {
                shift(&mut mark.announced, mark.slot);
                if let Some(word) = &mut mark.published {
                    shift(word, mark.slot);
                }
            }
            for copy in &mut task.kept {
                shift(&mut copy.word, self.slot(copy.id));
            }
        }
    }

    /// Drops leave to give an old answer that nobody can give any more.
    fn forget_useless_permits(&self, st: &mut State) {
        let mut given: SmallVec<[(Identity, Value); 16]> = SmallVec::new();
        self.for_copies(st, &mut |id, value| given.push((id, *value)));
        let useful = |p: &mut (Identity, Value)| given.contains(p);
        for event in &mut st.events {
            event.permits.retain(useful);
            event.permits.sort_unstable();
            event.permits.dedup();
        }
    }

    /// Values that a guest holds or may yet be given.
    fn for_copies(&self, st: &mut State, see: &mut dyn FnMut(Identity, &mut Value)) {
        for copy in &mut st.copies {
            see(copy.id, &mut copy.value);
        }
        for task in st.tasks.iter_mut().flatten() {
            for (class, id) in self.classes(task) {
                if let Some(value) = &mut task.answer[class] {
                    see(id, value);
                }
            }
            for copy in &mut task.kept {
                see(copy.id, &mut copy.value);
            }
        }
    }

    fn for_values(&self, st: &mut State, see: &mut dyn FnMut(Identity, &mut Value)) {
        self.for_copies(st, see);
        for (id, value) in st.events.iter_mut().flat_map(|e| &mut e.permits) {
            see(*id, value);
        }
        for daemon in &mut st.daemons {
            for known in &mut daemon.known {
                see(known.id, &mut known.value);
                if let Some((dir, value)) = &mut known.parent {
                    see(Identity::Attr(*dir), value);
                }
            }
        }
    }

    fn forget_versions(&self, st: &mut State) {
        let mut used: SmallVec<[(Identity, u8); 32]> = SmallVec::new();
        self.for_values(st, &mut |id, value| used.extend(version(value).map(|v| (id, *v))));
        let layout = &self.scope.layout;
        for id in layout.identities() {
            used.extend(version(&mut st.host.answer(layout, id)).map(|v| (id, *v)));
        }
        used.sort_unstable();
        used.dedup();
        let rank = |id: Identity, v: u8| {
            NOW - used.iter().filter(|(other, w)| *other == id && *w > v).count() as u8
        };
        self.for_values(st, &mut |id, value| {
            if let Some(v) = version(value) {
                *v = rank(id, *v);
            }
        });
        for inode in &mut st.host.inodes {
            inode.perm = NOW;
            inode.attr = NOW;
            inode.data = NOW;
        }
        st.host.clock = NOW + 1;
    }
}

fn version(value: &mut Value) -> Option<&mut u8> {
    match value {
        Value::Version(v) | Value::Mode(v, _) => Some(v),
        Value::Nothing | Value::Is(_) | Value::Mixed => None,
    }
}

#[cfg(test)]
#[path = "reduce_tests.rs"]
mod tests;
