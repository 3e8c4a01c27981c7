use shm_layout::{FIRST_SLOT, Snapshot};

use super::test_kit::*;
use super::*;
use crate::host::host_path;
use crate::table::View;

#[test]
fn two_daemons_agree_on_slots_and_see_each_others_changes() {
    let f = Fixture::new();
    let (a, b) = (f.join(), f.join());
    assert_eq!(a.table_id(), b.table_id());
    let (of_a, of_b) = (inode(&a, 7), inode(&b, 7));
    assert_eq!(of_a, of_b);
    assert_eq!(name(&a, "n"), name(&b, "n"));
    let view = View::open(&f.path()).unwrap();
    let seen = stamp(&a, of_a.attr);
    assert!(view.is_current(seen));
    let mut worker = b.worker().unwrap();
    let change = worker.announce([of_b.attr].into()).unwrap();
    assert!(!view.is_current(seen));
    assert_eq!(stamp(&a, of_a.attr), Snapshot::NOT_COVERED);
    assert_eq!((a.changes_in_progress(), b.changes_in_progress()), (0, 1));
    let ((), published) = change.finish(|| ());
    assert!(view.is_current(published.snapshot(of_b.attr)));
    assert!(!view.is_current(seen));
    a.advance(&[of_a.attr].into());
    assert!(!view.is_current(published.snapshot(of_b.attr)));
}

#[test]
fn a_killed_daemons_marks_are_finished_by_another_and_everything_is_swept() {
    let f = Fixture::new();
    let (a, b) = (f.join(), f.join());
    let slots = inode(&a, 1);
    let elsewhere = stamp(&b, inode(&b, 2).attr);
    let mut worker = a.worker().unwrap();
    std::mem::forget(worker.announce([slots.attr, slots.data].into()).unwrap());
    std::mem::forget(worker);
    assert_eq!(b.tick(), Tick::default(), "it lives");
    kill(a);
    f.pass(SECOND);
    let tick = b.tick();
    assert_eq!(tick, Tick { dead: 1, reaped: crate::Reaped { finished: 2, doubtful: 0 } });
    assert_eq!((busy(&b, slots.attr), busy(&b, slots.data)), (0, 0));
    assert!(!View::open(&f.path()).unwrap().is_current(elsewhere));
    assert_eq!(b.tick(), Tick::default(), "once");
    assert_eq!(f.join().row, 0, "the row is another's");
}

#[test]
fn name_locks_keep_daemons_apart_and_come_free_with_the_dead() {
    let f = Fixture::new();
    let (a, b) = (f.join(), f.join());
    let entry = name(&a, "n");
    let (mut wa, mut wb) = (a.worker().unwrap(), b.worker().unwrap());
    let guard = wa.lock_names([entry]);
    assert!(guard.is_complete());
    assert!(!wb.lock_names([entry]).is_complete(), "patience ends");
    drop(guard);
    assert!(wb.lock_names([entry, entry]).is_complete());
    std::mem::forget(wa.lock_names([entry]));
    std::mem::forget(wa);
    kill(a);
    assert!(wb.lock_names([entry]).is_complete(), "a dead owner is no owner");
}

#[test]
fn two_names_are_locked_in_one_order() {
    let f = Fixture::new();
    let (a, b) = (f.join(), f.join());
    let names = [name(&a, "one"), name(&a, "two")];
    let (mut wa, mut wb) = (a.worker().unwrap(), b.worker().unwrap());
    let guard = wa.lock_names(names);
    assert!(guard.is_complete());
    let reversed = wb.lock_names([names[1], names[0]]);
    assert!(!reversed.is_complete());
    drop((guard, reversed));
    assert!(wb.lock_names([names[1], names[0]]).is_complete());
}

#[test]
fn a_change_without_its_lock_marks_everything_and_lingers_until_the_owner_is_done() {
    let f = Fixture::new();
    let (a, b) = (f.join(), f.join());
    let (entry, child) = (name(&a, "n"), inode(&a, 1));
    let unrelated = inode(&b, 99).attr;
    let (mut wa, mut wb) = (a.worker().unwrap(), b.worker().unwrap());
    let stuck = wa.lock_names([entry]);
    let mut passed = wb.lock_names([entry]);
    let change = passed.announce([entry, child.attr].into()).unwrap();
    assert_eq!([entry, child.attr, unrelated].map(|s| busy(&b, s)), [2, 2, 1]);
    let ((), published) = change.finish(|| ());
    assert_eq!(published.snapshot(entry), Snapshot::NOT_COVERED);
    assert_eq!([entry, child.attr, unrelated].map(|s| busy(&b, s)), [1, 1, 0]);
    drop(passed);
    b.tick();
    assert_eq!(busy(&b, child.attr), 1, "the owner is not done");
    drop(stuck);
    b.tick();
    assert_eq!([entry, child.attr].map(|s| busy(&b, s)), [0, 0]);
}

#[test]
fn what_lingers_lingers_for_whoever_has_the_lock_after_the_change() {
    let f = Fixture::new();
    let (a, b, c) = (f.join(), f.join(), f.join());
    let (entry, child) = (name(&a, "n"), inode(&a, 1));
    let (mut wa, mut wb, mut wc) = (a.worker().unwrap(), b.worker().unwrap(), c.worker().unwrap());
    let first = wa.lock_names([entry]);
    let mut passed = wb.lock_names([entry]);
    let change = passed.announce([entry, child.attr].into()).unwrap();
    drop(first);
    let second = wc.lock_names([entry]);
    assert!(second.is_complete(), "it looks the name up before the change is made");
    b.tick();
    drop(change);
    drop(passed);
    b.tick();
    assert_eq!(busy(&b, child.attr), 1, "the second owner may hit it unawares");
    drop(second);
    b.tick();
    assert_eq!([entry, child.attr].map(|s| busy(&b, s)), [0, 0]);
}

#[test]
fn what_lingers_when_its_daemon_dies_is_counted_as_leaked() {
    let f = Fixture::new();
    let (a, b, c) = (f.join(), f.join(), f.join());
    let entry = name(&a, "n");
    let (mut wa, mut wb) = (a.worker().unwrap(), b.worker().unwrap());
    let _stuck = wa.lock_names([entry]);
    let mut passed = wb.lock_names([entry]);
    passed.announce([entry].into()).unwrap().publish();
    drop(passed);
    drop(wb);
    kill(b);
    assert_eq!(c.tick().reaped.doubtful, 1);
    assert_eq!((busy(&c, entry), c.leaked_slots()), (1, vec![entry.get()]));
}

#[test]
fn dax_holds_outlive_their_daemon_until_the_front_end_is_gone() {
    let f = Fixture::new();
    let (a, b) = (f.join(), f.join());
    let slots = inode(&a, 1);
    // It ends with this process at the latest.
    let mut front_end =
        std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    a.set_front_end(Some(front_end.id() as i32));
    let hold = a.hold([slots.attr, slots.data].into()).unwrap();
    std::mem::forget(hold);
    kill(a);
    f.pass(SECOND);
    assert_eq!(b.tick().dead, 1);
    assert_eq!((busy(&b, slots.attr), busy(&b, slots.data)), (1, 1));
    assert_eq!(b.tick().dead, 0, "its end is dealt with once");
    let c = f.join();
    assert_eq!(c.row, 2, "the row stays taken");
    front_end.kill().unwrap();
    front_end.wait().unwrap();
    assert_eq!(b.tick().reaped.finished, 2);
    assert_eq!((busy(&b, slots.attr), busy(&b, slots.data)), (0, 0));
    assert_eq!(f.join().row, 0);
}

#[test]
fn holds_are_counted_once_and_given_back() {
    let f = Fixture::new();
    let a = f.join();
    let slots = inode(&a, 1);
    let (first, second) =
        (a.hold([slots.data].into()).unwrap(), a.hold([slots.data, slots.attr].into()).unwrap());
    assert_eq!((busy(&a, slots.data), busy(&a, slots.attr)), (1, 1));
    drop(second);
    assert_eq!((busy(&a, slots.data), busy(&a, slots.attr)), (1, 0));
    drop(first);
    assert_eq!(busy(&a, slots.data), 0);
}

#[test]
fn sweeps_that_come_too_fast_become_one_long_one() {
    let f = Fixture::new();
    let a = f.join();
    f.pass(SECOND);
    let slot = inode(&a, 1).attr;
    let view = View::open(&f.path()).unwrap();
    let first = stamp(&a, slot);
    a.sweep();
    assert!(!view.is_current(first) && busy(&a, slot) == 0);
    let second = stamp(&a, slot);
    a.sweep();
    assert!(!view.is_current(second) && busy(&a, slot) == 1);
    let untouched = inode(&a, 3).attr;
    assert_eq!(stamp(&a, untouched), Snapshot::NOT_COVERED);
    let during = a.words().peek(slot);
    a.sweep();
    assert_eq!(a.words().peek(slot), during, "nothing more to do");
    a.tick();
    assert_eq!(busy(&a, slot), 1, "its time is not over");
    f.pass(SECOND);
    a.tick();
    assert_eq!((busy(&a, slot), busy(&a, untouched)), (0, 0));
    assert!(stamp(&a, slot).covers());
}

#[test]
fn a_daemon_that_dies_while_it_holds_everything_is_taken_back() {
    let f = Fixture::new();
    let (a, b) = (f.join(), f.join());
    f.pass(SECOND);
    a.sweep();
    a.sweep();
    let slot = inode(&b, 1).attr;
    assert_eq!(busy(&b, slot), 1);
    kill(a);
    assert_eq!(b.tick().reaped.finished, (1 << 13) - u64::from(FIRST_SLOT));
    assert_eq!(busy(&b, slot), 0);
}

#[test]
fn workers_end_and_come_again() {
    let f = Fixture::new();
    let a = f.join();
    let mut workers: Vec<Worker> = std::iter::from_fn(|| a.worker().ok()).collect();
    assert_eq!(workers.len(), MAX_WORKERS - 1);
    assert_eq!(a.worker().map(drop), Err(NoWorker));
    workers.pop();
    assert!(a.worker().is_ok());
}

#[test]
fn a_leaked_change_ends_with_its_worker() {
    let f = Fixture::new();
    let a = f.join();
    let slot = inode(&a, 1).attr;
    let mut worker = a.worker().unwrap();
    std::mem::forget(worker.announce([slot].into()).unwrap());
    assert_eq!((busy(&a, slot), a.changes_in_progress()), (1, 1));
    drop(worker);
    assert_eq!((busy(&a, slot), a.changes_in_progress()), (0, 0));
}

#[test]
fn a_leaked_change_of_everything_ends_with_the_next_change() {
    let f = Fixture::new();
    let (a, b) = (f.join(), f.join());
    let (entry, unrelated) = (name(&a, "n"), inode(&a, 99).attr);
    let (mut wa, mut wb) = (a.worker().unwrap(), b.worker().unwrap());
    let stuck = wa.lock_names([entry]);
    std::mem::forget(wb.lock_names([entry]).announce([entry].into()).unwrap());
    assert_eq!(busy(&b, unrelated), 1);
    wb.announce([entry].into()).unwrap().publish();
    assert_eq!(busy(&b, unrelated), 0);
    drop(stuck);
}

#[test]
fn a_lost_table_stamps_nothing_and_refuses_changes() {
    let f = Fixture::new();
    let a = f.join();
    let slots = inode(&a, 1);
    let mut worker = a.worker().unwrap();
    std::fs::OpenOptions::new().write(true).open(f.path()).unwrap().set_len(0).unwrap();
    assert!(matches!(worker.announce([slots.attr].into()), Err(AnnounceError::Lost)));
    assert!(a.is_lost());
    assert_eq!(stamp(&a, slots.attr), Snapshot::NOT_COVERED);
    assert!(matches!(a.hold([slots.attr].into()), Err(AnnounceError::Lost)));
    assert_eq!(a.tick(), Tick::default());
}

#[test]
fn a_host_file_cut_short_refuses_changes_too() {
    let f = Fixture::new();
    let a = f.join();
    let slots = inode(&a, 1);
    let mut worker = a.worker().unwrap();
    std::fs::OpenOptions::new().write(true).open(host_path(&f.path())).unwrap().set_len(0).unwrap();
    assert!(matches!(worker.announce([slots.attr].into()), Err(AnnounceError::Lost)));
    assert!(matches!(f.fails(), AttachError::Host(crate::HostFileError::Length { len: 0, .. })));
}

#[test]
fn the_keeper_comes_and_goes() {
    let f = Fixture::new();
    let a = f.join();
    let keeper = Keeper::start(&a).unwrap();
    drop(a);
    drop(keeper);
    let b = f.join();
    assert_eq!(b.host.occupied().count(), 1, "the first one has left");
}

#[test]
fn an_operator_sees_daemons_marks_and_leaks() {
    let f = Fixture::new();
    let (a, b) = (f.join(), f.join());
    let slots = inode(&a, 1);
    let entry = name(&a, "n");
    let mut worker = a.worker().unwrap();
    let hold = a.hold([slots.data].into()).unwrap();
    worker.announce([slots.attr].into()).unwrap().publish();
    let change = worker.announce([slots.attr, entry].into()).unwrap();
    b.host.leaks().add(entry.get());
    let seen = crate::inspect::inspect(&f.path()).unwrap();
    drop((change, hold));
    assert_eq!((seen.id, seen.words), (a.table_id(), 1 << 13));
    let mut busy = vec![(entry.get(), 1), (slots.attr.get(), 1), (slots.data.get(), 1)];
    busy.sort_unstable();
    assert_eq!(seen.busy, busy);
    assert!(seen.touched >= 3 && seen.memory >= 8192 && seen.generations >= 1);
    let host = seen.host.unwrap();
    assert_eq!((host.leaked, host.leaked_unlisted, host.joined), (vec![entry.get()], 0, 2));
    let [of_a, of_b] = &host.daemons[..] else { panic!("{:?}", host.daemons) };
    assert_eq!((of_a.in_progress, of_a.changes, of_a.held), (1, 2, 1));
    assert_eq!((of_a.pid, of_a.alive), (std::process::id(), true));
    assert_eq!((of_b.row, of_b.in_progress, of_b.alive), (1, 0, true));
}
