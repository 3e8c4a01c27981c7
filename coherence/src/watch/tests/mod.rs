//! Real files on real file systems, and scripted sources where a failure must come when it is told to.

mod failures;
mod guest;
mod own;
mod property;
mod sources;

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use shm_layout::word::Ordering::Relaxed;
use shm_layout::{SharedU64, Snapshot};

use super::source::Factory;
use super::{
    ChangeSource, Coverage, Fanotify, FileId, FileSystem, Grain, Inotify, MountTable, Watcher,
};
use crate::table::View;
use crate::{Engine, InodeKey, Options};

/// An engine on a table of its own, and directories on a file system of choice.
pub(super) struct Fixture {
    pub(super) engine: Arc<Engine>,
    pub(super) view: View,
    pub(super) share: tempfile::TempDir,
    table: tempfile::TempDir,
    drained: SharedU64,
}

impl Fixture {
    /// With the share in `place`.
    pub(super) fn new(place: &str) -> Self {
        let table = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = table.path().join("table");
        // Sweeps are told apart by their effect: none must become a long one.
        let options =
            Options { words: Some(1 << 16), sweep_interval: Duration::ZERO, ..Options::new(&path) };
        let engine = Engine::attach(options).unwrap();
        let view = View::open(&path).unwrap();
        Self {
            engine,
            view,
            share: tempfile::tempdir_in(place).unwrap(),
            table,
            drained: SharedU64::new(0),
        }
    }

    /// Another daemon on the same table.
    pub(super) fn another(&self) -> Arc<Engine> {
        Engine::attach(Options::new(self.table.path().join("table"))).unwrap()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.share.path().join(name)
    }

    pub(super) fn watch(&self, source: Arc<dyn ChangeSource>, factory: Factory) -> Watcher {
        let below = [self.share.path().to_owned()];
        let mounts = MountTable::open(&below).unwrap();
        let watcher = Watcher::with(&self.engine, source, factory, mounts).unwrap();
        watcher.begin().unwrap();
        watcher
    }

    pub(super) fn key(&self, path: &Path) -> InodeKey {
        self.engine.inode(&FileId::of(open(path).as_fd()).unwrap().identity())
    }

    /// A stamp for a name in a directory.
    pub(super) fn entry(&self, system: &FileSystem, dir: &Path, name: &str) -> Snapshot {
        let key = self.key(dir);
        let cover = system.cover(key, || Ok(open(dir)));
        let slot = self.engine.entry_slot(key, name.as_bytes()).unwrap();
        let ((), [snapshot]) = self.engine.observe([slot]).then(|| ());
        stamped(cover.as_ref(), snapshot)
    }

    /// Stamps for an inode: perm, attr, data.
    pub(super) fn inode(&self, system: &FileSystem, path: &Path) -> [Snapshot; 3] {
        let key = self.key(path);
        let cover = system.cover(key, || Ok(open(path)));
        let slots = self.engine.inode_slots(key).unwrap();
        let ((), snapshots) = self.engine.observe([slots.perm, slots.attr, slots.data]).then(|| ());
        snapshots.map(|s| stamped(cover.as_ref(), s))
    }

    /// Which of the stamps no longer count, once a change made now has been dealt with.
    pub(super) fn ended<const N: usize>(
        &self,
        system: &FileSystem,
        of: [Snapshot; N],
    ) -> [bool; N] {
        self.drain(system);
        of.map(|s| !self.view.is_current(s))
    }

    /// Waits until everything that happened before has been dealt with.
    pub(super) fn drain(&self, system: &FileSystem) {
        // Slots of one batch are moved in their order, not in that of the events. What happens when a batch has been read is
        // in a later one, and that is begun when all of the first have been moved.
        self.wait_for_an_event(system);
        self.wait_for_an_event(system);
    }

    fn wait_for_an_event(&self, system: &FileSystem) {
        let dir = self.path(".drain");
        std::fs::create_dir_all(&dir).unwrap();
        // New names each time: the removal of an old one may still be under way. Two: the slot of one may be another
        // name's, too, whose change comes sooner.
        let drained = self.drained.fetch_add(1, Relaxed);
        let names = ["a", "b"].map(|which| format!("{which}{drained}"));
        let stamps = names.each_ref().map(|name| self.entry(system, &dir, name));
        assert!(stamps.iter().all(|stamp| stamp.covers()), "the watcher lives");
        let paths = names.map(|name| dir.join(name));
        assert!(std::process::Command::new("touch").args(&paths).status().unwrap().success());
        eventually("the events", || !stamps.iter().any(|stamp| self.view.is_current(*stamp)));
        for path in paths {
            std::fs::remove_file(path).unwrap();
        }
    }
}

pub(super) fn stamped(cover: Option<&Coverage<'_>>, snapshot: Snapshot) -> Snapshot {
    if cover.is_some_and(Coverage::stands) { snapshot } else { Snapshot::NOT_COVERED }
}

/// A descriptor that opens nothing.
pub(super) fn open(path: &Path) -> File {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    File::options().read(true).custom_flags(flags).open(path).unwrap()
}

/// Waits for something that must come. How long it takes says nothing.
pub(super) fn eventually(what: &str, mut come: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_mins(1);
    while !come() {
        assert!(Instant::now() < patience, "{what} never came");
        std::thread::yield_now();
    }
}

/// No new source is ever made.
pub(super) fn never() -> Factory {
    Box::new(|| Err(std::io::Error::other("not in this test")))
}

/// Sources that take this process's changes for anybody's.
pub(super) fn bystanders() -> [Arc<dyn ChangeSource>; 2] {
    let _usual = QUEUE_LIMITS.read();
    bystanders_anyhow()
}

/// Whoever changes the system's limits on queues meanwhile.
static QUEUE_LIMITS: RwLock<()> = RwLock::new(());

fn bystanders_anyhow() -> [Arc<dyn ChangeSource>; 2] {
    [Arc::new(Fanotify::of_a_bystander().unwrap()), Arc::new(Inotify::new().unwrap())]
}

/// Where shares lie: ext4 (or whatever holds the target directory), and tmpfs.
pub(super) fn places() -> [String; 2] {
    let program = std::env::current_exe().unwrap();
    [program.parent().unwrap().to_str().unwrap().to_owned(), "/dev/shm".to_owned()]
}

/// Runs this very test in another namespace, after some set-up; true inside.
pub(super) fn inside(test: &str, unshare: &[&str], setup: &str) -> bool {
    const INSIDE: &str = "SAMEPAGE_TEST_INSIDE";
    if std::env::var(INSIDE).is_ok_and(|name| name == test) {
        return true;
    }
    let script = format!("{setup} && exec \"$0\" --exact watch::tests::{test} --nocapture");
    let status = std::process::Command::new("unshare")
        .args(unshare)
        .args(["sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, test)
        .status()
        .unwrap();
    assert!(status.success());
    false
}
