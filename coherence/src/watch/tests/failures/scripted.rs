//! Failures that come when they are told to.

use parking_lot::Mutex;

use super::super::*;
use crate::watch::{Part, Script, Scripted};

struct Patient {
    f: Fixture,
    scripted: Scripted,
    watcher: Watcher,
    system: Arc<FileSystem>,
    /// Sources may be made.
    cured: Arc<Mutex<Option<Scripted>>>,
}

impl Patient {
    fn new() -> Self {
        let f = Fixture::new("/dev/shm");
        let scripted = Scripted::new(Grain::FileSystem).unwrap();
        let cured = Arc::new(Mutex::new(None::<Scripted>));
        let cure = Arc::clone(&cured);
        let factory: Factory = Box::new(move || match cure.lock().clone() {
            Some(source) => Ok(Arc::new(source)),
            None => Err(std::io::Error::other("not yet")),
        });
        let watcher = f.watch(Arc::new(scripted.clone()), factory);
        let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
        Self { f, scripted, watcher, system, cured }
    }

    fn stamp(&self) -> Snapshot {
        self.f.inode(&self.system, self.f.share.path())[1]
    }

    fn ends(&self, stamp: Snapshot) {
        eventually("the end of the stamp", || !self.f.view.is_current(stamp));
    }
}

#[test]
fn an_event_ends_a_stamp_and_events_that_were_lost_end_all() {
    let p = Patient::new();
    let stamp = p.stamp();
    p.scripted.tell(Script::Inode(p.f.key(p.f.share.path()), Part::Attributes));
    p.ends(stamp);
    let stamp = p.stamp();
    p.scripted.tell(Script::Lost);
    p.ends(stamp);
    assert!(p.stamp().covers(), "the watch stands");
    eventually("the figure", || p.watcher.figures().sweeps == 1);
}

#[test]
fn a_source_that_fails_ends_all_stamps_and_there_are_none_until_it_is_back() {
    for how in [Script::Fail, Script::Die] {
        let p = Patient::new();
        let stamp = p.stamp();
        let cover = p.system.cover(p.f.key(p.f.share.path()), || Ok(open(p.f.share.path())));
        p.scripted.tell(how);
        p.ends(stamp);
        assert!(!p.watcher.is_alive() && !p.stamp().covers());
        assert!(!cover.as_ref().unwrap().stands());
        let next = Scripted::new(Grain::FileSystem).unwrap();
        *p.cured.lock() = Some(next.clone());
        eventually("another life", || p.watcher.is_alive());
        assert!(!cover.unwrap().stands(), "what was covered in an earlier life");
        let stamp = p.stamp();
        assert!(stamp.covers());
        next.tell(Script::Inode(p.f.key(p.f.share.path()), Part::Links));
        p.ends(stamp);
        assert_eq!(p.watcher.figures().failures, 1);
    }
}

#[test]
fn nobody_is_stamped_by_a_watcher_that_has_gone() {
    let p = Patient::new();
    drop(p.watcher);
    assert!(!p.f.inode(&p.system, p.f.share.path())[1].covers());
}

#[test]
fn what_does_not_concern_a_daemon_moves_nothing() {
    let p = Patient::new();
    let stamp = p.stamp();
    let elsewhere = InodeKey(7);
    for part in [Part::Attributes, Part::Contents, Part::Links] {
        p.scripted.tell(Script::Inode(elsewhere, part));
    }
    p.scripted.tell(Script::Name(elsewhere, b"name".to_vec()));
    eventually("the events", || p.watcher.figures().events == 4);
    assert_eq!(p.watcher.figures().moved, 0);
    assert!(p.f.view.is_current(stamp));
}

#[test]
fn one_change_moves_a_slot_once_however_many_daemons_hear_of_it() {
    let f = Fixture::new("/dev/shm");
    let engines = [Arc::clone(&f.engine), f.another(), f.another()];
    let below = [f.share.path().to_owned()];
    let daemons = engines.each_ref().map(|engine| {
        let source = Scripted::new(Grain::FileSystem).unwrap();
        let mounts = MountTable::open(&below).unwrap();
        let watcher = Watcher::with(engine, Arc::new(source.clone()), never(), mounts).unwrap();
        watcher.begin().unwrap();
        (source, watcher)
    });
    let key = f.key(f.share.path());
    let slots = f.engine.inode_slots(key).unwrap();
    // Each has given a stamp of the same word.
    let stamps = engines.each_ref().map(|e| {
        e.inode_slots(key).unwrap();
        e.observe([slots.attr]).then(|| ()).1[0]
    });
    for (source, watcher) in &daemons {
        source.tell(Script::Inode(key, Part::Links));
        eventually("the event", || watcher.figures().events == 1);
    }
    assert!(stamps.iter().all(|s| s.covers() && !f.view.is_current(*s)));
    let moved: u64 = daemons.iter().map(|(_, watcher)| watcher.figures().moved).sum();
    assert_eq!(moved, 1);
}
