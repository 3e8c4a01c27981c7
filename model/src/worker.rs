//! A daemon's worker: takes a request through its program, one micro-step at a time.

use crate::budget::spend;
use crate::fault::Fault;
use crate::host::Syscall;
use crate::ident::{Identity, Ino, Value};
use crate::model::Model;
use crate::op::{Op, OpKind};
use crate::program::Step;
use crate::scope::{Grain, Watch};
use crate::state::{Source, State, Task};
use crate::watch::late_pages;

/// The position of the entry in [`Task::seen`] and [`Task::answer`]; perm, attr and data follow.
pub(crate) const ENTRY: usize = 0;

impl Model {
    /// A guest's request reaches an idle worker.
    pub(crate) fn begin(&self, st: &mut State, worker: u8, op: Op) {
        if op.reads_only() {
            spend(&mut st.left.reads);
        } else {
            spend(&mut st.left.changes);
        }
        let mut task = Task::new(op);
        task.kept = self.copies_to_keep(st, worker, op);
        let daemon = self.scope.daemon_of(worker);
        task.quirk = (self.broken(Fault::DaemonsHashApart) && daemon == 1)
            || (self.broken(Fault::WatchCheckedBefore) && self.may_stamp(st, daemon));
        self.edit_locally(st, op);
        self.look_at_hold(st, worker, &mut task);
        self.skip_idle(st, worker, &mut task);
        st.tasks[usize::from(worker)] = Some(task);
    }

    /// The step that a request is at.
    pub(crate) fn step_of(&self, task: &Task) -> Step {
        self.program(task.op)[usize::from(task.pc)]
    }

    /// Takes one step of a request.
    pub(crate) fn step(&self, st: &mut State, worker: u8) {
        let Some(mut task) = st.tasks[usize::from(worker)].take() else { return };
        let step = self.step_of(&task);
        let through = match step {
            Step::Announce | Step::AnnouncePinned => self.announce(st, worker, &mut task),
            Step::Publish => self.publish(st, worker, &mut task),
            Step::SweepAfter => self.sweep_after(st, &mut task),
            _ => {
                self.single(st, worker, &mut task, step);
                true
            }
        };
        if step == Step::Reply {
            return;
        }
        if through {
            task.pc += 1;
        }
        self.skip_idle(st, worker, &mut task);
        if self.scope.grain == Grain::Change && self.step_of(&task) == Step::Reply {
            self.reply(st, worker, &mut task);
        } else {
            st.tasks[usize::from(worker)] = Some(task);
        }
    }

    /// The steps that are one act.
    fn single(&self, st: &mut State, worker: u8, task: &mut Task, step: Step) {
        let layout = &self.scope.layout;
        match step {
            Step::Lock => self.take_locks(st, worker, task),
            Step::Unlock => st.release_locks(task),
            Step::Resolve => {
                for (found, name) in task.found.iter_mut().zip(task.op.names()) {
                    *found = st.host.meaning(layout, name);
                }
            }
            Step::ReadSuid => task.suid = task.op.target().is_some_and(|i| self.suid(st, i)),
            Step::Call => self.call(st, worker, task),
            Step::Pin => {
                let name = task.op.names().first().copied();
                task.subject = name.and_then(|n| st.host.meaning(layout, n));
                task.pinned = task.subject.is_some();
            }
            Step::TruncatePinned => {
                if let Some(ino) = task.subject {
                    self.syscall(st, worker, task, Syscall::Truncate(ino));
                    task.failed = false;
                    task.answer[ENTRY] = Some(Value::Is(ino));
                }
            }
            Step::MapWindow | Step::UnmapWindow => self.move_window(st, worker, task, step),
            Step::BumpAfter => {
                for slot in self.slots_to_announce(task) {
                    st.advance(slot);
                }
            }
            Step::Watch => {
                let daemon = &mut st.daemons[usize::from(self.scope.daemon_of(worker))];
                (daemon.watching, daemon.deaf) = (true, false);
            }
            Step::ObserveEntry => {
                if let Some(name) = task.op.replies_name() {
                    task.seen[ENTRY] = self.observe_for(st, worker, task, Identity::Entry(name));
                }
            }
            Step::LookUp => {
                self.promise_late(st, worker, task, Fault::PromiseOverwritten);
                if let Some(name) = task.op.replies_name() {
                    let found = st.host.meaning(layout, name);
                    // CREATE has opened what it created: if the name means something else by now, its reply has no entry stamp.
                    let other = task.again && found != task.subject;
                    task.answer[ENTRY] = (!other).then(|| found.map_or(Value::Nothing, Value::Is));
                    task.subject = if task.again { task.subject } else { found };
                }
            }
            Step::ObserveNew | Step::ObserveInode => {
                for (class, id) in self.subject_identities(task) {
                    task.seen[class] = self.observe_for(st, worker, task, id);
                }
            }
            Step::ReadBack | Step::Read => {
                self.promise_late(st, worker, task, Fault::PromiseOverwritten);
                if step == Step::ReadBack {
                    self.note_own_change(st, worker, task);
                }
                for (class, id) in self.subject_identities(task) {
                    task.answer[class] = Some(st.host.answer(layout, id));
                }
            }
            Step::Reply => self.reply(st, worker, task),
            Step::Announce | Step::AnnouncePinned | Step::Publish | Step::SweepAfter => {}
        }
    }

    /// Passes over steps that this request has no use for: they touch nothing that others can see.
    pub(crate) fn skip_idle(&self, st: &State, worker: u8, task: &mut Task) {
        while self.is_idle(st, worker, task) {
            task.pc += 1;
        }
    }

    fn is_idle(&self, st: &State, worker: u8, task: &Task) -> bool {
        let reading = task.again || task.op.reads_only();
        let reread = task.again && self.broken(Fault::ReplyWithCreated);
        match self.step_of(task) {
            Step::Lock => !self.must_lock(task.op) || task.locks != 0 || task.trespassed(),
            Step::Unlock => task.locks == 0,
            Step::Resolve => !task.op.resolves(),
            Step::ReadSuid => {
                !self.broken(Fault::PermOnlyIfSuidSeen) || task.op.kind() != Some(OpKind::Write)
            }
            Step::Announce | Step::AnnouncePinned => {
                let nothing = task.nothing_to_change();
                nothing || self.slots_to_announce(task).iter().all(|&slot| task.has_marked(slot))
            }
            Step::Call | Step::BumpAfter => task.nothing_to_change(),
            Step::Pin => !(task.failed && matches!(task.op, Op::CreateTrunc(_))),
            Step::TruncatePinned => !task.pinned,
            Step::ObserveNew => !self.stamps_reply(task),
            Step::ReadBack => !self.stamps_reply(task) && self.scope.watch == Watch::Off,
            Step::Publish => task.marks.iter().all(|m| m.published.is_some()),
            Step::SweepAfter => {
                !(task.trespassed() && self.broken(Fault::GiveUpThenSweep))
                    || task.sweep >= self.scope.layout.slots()
            }
            Step::Watch => {
                self.scope.watch != Watch::Inotify
                    || !(self.scope.replies || task.op.reads_only())
                    || st.daemons[usize::from(self.scope.daemon_of(worker))].watching
            }
            Step::ObserveEntry => !reading || task.op.replies_name().is_none(),
            Step::LookUp => !reading || reread || task.op.replies_name().is_none(),
            Step::ObserveInode => !reading || task.subject.is_none(),
            Step::Read => !reading || reread || task.subject.is_none(),
            Step::MapWindow | Step::UnmapWindow | Step::Reply => false,
        }
    }

    /// The system call of a change, and what the guest that asked for it makes of its own copies.
    fn call(&self, st: &mut State, worker: u8, task: &mut Task) {
        let Some(call) = task.op.syscall() else { return };
        let before = st.host.clone();
        let late = late_pages(st, task);
        match self.syscall(st, worker, task, call) {
            Some(subject) => {
                late.iter().for_each(|&(event, id)| {
                    st.events[event].permits.push((id, Value::Mixed));
                });
                task.subject = Some(subject);
                task.answer[ENTRY] = task.op.replies_name().map(|_| Value::Is(subject));
                self.lay_change_over_kept(st, &before, task);
            }
            None => task.failed = true,
        }
    }

    /// Runs a system call for a request and tells the watchers. None: it failed.
    fn syscall(&self, st: &mut State, worker: u8, task: &mut Task, call: Syscall) -> Option<Ino> {
        let (subject, changed) = st.host.call(&self.scope.layout, call).ok()?;
        let mut late = crate::state::Permits::new();
        for &(id, old) in &changed {
            if task.has_marked(self.slot(id)) {
                st.forbid(id);
            } else if task.raced && !task.pinned {
                late.push((id, old));
            }
        }
        let daemon = self.scope.daemon_of(worker);
        self.emit(st, Source::Daemon(daemon, task.op.resolves()), &changed, late, false);
        Some(subject)
    }

    fn suid(&self, st: &State, ino: Ino) -> bool {
        matches!(st.host.answer(&self.scope.layout, Identity::Perm(ino)), Value::Mode(_, true))
    }

    /// The reply: locks are let go, and what was read with its observation is the guest's.
    fn reply(&self, st: &mut State, worker: u8, task: &mut Task) {
        st.release_locks(task);
        if task.again || task.op.reads_only() {
            self.promise_late(st, worker, task, Fault::PromiseAfterRead);
            self.stamp_observed(st, worker, task);
        }
    }
}

impl Task {
    /// A request at its first step.
    pub(crate) fn new(op: Op) -> Self {
        Self {
            op,
            pc: 0,
            sweep: 0,
            found: [None; 2],
            subject: op.target(),
            seen: [None; 4],
            answer: [None; 4],
            marks: smallvec::SmallVec::new(),
            failed: false,
            pinned: false,
            held: false,
            again: false,
            suid: false,
            locks: 0,
            overdue: smallvec::SmallVec::new(),
            raced: false,
            quirk: false,
            kept: smallvec::SmallVec::new(),
        }
    }

    /// The names that it would change do not exist: the system call is not even tried.
    pub(crate) fn nothing_to_change(&self) -> bool {
        match self.op {
            Op::Unlink(_) | Op::Rename(..) => self.found[0].is_none(),
            Op::Exchange(..) => self.found.contains(&None),
            _ => false,
        }
    }

    /// Whether it has announced the slot.
    pub(crate) fn has_marked(&self, slot: u8) -> bool {
        self.marks.iter().any(|m| m.slot == slot)
    }
}
