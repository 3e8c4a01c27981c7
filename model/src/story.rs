//! Tells a counterexample as a story.

use std::fmt::Write as _;

use crate::check::Violation;
use crate::crash::{Torn, TornAt};
use crate::explore::Counterexample;
use crate::fault::Fault;
use crate::host::Syscall;
use crate::ident::{Identity, Value};
use crate::model::{Action, Model};
use crate::program::Step;
use crate::state::{Copy, Job, State, Task, Then};
use crate::word;

/// The story of a counterexample, a line or more for each thing that happens.
#[must_use]
pub fn tell(model: &Model, found: &Counterexample) -> String {
    let mut story = String::new();
    let mut state = model.start();
    let _ = writeln!(story, "At first: {}.", names(model, &state));
    let culprit = match found.violation {
        Violation::StaleHit { copy, .. } => Some(copy),
        _ => None,
    };
    let held = |st: &State| culprit.is_some_and(|c| st.copies.contains(&c));
    if held(&state) {
        let _ = writeln!(story, "    {}", holding(culprit));
    }
    for (at, action) in found.actions.iter().enumerate() {
        let next = model.apply(&state, action);
        let _ = writeln!(story, "{:3}. {}", at + 1, sentence(model, &state, &next, action));
        for line in effects(model, &state, &next) {
            let _ = writeln!(story, "       {line}");
        }
        if held(&next) && !held(&state) {
            let _ = writeln!(story, "    {}", holding(culprit));
        }
        state = next;
    }
    let _ = writeln!(story, "Then: {}.", found.violation);
    story
}

fn holding(copy: Option<Copy>) -> String {
    copy.map_or_else(String::new, |copy| {
        format!(
            ">> from here on a guest may hold {} = \"{}\" under the word {}",
            copy.id,
            copy.value,
            shown(copy.word)
        )
    })
}

/// A word as generation|busy.
fn shown(word: u64) -> String {
    format!("{}|{}", word >> 16, word::busy(word))
}

fn names(model: &Model, st: &State) -> String {
    let layout = &model.scope.layout;
    let all: Vec<String> = model
        .names()
        .map(|n| {
            let value = st.host.answer(layout, Identity::Entry(n));
            format!("{n} (in {}) is {}", layout.parent(n), plain(value))
        })
        .collect();
    all.join(", ")
}

fn plain(value: Value) -> String {
    match value {
        Value::Nothing => "nothing".into(),
        other => other.to_string(),
    }
}

/// What an action did to the host and to the table.
fn effects(model: &Model, before: &State, after: &State) -> Vec<String> {
    let layout = &model.scope.layout;
    let mut lines = Vec::new();
    let host: Vec<String> = layout
        .identities()
        .map(|id| (id, before.host.answer(layout, id), after.host.answer(layout, id)))
        .filter(|(_, old, new)| old != new)
        .map(|(id, old, new)| format!("{id}: {} -> {}", plain(old), plain(new)))
        .collect();
    if !host.is_empty() {
        lines.push(format!("host   {}", host.join("; ")));
    }
    let words: Vec<String> = before
        .words
        .iter()
        .zip(&after.words)
        .enumerate()
        .filter(|(_, (old, new))| old != new)
        .map(|(slot, (&old, &new))| {
            let ids: Vec<String> =
                model.identities_of(slot as u8).map(|id| id.to_string()).collect();
            format!("{} {} -> {}", ids.join("/"), shown(old), shown(new))
        })
        .collect();
    if !words.is_empty() {
        lines.push(format!("table  {}", words.join("; ")));
    }
    lines
}

fn sentence(model: &Model, st: &State, next: &State, action: &Action) -> String {
    let daemon = |row: u8| format!("daemon {}", letter(row));
    match *action {
        Action::Begin(worker, op) => {
            format!("a guest of {} sends {op}", daemon(model.scope.daemon_of(worker)))
        }
        Action::Step(worker) => {
            match (&st.tasks[usize::from(worker)], &next.tasks[usize::from(worker)]) {
                (Some(task), after) => {
                    let end = if after.is_none() { ", and replies" } else { "" };
                    let what = step(model, model.step_of(task), task, after.as_ref());
                    format!("{}: {what}{end}", who(model, worker, task))
                }
                _ => "nothing".into(),
            }
        }
        Action::GiveUp(worker) => {
            format!(
                "daemon {} gives up waiting for the lock and goes on",
                letter(model.scope.daemon_of(worker))
            )
        }
        Action::Settle(row) => format!("{} takes lingering marks back", daemon(row)),
        Action::Housekeep(row) => {
            format!("{}: {}", daemon(row), housework(st.daemons[usize::from(row)].job.as_ref()))
        }
        Action::Reap(reaper, row) => {
            format!("{} begins to reap daemon {}", daemon(reaper), letter(row))
        }
        Action::Start(row, false) => format!("{} starts", daemon(row)),
        Action::Start(row, true) => {
            format!("{} starts, alone, and rebuilds the table", daemon(row))
        }
        Action::Hurry(row) => {
            format!(
                "{} marks everything: its sweep would come too soon after the last",
                daemon(row)
            )
        }
        Action::Calm(row) => format!("{} takes back the marks of that sweep", daemon(row)),
        Action::Exit(row) => format!("{} stops serving and leaves", daemon(row)),
        Action::Crash(row, None) => format!("{} is killed", daemon(row)),
        Action::Crash(row, Some(torn)) => {
            format!("{} is killed {}", daemon(row), place(model, torn))
        }
        Action::FrontEndGone(row) => format!("the VMM of {} goes", daemon(row)),
        Action::LoseHostFile => "the host-only file is lost while no daemon runs".into(),
        Action::Store(row) => {
            format!("the guest of {} stores through its DAX mapping", daemon(row))
        }
        Action::Host(call, blind) => format!(
            "somebody on the host: {}{}",
            system_call(call),
            if blind { " (the event will not say which inode)" } else { "" }
        ),
        Action::Deliver(row) => format!("{} handles its oldest event", daemon(row)),
        Action::Overflow(row) => format!("the event queue of {} overflows", daemon(row)),
        Action::WatchLost(row) => format!("the watch of {} is lost", daemon(row)),
        Action::NoticeLoss(row) => format!("{} notices that its watch is lost", daemon(row)),
        Action::Forget(row) => {
            format!("the guest of {} forgets all it knew; the watch is given up", daemon(row))
        }
        Action::Rewatch(row) => format!("{} watches again", daemon(row)),
        Action::CrowdLeaves => "all the daemons that are not shown end their changes".into(),
    }
}

fn letter(row: u8) -> char {
    char::from(b'A' + row)
}

fn who(model: &Model, worker: u8, task: &Task) -> String {
    format!("daemon {} ({})", letter(model.scope.daemon_of(worker)), task.op)
}

fn place(model: &Model, torn: Torn) -> String {
    let ids: Vec<String> = model.identities_of(torn.slot).map(|id| id.to_string()).collect();
    let slot = ids.join("/");
    match torn.at {
        TornAt::BeforeAdd => format!("after the ledger's entry for {slot}, before the add"),
        TornAt::AfterAdd => format!("after the add to {slot}, before the ledger says HELD"),
        TornAt::BeforePublish => format!("after the ledger's entry, before publishing {slot}"),
        TornAt::AfterPublish => format!("after publishing {slot}, before its entry is cleared"),
    }
}

fn step(model: &Model, step: Step, task: &Task, after: Option<&Task>) -> String {
    let found = |task: &Task| {
        let all: Vec<String> = task
            .op
            .names()
            .iter()
            .zip(task.found)
            .map(|(n, i)| i.map_or(format!("{n} is nothing"), |i| format!("{n} is inode {i}")))
            .collect();
        all.join(", ")
    };
    match step {
        Step::Lock => "takes its name locks".into(),
        Step::Unlock => "lets its name locks go".into(),
        Step::Resolve => format!("resolves: {}", after.map_or_else(String::new, found)),
        Step::ReadSuid => "looks at the suid bit".into(),
        Step::Announce | Step::AnnouncePinned => format!("announces {}", announced(model, task)),
        Step::Call => task.op.syscall().map_or_else(String::new, system_call),
        Step::Pin => "the file exists: opens it".into(),
        Step::TruncatePinned => "ftruncate of the opened file".into(),
        Step::MapWindow => "SHMEM_MAP: the VMM maps the file".into(),
        Step::UnmapWindow => "SHMEM_UNMAP: the VMM unmaps the file".into(),
        Step::ObserveNew => "observes the slots that it did not announce".into(),
        Step::ReadBack => "reads the attributes for its reply".into(),
        Step::Publish => "publishes".into(),
        Step::BumpAfter => "moves the slots".into(),
        Step::SweepAfter => "sweeps, for it went on without its lock".into(),
        Step::Watch => "installs its watch".into(),
        Step::ObserveEntry => "observes the entry".into(),
        Step::LookUp => "resolves the name".into(),
        Step::ObserveInode => "observes the inode's slots".into(),
        Step::Read => "reads the attributes".into(),
        Step::Reply => "is done".into(),
    }
}

fn announced(model: &Model, task: &Task) -> String {
    if task.trespassed() && !model.broken(Fault::GiveUpThenSweep) {
        return "everything, for it goes on without its lock".into();
    }
    let ids: Vec<String> = model.announced(task).iter().map(|(_, id)| id.to_string()).collect();
    ids.join(", ")
}

fn system_call(call: Syscall) -> String {
    match call {
        Syscall::Create(n) => format!("open({n}, O_CREAT|O_EXCL)"),
        Syscall::Unlink(n) => format!("unlink({n})"),
        Syscall::Link(i, n) => format!("link({i}, {n})"),
        Syscall::Rename(a, b) => format!("rename({a}, {b})"),
        Syscall::Exchange(a, b) => format!("renameat2({a}, {b}, RENAME_EXCHANGE)"),
        Syscall::Chmod(i) => format!("chmod({i}, u+s)"),
        Syscall::Write(i) => format!("write({i})"),
        Syscall::Truncate(i) => format!("ftruncate({i})"),
        Syscall::SetXattr(i) => format!("setxattr({i})"),
        Syscall::SetAcl(i) => format!("setxattr({i}, system.posix_acl_access)"),
        Syscall::Store(i) => format!("a store into {i}"),
    }
}

fn housework(job: Option<&Job>) -> String {
    match job {
        None => "is idle".into(),
        Some(Job::Scan { row, .. }) => format!("scans the ledger of daemon {}", letter(*row)),
        Some(Job::Claim { row, entry }) => {
            format!(
                "claims slot {} in the ledger of daemon {} by compare-and-swap",
                entry.slot,
                letter(*row)
            )
        }
        Some(Job::Finish { row, entry }) => {
            format!("publishes slot {} for daemon {}", entry.slot, letter(*row))
        }
        Some(Job::Sweep { next, loaded, then }) => {
            let why = match then {
                Then::Free { row, .. } => format!("daemon {} is reaped", letter(*row)),
                Then::Serve => "its start".into(),
                Then::Resynced => "lost events".into(),
                Then::Deafened => "its lost watch".into(),
                Then::Leave => "its leaving".into(),
            };
            let how = if loaded.is_some() { "stores" } else { "sweeps" };
            format!("{how} from slot {next} on ({why})")
        }
        Some(Job::Rebuild { next }) => format!("rebuilds, step {next}"),
    }
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
