//! Daemons in one process: each engine has its own open files, and so its own locks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use shm_layout::Snapshot;

use super::*;

/// A clock that moves when somebody waits, or when told to.
#[derive(Debug, Default)]
pub(super) struct Scripted(Mutex<Duration>);

impl Clock for Scripted {
    fn now(&self) -> Duration {
        *self.0.lock()
    }

    fn wait(&self, _: &SharedU64, _: u64, at_most: Duration) {
        *self.0.lock() += at_most;
    }

    fn wake(&self, _: &SharedU64) {}
}

pub(super) struct Fixture {
    pub(super) directory: tempfile::TempDir,
    pub(super) clock: Arc<Scripted>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        Self { directory, clock: Arc::default() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("table")
    }

    pub(super) fn options(&self) -> Options {
        Options { words: Some(1 << 13), clock: self.clock.clone(), ..Options::new(self.path()) }
    }

    pub(super) fn join(&self) -> Arc<Engine> {
        Engine::attach(self.options()).unwrap()
    }

    pub(super) fn fails(&self) -> AttachError {
        Engine::attach(self.options()).map(drop).unwrap_err()
    }

    pub(super) fn pass(&self, time: Duration) {
        *self.clock.0.lock() += time;
    }
}

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Ends a daemon as SIGKILL would: the kernel drops its locks, and nothing else happens.
pub(super) fn kill(engine: Arc<Engine>) {
    engine.host.unlock_row(engine.row).unwrap();
    crate::sys::unlock(engine.table.file(), 0, 1).unwrap();
    std::mem::forget(engine);
}

pub(super) fn inode(engine: &Engine, ino: u64) -> InodeSlots {
    engine.inode_slots(engine.inode(&Identity::Inode { dev: 1, ino })).unwrap()
}

pub(super) fn name(engine: &Engine, name: &str) -> SlotIndex {
    engine.entry_slot(InodeKey(1), name.as_bytes()).unwrap()
}

pub(super) fn stamp(engine: &Engine, slot: SlotIndex) -> Snapshot {
    engine.observe([slot]).then(|| ()).1[0]
}

pub(super) fn busy(engine: &Engine, slot: SlotIndex) -> u16 {
    engine.words().peek(slot).busy()
}

pub(super) fn entries(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}
