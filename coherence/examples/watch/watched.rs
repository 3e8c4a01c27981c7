//! A share, its table, and a watcher.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use coherence::watch::{FileId, FileSystem, Mode, Pin, Watcher};
use coherence::{Engine, InodeKey, Options, View};
use tempfile::TempDir;

use crate::Result;

/// A daemon's part. Fields are dropped in this order: the watcher goes before the engine.
pub(crate) struct Watched {
    pub(crate) watcher: Watcher,
    pub(crate) system: Arc<FileSystem>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) view: View,
    table: Arc<TempDir>,
}

impl Watched {
    pub(crate) fn new(share: &Path, mode: Mode) -> Result<Self> {
        Self::on(Arc::new(tempfile::tempdir_in("/dev/shm")?), share, mode)
    }

    /// Another daemon on the same table.
    pub(crate) fn another(&self, share: &Path, mode: Mode) -> Result<Self> {
        Self::on(Arc::clone(&self.table), share, mode)
    }

    fn on(table: Arc<TempDir>, share: &Path, mode: Mode) -> Result<Self> {
        let path = table.path().join("table");
        let engine = Engine::attach(Options::new(&path))?;
        let view = View::open(&path)?;
        let watcher = Watcher::start(&engine, mode, &[share.to_owned()])?;
        let system = watcher.file_system(File::open(share)?.as_fd())?;
        Ok(Self { watcher, system, engine, view, table })
    }

    /// As when a guest is told of a file.
    pub(crate) fn meet(&self, path: &Path) -> Result<(InodeKey, Option<Pin>)> {
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        let key = self.engine.inode(&FileId::of(file.as_fd())?.identity());
        Ok((key, self.system.pin(key, file.as_fd())))
    }
}
