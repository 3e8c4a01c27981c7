//! Daemons that die at any step, reapers that race, freeze and die.

use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::sync::Arc;
use loom::thread;
use shm_layout::SlotWord;

use super::Model;
use super::kit::{News, START, World, incarnation, promise, set, slot};
use crate::change::{Change, Pending};
use crate::ledger::Line;
use crate::mutation::{Rule, die_after};
use crate::reap::Reaper;
use crate::slots::SlotSet;

pub(super) fn models() -> Vec<Model> {
    vec![
        Model::new(
            "two reapers, live announcer",
            "a dead mark is taken back once: the live one stays",
            two_reapers,
        )
        .breaking(&[Rule::ReapWithoutClaim]),
        Model::new(
            "death at every step",
            "each mark is finished, or in doubt and counted; none is taken back twice",
            death,
        )
        .variants(STEPS_OF_A_CHANGE)
        .breaking(&[Rule::ReapIntent, Rule::PublishHeld]),
        Model::new("reaper dies too", "a second reaper finishes the first one's work", dead_reaper)
            .variants(STEPS_OF_A_REAP)
            .breaking(&[Rule::ReapIntent]),
        Model::new(
            "frozen reaper, next life",
            "a reaper that wakes late leaves the row's next daemon alone",
            next_life,
        )
        .breaking(&[Rule::ReapAnyIncarnation]),
        Model::new(
            "pass dies at every step",
            "a table marked as a whole comes free but for one counted slot",
            dead_pass,
        )
        .variants(STEPS_OF_A_PASS)
        .preemptions(2)
        .breaking(&[Rule::ReapWithoutClaim]),
    ]
}

/// Crash points of a change of one slot, and one step more: it survives.
const STEPS_OF_A_CHANGE: u32 = 7;
/// Crash points of a reap of two entries, and one more.
const STEPS_OF_A_REAP: u32 = 5;
/// Crash points of a pass over two slots, there and back, and one more.
const STEPS_OF_A_PASS: u32 = 9;

/// Runs what a daemon does until it dies at the given step.
fn daemon(steps: u32, life: impl FnOnce()) {
    die_after(steps);
    // Whatever unwinds here is the death: promises do not unwind.
    let _ = catch_unwind(AssertUnwindSafe(life));
}

/// A change whose maker sees that its mark stands for as long as it makes it.
fn live_change(world: &World, row: usize, life: u64) {
    let mut pending = Pending::default();
    let seat = world.seat(row, life);
    let change = Change::announce(&seat, &mut pending, set(0));
    let busy = world.words().peek(slot(0)).is_busy();
    promise(busy, "a live mark was taken back");
    change.publish();
}

/// Leaves what a daemon leaves that dies with its mark set.
fn die_holding(world: &World, row: usize, life: u64, slots: SlotSet) {
    let mut pending = Pending::default();
    let seat = world.seat(row, life);
    std::mem::forget(Change::announce(&seat, &mut pending, slots));
}

fn two_reapers(_: u32) {
    let world = World::new(&[START], 4);
    die_holding(&world, 0, 1, set(0));
    let reaper = |row: usize| {
        let world = world.clone();
        thread::spawn(move || {
            world.reaper(row, row as u64 + 1).line(world.entries(0), incarnation(1));
        })
    };
    let reapers = [reaper(1), reaper(2)];
    live_change(&world, 3, 4);
    for reaper in reapers {
        reaper.join().unwrap();
    }
    promise(world.words().peek(slot(0)) == SlotWord::new(3, 0), "two changes, nothing left");
}

/// A daemon dies at step `steps` of a change while another changes the same slot; the other reaps.
fn death(steps: u32) {
    let world = World::new(&[START], 2);
    let gone = Arc::new(News::none());
    let mortal = thread::spawn({
        let (world, gone) = (world.clone(), gone.clone());
        move || {
            daemon(steps, || {
                let mut pending = Pending::default();
                Change::announce(&world.seat(0, 1), &mut pending, set(0)).publish();
            });
            gone.tell();
        }
    });
    let reap = || {
        // As the kernel tells it: the lock of the row is free once everything the dead has done is done.
        gone.heard() && {
            world.reaper(1, 2).line(world.entries(0), incarnation(1));
            true
        }
    };
    // The mark of a change in progress stands whatever is reaped meanwhile.
    let mut pending = Pending::default();
    let seat = world.seat(1, 2);
    let change = Change::announce(&seat, &mut pending, set(0));
    let other_reaper = Arc::clone(&world);
    let reaped = gone.heard();
    if reaped {
        other_reaper.reaper(1, 3).line(world.entries(0), incarnation(1));
    }
    promise(world.words().peek(slot(0)).is_busy(), "a live mark was taken back");
    change.publish();
    mortal.join().unwrap();
    promise(reap(), "the dead are seen to be dead");
    finished_or_counted(&world);
}

/// At the end: idle, or one mark left and known.
fn finished_or_counted(world: &World) {
    let word = world.words().peek(slot(0));
    let leaked = world.leaked();
    promise(word.busy() <= 1, "more than the one doubtful mark is left");
    promise(!word.is_busy() || leaked == [slot(0).get()], "a mark is left that nobody counts");
}

/// A daemon died holding one slot and in doubt over another; its reaper dies at step `steps`; a second one comes.
fn dead_reaper(steps: u32) {
    let world = World::new(&[START, START], 4);
    die_holding(&world, 0, 1, [slot(0), slot(1)].into());
    world.line(0, 1).intend(1, slot(1));
    let gone = Arc::new(News::none());
    let first = thread::spawn({
        let (world, gone) = (world.clone(), gone.clone());
        move || {
            daemon(steps, || {
                world.reaper(1, 2).line(world.entries(0), incarnation(1));
            });
            gone.tell();
        }
    });
    let second = world.reaper(2, 3);
    second.line(world.entries(0), incarnation(1));
    live_change(&world, 3, 4);
    first.join().unwrap();
    promise(gone.heard(), "the dead are seen to be dead");
    second.line(world.entries(1), incarnation(2));
    let leaked = world.leaked();
    let left = |n| world.words().peek(slot(n)).busy();
    promise(left(1) == 1 && leaked.contains(&slot(1).get()), "the doubtful mark stays, counted");
    promise(left(0) == 0 || leaked.contains(&slot(0).get()), "a mark is left that nobody counts");
    promise(left(0) <= 1, "no mark but the dead reaper's");
}

/// A row's daemon died; its next daemon cleans the row and uses the same entry for the same slot.
fn next_life(_: u32) {
    let world = World::new(&[START], 2);
    die_holding(&world, 0, 1, set(0));
    let late = thread::spawn({
        let world = world.clone();
        move || {
            world.reaper(1, 2).line(world.entries(0), incarnation(1));
        }
    });
    // The row's next daemon has no line of its own yet: it is about to be these entries.
    let heir = Reaper { own: Line::unrecorded(), ..world.reaper(0, 3) };
    heir.line(world.entries(0), incarnation(1));
    live_change(&world, 0, 3);
    late.join().unwrap();
    promise(world.words().peek(slot(0)) == SlotWord::new(3, 0), "two changes, nothing left");
}

/// A pass over two slots dies at step `steps`; two others reap it while a third makes a change.
fn dead_pass(steps: u32) {
    let world = World::new(&[START, START], 4);
    daemon(steps, || {
        let mut pending = Pending::default();
        Change::announce_everything(&world.seat(0, 1), &mut pending).publish();
    });
    // This thread goes on as another daemon.
    die_after(u32::MAX);
    let reaper = |row: usize| {
        let world = world.clone();
        thread::spawn(move || {
            world.reaper(row, row as u64 + 1).pass(&world.passes[0], incarnation(1));
        })
    };
    let reapers = [reaper(1), reaper(2)];
    live_change(&world, 3, 4);
    for reaper in reapers {
        reaper.join().unwrap();
    }
    let leaked = world.leaked();
    let left: Vec<_> = (0..2).filter(|&n| world.words().peek(slot(n)).is_busy()).collect();
    promise(left.len() <= 1, "more than the one doubtful slot is left");
    promise(left.iter().all(|&n| leaked.contains(&slot(n).get())), "a mark nobody counts");
    promise((0..2).all(|n| world.words().peek(slot(n)).busy() <= 1), "no slot has two marks left");
}
