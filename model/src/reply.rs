//! Observations, replies and what guests make of them.

use smallvec::SmallVec;

use crate::fault::Fault;
use crate::host::Host;
use crate::ident::{Identity, Name, Value};
use crate::model::Model;
use crate::op::Op;
use crate::state::{ANYBODY, Copy, Life, Mark, State, Task};
use crate::word;
use crate::worker::ENTRY;

/// Identities with their positions in [`Task::seen`].
type Classes = SmallVec<[(usize, Identity); 4]>;

impl Model {
    /// Loads a slot's word. None where the guest must not cache: a change is in progress, or nothing covers the name.
    pub(crate) fn observe(&self, st: &State, id: Identity) -> Option<u64> {
        let word = st.words[usize::from(self.slot(id))];
        let fit = word::vouches(word)
            || self.broken(Fault::StampBusy)
            || (word == 0 && self.broken(Fault::StampUntouched));
        (fit && self.has_slot(id)).then_some(word)
    }

    /// Names that are not compared byte for byte have no slot.
    pub(crate) fn has_slot(&self, id: Identity) -> bool {
        let folds = matches!(id, Identity::Entry(name) if self.scope.layout.is_folded(name));
        !folds || self.broken(Fault::StampFoldedNames)
    }

    /// The identities of the inode that a reply is about.
    pub(crate) fn subject_identities(&self, task: &Task) -> Classes {
        let Some(ino) = task.subject else { return Classes::new() };
        let mut all: Classes = SmallVec::new();
        if ino.0 >= self.scope.layout.dirs {
            all.push((1, Identity::Perm(ino)));
            all.push((3, Identity::Data(ino)));
        }
        all.push((2, Identity::Attr(ino)));
        all
    }

    /// Whether the reply to this change carries attributes and stamps.
    pub(crate) fn stamps_reply(&self, task: &Task) -> bool {
        let attributes = matches!(
            task.op,
            Op::Create(_) | Op::CreateTrunc(_) | Op::Link(..) | Op::Chmod(_) | Op::Truncate(_)
        );
        self.scope.replies && attributes && !task.failed
    }

    /// What the reply is about: the name, if it carries one, and the inode.
    pub(crate) fn classes(&self, task: &Task) -> Classes {
        let mut all = self.subject_identities(task);
        if let Some(name) = task.op.replies_name() {
            all.push((ENTRY, Identity::Entry(name)));
        }
        all
    }

    /// The change is published. Stamps the reply with the published words where the change was alone, else has everything observed and read again.
    pub(crate) fn finish_change(&self, st: &mut State, worker: u8, task: &mut Task) {
        if !task.failed {
            self.adopt_kept(st, worker, task);
        }
        task.kept.clear();
        if self.stamps_reply(task) {
            let stamps: SmallVec<[_; 4]> = self
                .classes(task)
                .iter()
                .map(|&(class, id)| (id, self.own_word(task, class, id), task.answer[class]))
                .collect();
            task.again = stamps.iter().any(|(id, word, _)| {
                word.is_none() && task.has_marked(self.slot(*id)) && self.has_slot(*id)
            });
            if !task.again && self.may_stamp_now(st, worker) {
                for (id, word, value) in stamps {
                    self.tell(st, worker, id, word, value);
                }
            }
        }
        task.marks.clear();
        task.seen = [None; 4];
        if !(task.again && self.broken(Fault::ReplyWithCreated)) {
            task.answer = [None; 4];
        }
    }

    /// The word that a change's own reply may carry: as published where it was announced, else as observed.
    fn own_word(&self, task: &Task, class: usize, id: Identity) -> Option<u64> {
        match task.marks.iter().find(|m| m.slot == self.slot(id)) {
            Some(mark) if self.has_slot(id) => {
                self.alone(*mark).then_some(mark.published).flatten()
            }
            Some(_) => None,
            None => task.seen[class],
        }
    }

    /// Whether the watch stands, for a daemon that asks only when it publishes.
    fn may_stamp_now(&self, st: &State, worker: u8) -> bool {
        !self.broken(Fault::WatchAskedAtPublish) || self.may_stamp(st, self.scope.daemon_of(worker))
    }

    /// Whether nothing else changed the slot between the announce and the publish.
    fn alone(&self, mark: Mark) -> bool {
        let Some(published) = mark.published else { return false };
        let undisturbed = published == word::publish(mark.announced);
        if self.broken(Fault::StampWithoutAlone) {
            return word::busy(published) == 0;
        }
        undisturbed && (word::busy(mark.announced) == 1 || self.broken(Fault::AloneIgnoresBusy))
    }

    /// The stamps of a reply whose words were observed before the host was read.
    pub(crate) fn stamp_observed(&self, st: &mut State, worker: u8, task: &Task) {
        for (class, id) in self.classes(task) {
            self.tell(st, worker, id, task.seen[class], task.answer[class]);
        }
    }

    /// A guest is told a value, with the word that guards it.
    fn tell(
        &self,
        st: &mut State,
        worker: u8,
        id: Identity,
        word: Option<u64>,
        value: Option<Value>,
    ) {
        let (Some(word), Some(value)) = (word, value) else { return };
        let keeps_old = match id {
            Identity::Data(_) => self.broken(Fault::PagesKeptUnderNewWord),
            Identity::Attr(_) => self.broken(Fault::WordWithoutContent),
            _ => false,
        };
        if keeps_old {
            let pages: SmallVec<[Copy; 8]> =
                st.copies.iter().filter(|c| c.id == id).copied().collect();
            pages.iter().for_each(|old| st.keep(Copy { word, ..*old }));
        }
        st.keep(Copy { id, word, value, by: self.giver(self.scope.daemon_of(worker)) });
    }

    /// Guests that ask for everything at every instant.
    pub(crate) fn ask_for_everything(&self, st: &mut State) {
        let serves =
            |row: &u8| st.daemons[usize::from(*row)].life == Life::Up && self.may_stamp(st, *row);
        let serving: SmallVec<[u8; 3]> = (0..self.scope.daemons).filter(serves).collect();
        if !self.scope.always || serving.is_empty() {
            return;
        }
        for id in self.scope.layout.identities() {
            let created = match id {
                Identity::Entry(_) => true,
                Identity::Perm(i) | Identity::Attr(i) | Identity::Data(i) => st.host.exists(i),
            };
            if let (true, Some(word)) = (created, self.observe(st, id)) {
                let value = st.host.answer(&self.scope.layout, id);
                st.keep(Copy { id, word, value, by: ANYBODY });
                serving.iter().for_each(|&daemon| self.promise(st, daemon, id, word));
            }
        }
    }

    /// The guest's check.
    pub(crate) fn hits(&self, st: &State, copy: &Copy) -> bool {
        let slot = usize::from(self.slot(copy.id));
        let word = st.mapped_words.as_ref().unwrap_or(&st.words)[slot];
        if self.broken(Fault::GuestComparesByOrder) {
            return word::busy(word) == 0 && word <= copy.word;
        }
        if let (Identity::Perm(ino), true) = (copy.id, self.broken(Fault::PermUnchecked)) {
            let named = |c: &Copy| c.value == Value::Is(ino) && self.hits(st, c);
            return st.copies.iter().any(named);
        }
        word == copy.word
    }

    /// A guest that changes its cached attributes before the host has, and keeps their word.
    pub(crate) fn edit_locally(&self, st: &mut State, op: Op) {
        let (Op::Write(ino) | Op::Truncate(ino), true) =
            (op, self.broken(Fault::LocalEditKeepsWord))
        else {
            return;
        };
        let edited = st.copies.iter_mut().filter(|c| c.id == Identity::Attr(ino));
        edited.for_each(|c| c.value = Value::Mixed);
    }

    /// The copies that the requesting guest would rather keep over its own change.
    pub(crate) fn copies_to_keep(&self, st: &State, worker: u8, op: Op) -> SmallVec<[Copy; 2]> {
        if !self.scope.replies {
            return SmallVec::new();
        }
        let wanted: SmallVec<[Identity; 2]> = match op {
            Op::Write(i) => SmallVec::from_slice(&[Identity::Perm(i), Identity::Data(i)]),
            Op::Truncate(i) => SmallVec::from_slice(&[Identity::Data(i)]),
            Op::Rename(a, _) => SmallVec::from_slice(&[Identity::Entry(a)]),
            Op::Exchange(a, b) => SmallVec::from_slice(&[Identity::Entry(a), Identity::Entry(b)]),
            _ => SmallVec::new(),
        };
        let giver = self.giver(self.scope.daemon_of(worker));
        let held = |c: &&Copy| wanted.contains(&c.id) && c.by == giver && self.hits(st, c);
        st.copies.iter().filter(held).copied().collect()
    }

    /// The requesting guest lays its own change over the copies it would keep.
    pub(crate) fn lay_change_over_kept(&self, st: &State, before: &Host, task: &mut Task) {
        let layout = &self.scope.layout;
        task.kept.retain(|copy| {
            if let Identity::Data(_) = copy.id {
                let whole = copy.value == before.answer(layout, copy.id);
                copy.value = if whole { st.host.answer(layout, copy.id) } else { Value::Mixed };
            }
            // The guest cannot tell whether the host let suid fall.
            !matches!(copy.value, Value::Mode(_, true)) || self.broken(Fault::SuidKeptOverWrite)
        });
    }

    /// The requesting guest takes the words of its own change for the copies it kept.
    fn adopt_kept(&self, st: &mut State, worker: u8, task: &Task) {
        if !self.may_stamp_now(st, worker) {
            return;
        }
        for copy in &task.kept {
            let Some(own) = self.published(task, copy.id) else { continue };
            if !self.one_past(copy, own) {
                continue;
            }
            match (copy.id, task.op) {
                (Identity::Entry(from), Op::Rename(a, b) | Op::Exchange(a, b)) => {
                    let to = if from == a { b } else { a };
                    self.keep_moved(st, task, to, *copy);
                }
                _ => st.keep(Copy { word: own, ..*copy }),
            }
        }
    }

    /// A renamed dentry lives on under its new name.
    fn keep_moved(&self, st: &mut State, task: &Task, to: Name, held: Copy) {
        let id = Identity::Entry(to);
        if !self.has_slot(id) {
            return;
        }
        let mark = task.marks.iter().find(|m| m.slot == self.slot(id));
        if let Some(word) = mark.filter(|m| self.alone(**m)).and_then(|m| m.published) {
            st.keep(Copy { id, word, ..held });
        }
    }

    fn published(&self, task: &Task, id: Identity) -> Option<u64> {
        task.marks.iter().find(|m| m.slot == self.slot(id)).and_then(|m| m.published)
    }

    /// Whether the requester's own change is all that happened to a slot since the guest's copy was made.
    fn one_past(&self, held: &Copy, own: u64) -> bool {
        let next = word::advance(held.word);
        if self.broken(Fault::OnePastWhileBusy) {
            return own & !word::BUSY == next;
        }
        let trusting = match held.id {
            Identity::Entry(_) => self.broken(Fault::RenameStampTrusted),
            _ => self.broken(Fault::OwnWordsAlwaysTaken),
        };
        (own == next && word::vouches(own)) || (trusting && word::busy(own) == 0)
    }
}
