//! Each way in which watching fails: nothing is stamped, nothing stays, and it heals.

mod deaths;
mod limits;
mod mounts;
mod queues;
mod scripted;

use std::os::fd::BorrowedFd;

use parking_lot::Mutex;

use super::*;
use crate::watch::{Batch, Refusal};

/// How a source does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    /// Its reader does not keep up.
    Slow,
    /// There is no room for another file system.
    Full,
    /// Reading it fails.
    Broken,
    /// The thread that reads it dies.
    Deadly,
}

/// A real source whose health is a test's to decide.
#[derive(Debug)]
struct Gated {
    source: Arc<dyn ChangeSource>,
    health: Mutex<Health>,
}

impl Gated {
    fn new(source: Arc<dyn ChangeSource>) -> Arc<Self> {
        Arc::new(Self { source, health: Mutex::new(Health::Well) })
    }

    fn becomes(&self, health: Health) {
        *self.health.lock() = health;
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
        let health = *self.health.lock();
        match health {
            Health::Well | Health::Full => self.source.read(batch),
            Health::Slow => {
                std::thread::yield_now();
                Ok(false)
            }
            Health::Broken => Err(std::io::Error::other("it broke")),
            Health::Deadly => panic!("a test says so"),
        }
    }

    fn watch_file_system(&self, file: BorrowedFd<'_>) -> Result<(), Refusal> {
        if *self.health.lock() == Health::Full {
            return Err(Refusal::Limit { remedy: "a test's" });
        }
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

/// Settings of the whole system, changed for a moment. Hold [`QUEUE_LIMITS`] meanwhile.
struct Settings(Vec<(&'static str, String)>);

impl Settings {
    fn set(names: &[&'static str], value: &str) -> Self {
        let set = |&name| {
            let old = std::fs::read_to_string(name).unwrap();
            std::fs::write(name, value).unwrap();
            (name, old)
        };
        Self(names.iter().map(set).collect())
    }

    /// Queues that are made meanwhile hold next to nothing.
    fn tiny_queues() -> Self {
        let queues =
            ["/proc/sys/fs/fanotify/max_queued_events", "/proc/sys/fs/inotify/max_queued_events"];
        Self::set(&queues, "8")
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        for (name, old) in &self.0 {
            let _ = std::fs::write(name, old);
        }
    }
}

/// Whether an inode that was pinned is covered, as requests ask.
fn known(f: &Fixture, system: &FileSystem, path: &Path) -> bool {
    system.cover(f.key(path), || Err::<File, _>(std::io::ErrorKind::NotFound.into())).is_some()
}
