//! Each way in which watching fails: nothing is stamped, nothing stays, and it heals.

use std::os::fd::{AsRawFd, BorrowedFd};

use parking_lot::Mutex;
use shm_layout::Snapshot;

use super::*;
use crate::watch::{Batch, Part, Refusal, Script, Scripted};

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

#[test]
fn a_queue_that_overflows_says_so() {
    let f = Fixture::new("/dev/shm");
    let sources = {
        let _alone = QUEUE_LIMITS.write();
        let _tiny = Sysctls::tiny();
        bystanders_anyhow()
    };
    for source in sources {
        source.watch_file_system(open(f.share.path()).as_fd()).unwrap();
        source.watch_inode(f.key(f.share.path()), open(f.share.path()).as_fd()).unwrap();
        for i in 0..100 {
            let file = f.path(&i.to_string());
            std::fs::write(&file, "").unwrap();
            std::fs::remove_file(file).unwrap();
        }
        let mut batch = Batch::new(f.engine.placement());
        while source.read(&mut batch).unwrap() {}
        assert!(batch.why_lost().is_some(), "{}", source.name());
    }
}

#[test]
fn a_real_queue_that_overflows_ends_all_stamps_and_all_goes_on() {
    let f = Fixture::new("/dev/shm");
    let sources = {
        let _alone = QUEUE_LIMITS.write();
        let _tiny = Sysctls::tiny();
        bystanders_anyhow()
    };
    for source in sources {
        let source = Arc::new(Gated { source, shut: Mutex::new(false), broken: Mutex::new(false) });
        let watcher = f.watch(Arc::clone(&source) as Arc<dyn ChangeSource>, never());
        let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
        let (lost, kept) = (f.path("lost"), f.path("kept"));
        for file in [&lost, &kept] {
            std::fs::write(file, "").unwrap();
        }
        f.drain(&system);
        let stamps = [&lost, &kept].map(|file| f.inode(&system, file)[1]);
        assert!(stamps.iter().all(|stamp| stamp.covers()));
        // The thread does not keep up; what overflows is the last change, whose event nobody gets.
        source.shut(true);
        let dir = f.inode(&system, f.share.path());
        for i in 0..100 {
            let file = f.path(&i.to_string());
            std::fs::write(&file, "").unwrap();
            std::fs::remove_file(file).unwrap();
        }
        std::fs::write(&lost, "changed").unwrap();
        assert!(f.view.is_current(stamps[0]), "not told yet");
        source.shut(false);
        eventually("the end of all stamps", || {
            stamps.iter().chain(&dir).all(|stamp| !f.view.is_current(*stamp))
        });
        // It is counted once it is done.
        eventually("a sweep", || watcher.figures().sweeps >= 1);
        assert!(watcher.is_alive());
        let stamp = f.inode(&system, &kept)[1];
        assert!(stamp.covers(), "it goes on");
        std::fs::write(&kept, "changed").unwrap();
        eventually("the end of a new stamp", || !f.view.is_current(stamp));
    }
}

/// A source whose reader falls behind, or that fails, when it is told to.
#[derive(Debug)]
struct Gated {
    source: Arc<dyn ChangeSource>,
    shut: Mutex<bool>,
    broken: Mutex<bool>,
}

impl Gated {
    fn shut(&self, shut: bool) {
        *self.shut.lock() = shut;
    }
}

impl ChangeSource for Gated {
    fn name(&self) -> &'static str {
        self.source.name()
    }

    fn grain(&self) -> Grain {
        self.source.grain()
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.source.fd()
    }

    fn read(&self, batch: &mut Batch<'_>) -> std::io::Result<bool> {
        if *self.shut.lock() {
            std::thread::yield_now();
            return Ok(false);
        }
        if *self.broken.lock() {
            return Err(std::io::Error::other("it broke"));
        }
        self.source.read(batch)
    }

    fn watch_file_system(&self, file: BorrowedFd<'_>) -> Result<(), Refusal> {
        self.source.watch_file_system(file)
    }

    fn watch_inode(&self, inode: InodeKey, file: BorrowedFd<'_>) -> Result<(), Refusal> {
        self.source.watch_inode(inode, file)
    }

    fn watches(&self, inode: InodeKey) -> bool {
        self.source.watches(inode)
    }

    fn forget_inode(&self, inode: InodeKey) {
        self.source.forget_inode(inode);
    }

    fn inodes(&self) -> u64 {
        self.source.inodes()
    }
}

/// Queues that are made meanwhile hold next to nothing.
struct Sysctls([(&'static str, String); 2]);

impl Sysctls {
    fn tiny() -> Self {
        let names =
            ["/proc/sys/fs/fanotify/max_queued_events", "/proc/sys/fs/inotify/max_queued_events"];
        Self(names.map(|name| {
            let old = std::fs::read_to_string(name).unwrap();
            std::fs::write(name, "8").unwrap();
            (name, old)
        }))
    }
}

impl Drop for Sysctls {
    fn drop(&mut self) {
        for (name, old) in &self.0 {
            let _ = std::fs::write(name, old);
        }
    }
}

#[test]
fn inodes_beyond_the_limit_get_no_stamp() {
    let test = "failures::inodes_beyond_the_limit_get_no_stamp";
    if !inside(test, &["-U", "-r"], "echo 3 > /proc/sys/user/max_inotify_watches") {
        return;
    }
    let f = Fixture::new("/dev/shm");
    let watcher = f.watch(Arc::new(Inotify::new().unwrap()), never());
    let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
    let stamp = |i: u32| {
        let path = f.path(&i.to_string());
        std::fs::write(&path, "").unwrap();
        f.inode(&system, &path)[1].covers()
    };
    assert_eq!([1, 2, 3, 4, 5].map(stamp), [true, true, true, false, false]);
    assert_eq!((watcher.figures().watches, watcher.figures().refused_inodes), (3, 2));
    system.forget(f.key(&f.path("1")));
    assert!(stamp(6), "room again");
}

#[test]
fn a_pinned_inode_is_watched_as_soon_as_there_is_room() {
    let test = "failures::a_pinned_inode_is_watched_as_soon_as_there_is_room";
    if !inside(test, &["-U", "-r"], "echo 1 > /proc/sys/user/max_inotify_watches") {
        return;
    }
    let f = Fixture::new("/dev/shm");
    let watcher = f.watch(Arc::new(Inotify::new().unwrap()), never());
    let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
    let pin = |name: &str| {
        std::fs::write(f.path(name), "").unwrap();
        system.pin(f.key(&f.path(name)), open(&f.path(name)).as_fd())
    };
    let again = || {
        let path = f.path("second");
        system.watch_again(f.key(&path), open(&path).as_fd());
        known(&f, &system, &path)
    };
    let (first, second) = (pin("first"), pin("second"));
    assert!(known(&f, &system, &f.path("first")) && !again());
    drop(first);
    assert!(!known(&f, &system, &f.path("second")), "nobody has tried");
    assert!(again());
    assert_eq!(watcher.figures().watches, 1);
    drop(second);
    assert_eq!(watcher.figures().watches, 0);
    assert!(!again(), "nobody needs it");
}

#[test]
fn pinned_inodes_are_watched_again_after_a_failure() {
    let f = Fixture::new("/dev/shm");
    let inotify = || Arc::new(Inotify::new().unwrap());
    let gated = Gated { source: inotify(), shut: Mutex::new(false), broken: Mutex::new(false) };
    let source = Arc::new(gated);
    let factory: Factory = Box::new(move || Ok(inotify()));
    let watcher = f.watch(Arc::clone(&source) as Arc<dyn ChangeSource>, factory);
    let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
    let path = f.path("file");
    std::fs::write(&path, "").unwrap();
    let _pin = system.pin(f.key(&path), open(&path).as_fd());
    assert!(known(&f, &system, &path));
    *source.broken.lock() = true;
    std::fs::write(&path, "more").unwrap();
    eventually("another life", || watcher.figures().failures == 1 && watcher.is_alive());
    assert!(!known(&f, &system, &path), "its watch went with the source");
    system.watch_again(f.key(&path), open(&path).as_fd());
    assert!(known(&f, &system, &path));
    let stamp = f.inode(&system, &path)[1];
    std::fs::write(&path, "most").unwrap();
    eventually("its end", || !f.view.is_current(stamp));
}

/// Whether an inode that was pinned is covered, as requests ask.
fn known(f: &Fixture, system: &FileSystem, path: &Path) -> bool {
    system.cover(f.key(path), || Err::<File, _>(std::io::ErrorKind::NotFound.into())).is_some()
}

#[test]
fn file_systems_that_cannot_be_watched_get_no_stamps() {
    let f = Fixture::new("/dev/shm");
    for source in bystanders() {
        let watcher = f.watch(source, never());
        let proc = File::open("/proc").unwrap();
        let system = watcher.file_system(proc.as_fd()).unwrap();
        assert!(system.cover(InodeKey(1), || Ok(&proc)).is_none());
        assert_eq!(watcher.figures().refused_systems, 1);
    }
}

#[test]
fn a_mount_that_comes_or_goes_ends_all_stamps() {
    let test = "failures::a_mount_that_comes_or_goes_ends_all_stamps";
    if !inside(test, &["-m"], "mount --make-rprivate /") {
        return;
    }
    for source in bystanders() {
        let f = Fixture::new("/dev/shm");
        std::fs::create_dir(f.path("a")).unwrap();
        let watcher = f.watch(source, never());
        let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let mut command = std::process::Command::new(program);
            assert!(command.args(arguments).arg(f.path("a")).status().unwrap().success());
        };
        let name = f.entry(&system, f.share.path(), "a");
        run("mount", &["-t", "tmpfs", "none"]);
        eventually("the end of the name", || !f.view.is_current(name));
        // Under the daemon, which has it open.
        let mounted = open(&f.path("a"));
        let inner = watcher.file_system(mounted.as_fd()).unwrap();
        std::fs::write(f.path("a/file"), "").unwrap();
        let stamp = f.inode(&inner, &f.path("a/file"))[1];
        let name = f.entry(&system, f.share.path(), "a");
        assert!(stamp.covers() && mounted.as_raw_fd() >= 0);
        run("umount", &["-l"]);
        eventually("the end of the name", || !f.view.is_current(name));
        assert!(!f.view.is_current(stamp));
        assert!(f.entry(&system, f.share.path(), "a").covers(), "it goes on");
    }
}
