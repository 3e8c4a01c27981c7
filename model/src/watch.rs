//! Changes made on the host: events, what a daemon makes of them, and what may be stale until then.

use crate::budget::spend;
use smallvec::SmallVec;

use crate::fault::Fault;
use crate::host::{Changed, Syscall};
use crate::house::drop_handled;
use crate::ident::{Identity, Name};
use crate::model::Model;
use crate::program::Step;
use crate::scope::Watch;
use crate::state::{Event, Job, Known, Life, NOBODY, Permits, Source, State, Task, Then};

impl Model {
    /// Somebody on the host makes a change. Old answers are allowed until its event has been handled.
    pub(crate) fn host_change(&self, st: &mut State, call: Syscall, blind: bool) {
        spend(&mut st.left.host);
        let Ok((_, changed)) = st.host.call(&self.scope.layout, call) else { return };
        let permits: Permits = changed.iter().copied().collect();
        for &(id, _) in &changed {
            if let Identity::Entry(name) = id {
                self.race(st, name);
            }
        }
        self.emit(st, Source::Host, &changed, permits, blind);
    }

    /// Whether the host would carry out the change.
    pub(crate) fn host_can(&self, st: &State, call: Syscall) -> bool {
        st.host.clone().call(&self.scope.layout, call).is_ok_and(|(_, changed)| !changed.is_empty())
    }

    /// Requests that have resolved this name, and have yet to change it, are overtaken.
    fn race(&self, st: &mut State, name: Name) {
        for task in st.tasks.iter_mut().flatten() {
            let program = self.program(task.op);
            let waits = |step| program[usize::from(task.pc)..].contains(&step);
            if task.op.names().contains(&name) && !waits(Step::Resolve) && waits(Step::Call) {
                task.raced = true;
            }
        }
    }

    /// Tells the watchers of a change.
    pub(crate) fn emit(
        &self,
        st: &mut State,
        by: Source,
        changed: &Changed,
        permits: Permits,
        blind: bool,
    ) {
        if self.scope.watch == Watch::Off || changed.is_empty() {
            return;
        }
        let event = Event {
            by,
            touched: changed.iter().map(|&(id, _)| id).collect(),
            blind,
            unread: audience(st),
            resync: st.unheard(),
            permits,
        };
        if event.unread | event.resync == 0 {
            return; // nobody watches, so nobody has given a stamp
        }
        if let Source::Daemon(by, _) = by {
            let writer = &mut st.daemons[usize::from(by)];
            writer.expected += u8::from(self.broken(Fault::CountOwnEvents));
        }
        match st.events.last_mut() {
            Some(last) if self.scope.watch == Watch::Inotify && merges(last, &event) => {
                last.permits.extend(event.permits);
            }
            _ => st.events.push(event),
        }
    }

    /// A daemon handles the oldest event in its queue.
    pub(crate) fn deliver(&self, st: &mut State, daemon: u8) {
        let bit = 1 << daemon;
        let Some(at) = st.events.iter().position(|e| e.unread & bit != 0) else { return };
        st.events[at].unread &= !bit;
        let event = st.events[at].clone();
        if event.blind && !self.broken(Fault::BlindEventWithoutSweep) {
            st.events[at].resync |= bit;
            let then = Then::Resynced;
            st.daemons[usize::from(daemon)].job = Some(Job::Sweep { next: 0, loaded: None, then });
            return;
        }
        let counted = &mut st.daemons[usize::from(daemon)].expected;
        let spared = self.broken(Fault::CountOwnEvents) && *counted > 0;
        *counted -= u8::from(spared);
        if !spared && !self.passes_over(st, daemon, &event) {
            for &id in &event.touched {
                let unknown = event.blind && !self.names_directory(id);
                let slot = self.slot(id);
                let own = self.is_own(st, daemon, id) || self.was_announced(daemon, event.by, id);
                if !unknown && !own && self.answers_for(st, daemon, slot) {
                    st.advance(slot);
                }
            }
        }
        drop_handled(st);
    }

    /// Faulty daemons that do not look at some events at all.
    fn passes_over(&self, st: &State, daemon: u8, event: &Event) -> bool {
        let first = st.daemons.iter().position(|d| d.life == Life::Up);
        let not_elected = first != Some(usize::from(daemon));
        self.broken(Fault::EventsIgnored)
            || (not_elected && self.broken(Fault::ElectedAlone))
            || (event.by == Source::Host && st.crashed && self.broken(Fault::RememberedPidSkipped))
    }

    /// Whether an event of a daemon's own process tells of what that process has certainly announced: anything but the inodes that it had found under the names which
    /// it removed or moved. Those may have been others, for somebody on the host may have changed the names meanwhile.
    fn was_announced(&self, daemon: u8, by: Source, id: Identity) -> bool {
        let Source::Daemon(by, resolved) = by else { return false };
        let certain = !resolved || self.names_directory(id) || self.broken(Fault::OwnPidSkipped);
        self.scope.watch == Watch::Fanotify && by == daemon && certain
    }

    /// Whether the event tells of nothing but the daemon's own, published change: nothing has moved since.
    fn is_own(&self, st: &State, daemon: u8, id: Identity) -> bool {
        self.scope.watch == Watch::Inotify
            && !self.broken(Fault::CountOwnEvents)
            && st.daemons[usize::from(daemon)].known.iter().any(|k| self.still_true(st, *k, id))
    }

    fn still_true(&self, st: &State, known: Known, id: Identity) -> bool {
        let layout = &self.scope.layout;
        let parent = known.parent.filter(|_| !self.broken(Fault::EntryComparedAlone));
        known.id == id
            && known.value == st.host.answer(layout, id)
            && parent.is_none_or(|(dir, v)| v == st.host.answer(layout, Identity::Attr(dir)))
    }

    fn names_directory(&self, id: Identity) -> bool {
        match id {
            Identity::Entry(_) => true,
            Identity::Attr(i) => i.0 < self.scope.layout.dirs,
            Identity::Perm(_) | Identity::Data(_) => false,
        }
    }

    /// Inside its busy window a change reads what it has made, to know its own events by.
    pub(crate) fn note_own_change(&self, st: &mut State, worker: u8, task: &Task) {
        if self.scope.watch != Watch::Inotify {
            return;
        }
        let layout = &self.scope.layout;
        for (_, id) in self.announced(task) {
            let value = st.host.answer(layout, id);
            let parent = match id {
                Identity::Entry(n) => Some(layout.parent(n)),
                _ => None,
            };
            let parent = parent.map(|dir| (dir, st.host.answer(layout, Identity::Attr(dir))));
            let known = &mut st.daemons[usize::from(self.scope.daemon_of(worker))].known;
            known.retain(|k| k.id != id);
            known.push(Known { id, value, parent });
            known.sort_unstable_by_key(|k| k.id);
        }
    }
}

impl State {
    /// Daemons (a bit each) whose watch is gone, and that have given stamps which still count: only a sweep makes good what they miss.
    fn unheard(&self) -> u8 {
        let rows = self.daemons.iter().enumerate().filter(|(_, d)| d.is_unheard());
        rows.fold(0, |bits, (row, _)| bits | 1 << row)
    }

    /// A daemon's queue has overflowed: its events are lost, and it sweeps.
    pub(crate) fn overflow(&mut self, daemon: u8) {
        spend(&mut self.left.overflows);
        self.mark_lost(daemon);
        let then = Then::Resynced;
        self.daemons[usize::from(daemon)].job = Some(Job::Sweep { next: 0, loaded: None, then });
    }
}

/// Pages that the requesting guest would keep over its own change, and that a change on the host has overtaken: what comes of them is excused as they were,
/// until that one's event has been handled.
pub(crate) fn late_pages(st: &State, task: &Task) -> SmallVec<[(usize, Identity); 2]> {
    let mut late = SmallVec::new();
    for copy in task.kept.iter().filter(|c| matches!(c.id, Identity::Data(_))) {
        let excusing = |e: &Event| e.permits.contains(&(copy.id, copy.value));
        let events = st.events.iter().enumerate().filter(|(_, e)| excusing(e));
        late.extend(events.map(|(at, _)| (at, copy.id)));
    }
    late
}

/// Who must handle an event before nobody may be stale: daemons that watch, the dead until they are reaped, else the next start.
fn audience(st: &State) -> u8 {
    let mut audience = 0;
    for (row, daemon) in st.daemons.iter().enumerate() {
        let watches = daemon.watching && !daemon.deaf;
        let hears = match daemon.life {
            Life::Off => false,
            Life::Starting | Life::Up | Life::Leaving => watches,
            Life::Dead => !daemon.reaped,
        };
        audience |= u8::from(hears) << row;
    }
    let served = st.daemons.iter().any(|d| d.life == Life::Up);
    if served { audience } else { audience | NOBODY }
}

/// Equal neighbours in an inotify queue become one.
fn merges(last: &Event, event: &Event) -> bool {
    last.touched == event.touched && last.blind == event.blind && last.unread == event.unread
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
