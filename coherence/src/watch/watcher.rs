//! The watcher as its owner sees it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rustix::event::EventfdFlags;

use super::coverage::Shared;
use super::fanotify::{OwnPrivilege, Privilege};
use super::figures::Figures;
use super::file_system;
use super::mounts::MountTable;
use super::source::Factory;
use super::thread::Loop;
use super::{ChangeSource, Fanotify, FileSystem, Grain, Inotify, Refusal};
use crate::engine::Engine;

/// How changes on the host are learned of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// The best that the privileges allow.
    #[default]
    Auto,
    /// Whole file systems. Needs `CAP_SYS_ADMIN`.
    Fanotify,
    /// Inode by inode.
    Inotify,
    /// Not at all: nobody but the table's daemons changes the files.
    Off,
}

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// fanotify.
    #[error(
        "--watch fanotify: {0}; it needs CAP_SYS_ADMIN outside of any user namespace and Linux 5.17 or later: \
         run as root, or use --watch inotify"
    )]
    Fanotify(io::Error),
    /// inotify.
    #[error("--watch inotify: {0}; raise fs.inotify.max_user_instances")]
    Inotify(io::Error),
    /// The mount table cannot be read.
    #[error(
        "--watch: cannot watch what is mounted below the shared directory: {0}; is /proc mounted?"
    )]
    Mounts(io::Error),
    /// No thread to be had.
    #[error("--watch: {0}")]
    Thread(io::Error),
    /// No memory for what must be noted.
    #[error("--watch: no memory for the table's shadow: {0}")]
    Memory(io::Error),
}

/// Watches for changes on the host and sees to it that no stamp outlives them. Drop it before the engine, after the last
/// stamp.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    thread: Mutex<Reader>,
}

/// The thread that reads the source.
#[derive(Debug)]
enum Reader {
    /// There is nothing to read, or no longer.
    None,
    Prepared(Box<Loop>, OwnedFd),
    Running(JoinHandle<()>, OwnedFd),
}

impl Watcher {
    /// Starts watching for `engine`. `directories` are those below which mounts matter.
    ///
    /// # Errors
    /// [`StartError`], with what to do.
    pub fn start(
        engine: &Arc<Engine>,
        mode: Mode,
        directories: &[PathBuf],
    ) -> Result<Self, StartError> {
        let mounts = || MountTable::open(directories);
        let watcher = Self::prepare(engine, mode, mounts, Arc::new(OwnPrivilege))?;
        watcher.begin()?;
        Ok(watcher)
    }

    /// As [`Self::start`], but without a thread as yet: for a process that will drop its rights before it has threads. What
    /// fanotify needs a privilege for is left to `privilege`.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn prepare(
        engine: &Arc<Engine>,
        mode: Mode,
        mounts: impl FnOnce() -> io::Result<MountTable>,
        privilege: Arc<dyn Privilege>,
    ) -> Result<Self, StartError> {
        let fanotify: Factory =
            Box::new(move || Ok(Arc::new(Fanotify::with(Arc::clone(&privilege))?)));
        let inotify: Factory = Box::new(|| Ok(Arc::new(Inotify::new()?)));
        if mode == Mode::Off {
            tracing::info!("changes made on the host are not watched");
            let shared = Arc::new(Shared::new(None));
            return Ok(Self { shared, thread: Mutex::new(Reader::None) });
        }
        let mounts = mounts().map_err(StartError::Mounts)?;
        let (source, factory) = match mode {
            Mode::Fanotify => (fanotify().map_err(StartError::Fanotify)?, fanotify),
            Mode::Inotify => (inotify().map_err(StartError::Inotify)?, inotify),
            Mode::Auto | Mode::Off => match usable(&fanotify, &mounts.directories()) {
                Ok(source) => (source, fanotify),
                Err(why) => {
                    tracing::info!("no fanotify ({why}): each inode in use is watched");
                    (inotify().map_err(StartError::Inotify)?, inotify)
                }
            },
        };
        tracing::info!("changes made on the host are watched with {}", source.name());
        Self::with(engine, source, factory, mounts)
    }

    /// Watches with `source`, and when it fails with what `factory` makes.
    pub(super) fn with(
        engine: &Arc<Engine>,
        source: Arc<dyn ChangeSource>,
        factory: Factory,
        mounts: MountTable,
    ) -> Result<Self, StartError> {
        engine.answer_for_stamps().map_err(StartError::Memory)?;
        let shared = Arc::new(Shared::new(Some(source)));
        let stop = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|e| StartError::Thread(e.into()))?;
        let of_thread = stop.try_clone().map_err(StartError::Thread)?;
        let work = Loop::new(engine, &shared, factory, mounts, of_thread);
        Ok(Self { shared, thread: Mutex::new(Reader::Prepared(Box::new(work), stop)) })
    }

    /// Starts the thread. Until then nothing is read, so no stamp may be given: do this before the first request.
    ///
    /// # Errors
    /// No thread to be had.
    pub fn begin(&self) -> Result<(), StartError> {
        let mut thread = self.thread.lock();
        *thread = match std::mem::replace(&mut *thread, Reader::None) {
            Reader::Prepared(work, stop) => {
                let thread = std::thread::Builder::new()
                    .name("samepage-watch".to_owned())
                    .spawn(move || work.run())
                    .map_err(StartError::Thread)?;
                Reader::Running(thread, stop)
            }
            other => other,
        };
        Ok(())
    }

    /// The file system that `file` lies on. The first time it is met it is watched, which takes system calls and for
    /// fanotify the privilege; where it cannot be, this is said once in the log, and tried again now and then.
    ///
    /// # Errors
    /// Those of `fstatfs(2)` and `fstat(2)`, and no descriptor to be had.
    pub fn file_system(&self, file: BorrowedFd<'_>) -> io::Result<Arc<FileSystem>> {
        let id = (file_system::fsid(file)?, rustix::fs::fstat(file)?.st_dev);
        let mut systems = self.shared.systems.lock();
        if let Some(known) = systems.get(&id) {
            return Ok(Arc::clone(known));
        }
        let file = file.try_clone_to_owned()?;
        let source = self.shared.source.read().clone();
        let watched = match &source {
            Some(source) => source.watch_file_system(file.as_fd()),
            None => file_system::check(file.as_fd()),
        };
        if let Err(refusal) = &watched {
            self.shared.counters.refuse_system(refusal);
        }
        let grain = source.map_or(Grain::FileSystem, |s| s.grain());
        let system = FileSystem::new(Arc::clone(&self.shared), (id, file), grain, &watched);
        let system = Arc::new(system);
        systems.insert(id, Arc::clone(&system));
        Ok(system)
    }

    /// Counts an inode that is served without stamps. The first one's reason is said in the log.
    pub fn refuse_inode(&self, refusal: &Refusal) {
        self.shared.counters.refuse_inode(refusal);
    }

    /// Whether stamps are given at the moment.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.shared.is_alive()
    }

    /// What has happened so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let source = self.shared.source.read();
        self.shared.counters.figures(source.as_deref(), self.is_alive())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Reader::Running(thread, stop) =
            std::mem::replace(self.thread.get_mut(), Reader::None)
        {
            // Writing to an event counter that is zero neither blocks nor fails.
            let _ = rustix::io::write(&stop, &1_u64.to_ne_bytes());
            let _ = thread.join();
        }
        // The file systems and this hold each other.
        self.shared.systems.lock().clear();
    }
}

/// A source that can watch the file systems of `directories`, as far as they can be watched at all.
fn usable(factory: &Factory, directories: &[PathBuf]) -> Result<Arc<dyn ChangeSource>, Refusal> {
    let source = factory()?;
    for directory in directories {
        let file = std::fs::File::open(directory)?;
        match source.watch_file_system(file.as_fd()) {
            Ok(()) | Err(Refusal::Unwatchable(_)) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(source)
}
