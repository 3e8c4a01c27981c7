//! The model: a scope, perhaps a broken rule, and all that can happen next.

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use crate::budget::spend;
use crate::crash::Torn;
use crate::fault::Fault;
use crate::host::{Host, Inode, Syscall};
use crate::ident::{Identity, MAX_INODES, MAX_NAMES, Name};
use crate::op::Op;
use crate::scope::{Scope, Watch};
use crate::state::{Daemon, Job, Life, State, Then};

/// One thing that happens. Everything that happens is a sequence of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// A guest's request reaches a worker.
    Begin(u8, Op),
    /// A worker takes its next micro-step.
    Step(u8),
    /// A worker waits for its name locks no longer.
    GiveUp(u8),
    /// A daemon takes lingering marks back that have done their duty.
    Settle(u8),
    /// A daemon's housekeeping takes its next micro-step.
    Housekeep(u8),
    /// A daemon begins to reap the dead one in a row.
    Reap(u8, u8),
    /// A daemon starts; `true`: it rebuilds the table.
    Start(u8, bool),
    /// A daemon whose sweep comes too soon after its last marks everything instead.
    Hurry(u8),
    /// A daemon takes the marks of such a sweep back.
    Calm(u8),
    /// A daemon leaves on its own accord.
    Exit(u8),
    /// A daemon is killed.
    Crash(u8, Option<Torn>),
    /// The VMM of a dead daemon goes.
    FrontEndGone(u8),
    /// The host-only file is lost while nobody runs.
    LoseHostFile,
    /// A guest stores through its DAX mapping.
    Store(u8),
    /// Somebody on the host makes a change; `true`: the event's inode cannot be identified.
    Host(Syscall, bool),
    /// A daemon handles the oldest event in its queue.
    Deliver(u8),
    /// A daemon's event queue overflows.
    Overflow(u8),
    /// A daemon's watch is lost.
    WatchLost(u8),
    /// A daemon notices that its watch is lost.
    NoticeLoss(u8),
    /// A daemon watches again.
    Rewatch(u8),
    /// A daemon's guest has forgotten all it knew, and the daemon gives up its watch.
    Forget(u8),
    /// The daemons that are not shown end all their changes.
    CrowdLeaves,
}

/// A scope to explore, with all rules in force or with one of them broken.
#[derive(Clone, Debug)]
pub struct Model {
    /// The small world.
    pub scope: Scope,
    /// The rule that is broken.
    pub fault: Option<Fault>,
    /// Bring states into normal form.
    pub reduce: bool,
}

impl Model {
    /// A model of the scope, reduced where the broken rule allows it.
    #[must_use]
    pub fn new(scope: Scope, fault: Option<Fault>) -> Self {
        // In normal form an untouched word and one of generation 0 are the same.
        let reduce = fault.is_none_or(Fault::may_reduce) && scope.first_word != 0;
        Self { scope, fault, reduce }
    }

    /// Whether this rule is the broken one.
    #[must_use]
    pub fn broken(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// The state that everything begins with.
    #[must_use]
    pub fn start(&self) -> State {
        let scope = &self.scope;
        let slots = usize::from(scope.layout.slots());
        let mut inodes = [Inode::default(); MAX_INODES];
        for ino in &scope.suid {
            inodes[usize::from(ino.0)].suid = true;
        }
        let names = scope.named;
        let mut daemons: SmallVec<[Daemon; 3]> = SmallVec::new();
        for row in 0..scope.daemons {
            let up = row < scope.up;
            daemons.push(Daemon {
                life: if up { Life::Up } else { Life::Off },
                front_end: up,
                watching: up && scope.watch == Watch::Fanotify,
                ..Daemon::off(0)
            });
        }
        let mut st = State {
            host: Host { names, inodes, created: (1 << scope.used) - 1, clock: 1 },
            words: smallvec![scope.first_word | u64::from(scope.crowd); slots],
            mapped_words: None,
            locks: [None; MAX_NAMES],
            tasks: smallvec![None; usize::from(scope.daemons * scope.workers)],
            daemons,
            copies: SmallVec::new(),
            events: SmallVec::new(),
            leaked: smallvec![0; slots],
            crowd: scope.crowd,
            left: scope.budget,
            crashed: false,
        };
        self.ask_for_everything(&mut st);
        st
    }

    /// Everything that can happen next.
    pub fn actions(&self, st: &State, out: &mut Vec<Action>) {
        self.worker_actions(st, out);
        self.daemon_actions(st, out);
        if st.left.crashes > 0 {
            self.crash_actions(st, out);
        }
        if self.scope.watch != Watch::Off {
            self.event_actions(st, out);
        }
        let nobody = st.daemons.iter().all(|d| matches!(d.life, Life::Off | Life::Dead));
        if st.left.losses > 0 && nobody {
            out.push(Action::LoseHostFile);
        }
        if st.crowd > 0 {
            out.push(Action::CrowdLeaves);
        }
    }

    /// The state after an action, with what guests now may hold, before it is brought into normal form.
    #[must_use]
    pub fn apply(&self, st: &State, action: &Action) -> State {
        let mut st = st.clone();
        match *action {
            Action::Begin(worker, op) => self.begin(&mut st, worker, op),
            Action::Step(worker) => self.step(&mut st, worker),
            Action::GiveUp(worker) => self.give_up(&mut st, worker),
            Action::Settle(daemon) => self.settle(&mut st, daemon),
            Action::Housekeep(daemon) => self.housekeep(&mut st, daemon),
            Action::Reap(daemon, row) => {
                let tenant = st.daemons[usize::from(row)].tenant;
                st.daemons[usize::from(daemon)].job = Some(Job::Scan { row, tenant });
            }
            Action::Start(daemon, rebuild) => {
                st.start_daemon(daemon, rebuild);
                // Before the sweep of its start: what it misses until then, the sweep makes good.
                st.daemons[usize::from(daemon)].watching = self.scope.watch == Watch::Fanotify;
            }
            Action::Hurry(daemon) => self.hurry(&mut st, daemon),
            Action::Calm(daemon) => self.calm(&mut st, daemon),
            Action::Exit(daemon) => {
                spend(&mut st.left.crashes);
                self.calm(&mut st, daemon);
                let daemon = &mut st.daemons[usize::from(daemon)];
                daemon.life = Life::Leaving;
                daemon.job = Some(Job::Sweep { next: 0, loaded: None, then: Then::Leave });
            }
            Action::Crash(daemon, torn) => self.crash(&mut st, daemon, torn),
            Action::FrontEndGone(daemon) => st.lose_front_end(daemon),
            Action::LoseHostFile => st.lose_host_file(),
            Action::Store(daemon) => self.store(&mut st, daemon),
            Action::Host(call, blind) => self.host_change(&mut st, call, blind),
            Action::Deliver(daemon) => self.deliver(&mut st, daemon),
            Action::Overflow(daemon) => st.overflow(daemon),
            Action::WatchLost(daemon) => st.lose_watch(daemon),
            Action::NoticeLoss(daemon) => self.notice_loss(&mut st, daemon),
            Action::Rewatch(daemon) => {
                let daemon = &mut st.daemons[usize::from(daemon)];
                (daemon.watching, daemon.deaf) = (true, false);
            }
            Action::Forget(daemon) => st.forget(daemon),
            Action::CrowdLeaves => self.crowd_leaves(&mut st),
        }
        self.recycle_inodes(&mut st);
        self.ask_for_everything(&mut st);
        st
    }

    fn worker_actions(&self, st: &State, out: &mut Vec<Action>) {
        for (row, daemon) in st.daemons.iter().enumerate() {
            let first = row * usize::from(self.scope.workers);
            let mut idle_seen = false;
            for worker in first..first + usize::from(self.scope.workers) {
                match &st.tasks[worker] {
                    None if !idle_seen && daemon.life == Life::Up => {
                        idle_seen = true; // idle workers cannot be told apart
                        self.begin_actions(st, worker as u8, out);
                    }
                    Some(task) if !self.is_blocked(st, task) => {
                        out.push(Action::Step(worker as u8));
                    }
                    Some(_) if st.left.give_ups > 0 => out.push(Action::GiveUp(worker as u8)),
                    _ => {}
                }
            }
        }
    }

    fn begin_actions(&self, st: &State, worker: u8, out: &mut Vec<Action>) {
        let row = self.scope.daemon_of(worker);
        let mapped = &st.daemons[usize::from(row)].mapped;
        let workers = usize::from(row * self.scope.workers)..;
        let of_daemon = st.tasks[workers].iter().take(usize::from(self.scope.workers)).flatten();
        let mapping = of_daemon.clone().any(|t| matches!(t.op, Op::Map(_) | Op::Unmap(_)));
        for &op in &self.scope.ops {
            let paid = if op.reads_only() { st.left.reads } else { st.left.changes } > 0;
            let can = match op {
                Op::Map(_) => !mapping && mapped.len() < 2,
                Op::Unmap(ino) => !mapping && mapped.contains(&ino),
                _ => op.target().is_none_or(|ino| st.host.exists(ino)),
            };
            if paid && can {
                out.push(Action::Begin(worker, op));
            }
        }
    }

    fn daemon_actions(&self, st: &State, out: &mut Vec<Action>) {
        let rebuilding = st.daemons.iter().any(|d| matches!(d.job, Some(Job::Rebuild { .. })));
        for (row, daemon) in st.daemons.iter().enumerate() {
            let row = row as u8;
            if daemon.marks_all() && daemon.life == Life::Up {
                out.push(Action::Calm(row));
            }
            if daemon.job.is_some() {
                out.push(Action::Housekeep(row));
                if st.left.hurries > 0 && daemon.may_hurry() {
                    out.push(Action::Hurry(row));
                }
            } else if daemon.life == Life::Up {
                self.reap_actions(st, row, out);
            }
            if daemon.lingers.iter().any(|l| self.may_settle(st, l)) {
                out.push(Action::Settle(row));
            }
            let locked_out = rebuilding && !self.broken(Fault::RebuildUnlocked);
            if daemon.life == Life::Off
                && st.left.starts > 0
                && !locked_out
                && daemon.mapped.is_empty()
            {
                out.push(Action::Start(row, false));
                if self.may_rebuild(st, row) {
                    out.push(Action::Start(row, true));
                }
            }
            if st.left.stores > 0 && !daemon.mapped.is_empty() {
                out.push(Action::Store(row));
            }
            if daemon.life == Life::Dead && daemon.front_end && !daemon.mapped.is_empty() {
                out.push(Action::FrontEndGone(row));
            }
        }
    }

    fn reap_actions(&self, st: &State, reaper: u8, out: &mut Vec<Action>) {
        for (row, other) in st.daemons.iter().enumerate() {
            let dead = other.life == Life::Dead && (!other.reaped || !other.front_end);
            let frozen = other.life == Life::Up && self.broken(Fault::ReapTheLiving);
            if row != usize::from(reaper) && (dead || frozen) {
                out.push(Action::Reap(reaper, row as u8));
            }
        }
    }

    fn crash_actions(&self, st: &State, out: &mut Vec<Action>) {
        for (row, daemon) in st.daemons.iter().enumerate() {
            let row = row as u8;
            if !matches!(daemon.life, Life::Up | Life::Starting | Life::Leaving) {
                continue;
            }
            let mut torn = Vec::new();
            let mut busy = daemon.job.is_some() || !daemon.mapped.is_empty();
            for worker in row * self.scope.workers..(row + 1) * self.scope.workers {
                if let Some(task) = &st.tasks[usize::from(worker)] {
                    busy = true;
                    self.torn_places(worker, task, &mut torn);
                }
            }
            // An idle daemon's death changes nothing but what it will hear.
            if busy || self.scope.watch != Watch::Off || self.scope.budget.starts > 0 {
                out.push(Action::Crash(row, None));
            }
            if !busy && self.scope.exits && daemon.life == Life::Up {
                out.push(Action::Exit(row));
            }
            out.extend(torn.into_iter().map(|t| Action::Crash(row, Some(t))));
        }
    }

    fn event_actions(&self, st: &State, out: &mut Vec<Action>) {
        if st.left.host > 0 {
            for &call in self.scope.host.iter().filter(|&&call| self.host_can(st, call)) {
                out.push(Action::Host(call, false));
                if self.scope.blind {
                    out.push(Action::Host(call, true));
                }
            }
        }
        for (row, daemon) in st.daemons.iter().enumerate() {
            let row = row as u8;
            let waits = st.events.iter().any(|e| e.unread & (1 << row) != 0);
            if daemon.life != Life::Up || daemon.job.is_some() {
                continue;
            }
            if waits {
                out.push(Action::Deliver(row));
            }
            if waits && st.left.overflows > 0 {
                out.push(Action::Overflow(row));
            }
            match (daemon.watching, daemon.deaf) {
                (true, false) if st.left.deaf > 0 => out.push(Action::WatchLost(row)),
                (true, true) => out.push(Action::NoticeLoss(row)),
                (true, false) if st.left.forgets > 0 && self.may_unwatch(st, row) => {
                    out.push(Action::Forget(row));
                }
                (false, true) => out.push(Action::Rewatch(row)),
                _ => {}
            }
        }
    }

    /// Every name of the scope.
    pub fn names(&self) -> impl Iterator<Item = Name> + use<> {
        (0..self.scope.layout.names).map(Name)
    }

    /// Identities that hash to a slot.
    pub fn identities_of(&self, slot: u8) -> impl Iterator<Item = Identity> + '_ {
        self.scope.layout.identities().filter(move |&id| self.slot(id) == slot)
    }
}
