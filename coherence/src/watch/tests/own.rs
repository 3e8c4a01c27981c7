//! A daemon's own changes, which come back to it as events.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use shm_layout::Snapshot;

use super::*;
use crate::{SlotSet, Worker};

/// A daemon that announces what it does.
struct Daemon {
    f: Fixture,
    watcher: Watcher,
    system: Arc<FileSystem>,
    worker: Worker,
}

impl Daemon {
    fn new(place: &str) -> Self {
        let f = Fixture::new(place);
        let _usual = QUEUE_LIMITS.read();
        let watcher = f.watch(Arc::new(Fanotify::new().unwrap()), never());
        let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
        let worker = f.engine.worker().unwrap();
        Self { f, watcher, system, worker }
    }

    /// Changes an inode's attributes and contents; the stamps that the reply carries.
    fn change(&mut self, path: &Path, call: impl FnOnce()) -> [Snapshot; 3] {
        let slots = self.f.engine.inode_slots(self.f.key(path)).unwrap();
        let [perm, attr, data] = [slots.perm, slots.attr, slots.data];
        let change = self.worker.announce([perm, attr, data].into()).unwrap();
        let ((), published) = change.finish(call);
        [perm, attr, data].map(|slot| published.snapshot(slot))
    }

    /// Changes what a name in the share means; `child` is what it was found to mean. The stamp of the name.
    fn rename(&mut self, names: &[&str], child: Option<&Path>, call: impl FnOnce()) -> Snapshot {
        let engine = &self.f.engine;
        let parent = self.f.key(self.f.share.path());
        let slot = |i: usize| Some(engine.entry_slot(parent, names.get(i)?.as_bytes()).unwrap());
        let child = child.map(|c| engine.inode_slots(self.f.key(c)).unwrap().attr);
        let dir = Some(engine.inode_slots(parent).unwrap().attr);
        let (first, second) = (slot(0).unwrap(), slot(1));
        let mut guard = self.worker.lock_names([first, second.unwrap_or(first)]);
        let all = SlotSet::from([Some(first), second, dir, child]);
        let change = guard.announce_unstamped(all, &SlotSet::from([child])).unwrap();
        let ((), published) = change.finish(call);
        published.snapshot(second.unwrap_or(first))
    }

    fn host(&self, program: &str, arguments: &[&str]) {
        let status =
            Command::new(program).args(arguments).current_dir(self.f.share.path()).status();
        assert!(status.unwrap().success());
    }
}

#[test]
fn own_changes_cost_nothing() {
    for place in &places() {
        let mut d = Daemon::new(place);
        let (a, b) = (d.f.path("a"), d.f.path("b"));
        d.f.drain(&d.system);
        let before = d.watcher.figures();
        let share = d.f.share.path().to_owned();
        let mut stamps = vec![d.rename(&["a"], None, || fs::write(&a, "").unwrap())];
        stamps.extend(d.change(&a, || fs::write(&a, "text").unwrap()));
        let mode = PermissionsExt::from_mode(0o600);
        stamps[1..].copy_from_slice(&d.change(&a, || fs::set_permissions(&a, mode).unwrap()));
        stamps.push(d.rename(&["a", "b"], Some(&a), || fs::rename(&a, &b).unwrap()));
        stamps.push(d.rename(&["b"], Some(&b), || fs::remove_file(&b).unwrap()));
        assert!(stamps.iter().all(|s| s.covers()), "each change was alone");
        let last = stamps[stamps.len() - 1];
        let dir = d.f.inode(&d.system, &share)[1];
        eventually("the events", || d.watcher.figures().own_events >= before.own_events + 5);
        assert!(d.f.view.is_current(last) && d.f.view.is_current(dir));
        assert_eq!(d.watcher.figures().moved, before.moved);
    }
}

#[test]
fn a_change_that_hits_another_inode_than_the_announced_ends_its_stamps() {
    let mut d = Daemon::new("/dev/shm");
    for name in ["name", "other"] {
        fs::write(d.f.path(name), "").unwrap();
    }
    d.host("ln", &["other", "kept"]);
    d.f.drain(&d.system);
    let (meant, victim) = (d.f.path("name"), d.f.path("kept"));
    let victim_stamp = std::cell::Cell::new(Snapshot::NOT_COVERED);
    let mut host = Command::new("mv");
    host.args(["other", "name"]).current_dir(d.f.share.path());
    let (f, system) = (&d.f, Arc::clone(&d.system));
    // As in `rename`, with somebody else between the look-up and the system call.
    let parent = f.key(f.share.path());
    let entry = f.engine.entry_slot(parent, b"name").unwrap();
    let child = f.engine.inode_slots(f.key(&meant)).unwrap().attr;
    let mut guard = d.worker.lock_names([entry]);
    let change = guard.announce_unstamped([entry, child].into(), &[child].into()).unwrap();
    change.finish(|| {
        assert!(host.status().unwrap().success());
        f.drain(&system);
        victim_stamp.set(f.inode(&system, &victim)[1]);
        assert!(victim_stamp.get().covers());
        fs::remove_file(&meant).unwrap();
    });
    drop(guard);
    eventually("its end", || !d.f.view.is_current(victim_stamp.get()));
}

#[test]
fn others_changes_count_though_they_come_with_own_ones() {
    let mut d = Daemon::new("/dev/shm");
    let a = d.f.path("a");
    fs::write(&a, "").unwrap();
    d.f.drain(&d.system);
    let [perm, ..] = d.change(&a, || fs::write(&a, "text").unwrap());
    d.host("chmod", &["600", "a"]);
    assert_eq!(d.f.ended(&d.system, [perm]), [true]);
}
