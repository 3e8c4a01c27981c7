//! Files that somebody cuts who does not ask: a program of the host, or a daemon of another table.
//!
//! Nothing can hold such a cut up. All that can be done is to hear of it at once (inotify) and to take the lost pages away
//! before the guest touches them; a guest that is faster ends its VMM (docs/dax.md).

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::thread;

use parking_lot::Mutex;
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use rustix::io::Errno;
use tracing::warn;

use super::{FileId, Window};

/// Mapped files, watched.
#[derive(Debug)]
pub(super) struct HostWatch {
    events: OwnedFd,
    watched: Mutex<HashMap<FileId, i32>>,
}

impl HostWatch {
    /// Begins to hear of files that `window` has mapped.
    ///
    /// # Errors
    /// No inotify instance and no thread to be had.
    pub(super) fn start(window: &Arc<Window>) -> io::Result<Arc<Self>> {
        let events = init(CreateFlags::CLOEXEC)?;
        let watch = Arc::new(Self { events, watched: Mutex::default() });
        let (window, listens) = (Arc::downgrade(window), Arc::clone(&watch));
        thread::Builder::new()
            .name("host-cuts".to_owned())
            .spawn(move || listens.listen(&window))?;
        Ok(watch)
    }

    /// These files are mapped, or are about to be. Where one cannot be watched, its VMM takes its chance.
    pub(super) fn set<'a>(&self, files: impl Iterator<Item = (FileId, BorrowedFd<'a>)>) {
        let mut watched = self.watched.lock();
        let mut before = std::mem::take(&mut *watched);
        for (id, file) in files {
            if watched.contains_key(&id) {
                continue;
            }
            let wd = before.remove(&id).map_or_else(|| self.add(file), Ok);
            match wd {
                Ok(wd) => drop(watched.insert(id, wd)),
                Err(error) => warn!("a mapped file is not watched for cuts by the host: {error}"),
            }
        }
        for wd in before.into_values() {
            // Of a file that is gone it has gone, too.
            let _ = remove_watch(&self.events, wd);
        }
    }

    fn add(&self, file: BorrowedFd<'_>) -> rustix::io::Result<i32> {
        let number = file.as_raw_fd();
        let add = |path: String| add_watch(&self.events, path, WatchFlags::MODIFY);
        // In a sandbox there is no /proc; the working directory is what it would lead to.
        match add(format!("/proc/self/fd/{number}")) {
            Err(Errno::NOENT) => add(number.to_string()),
            result => result,
        }
    }

    fn listen(&self, window: &Weak<Window>) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.events, &mut buffer);
        loop {
            let wd = match events.next() {
                Ok(event) => event.wd(),
                Err(Errno::INTR) => continue,
                Err(error) => return warn!("cuts by the host are not heard of any more: {error}"),
            };
            let Some(window) = window.upgrade() else { return };
            let found = self.watched.lock().iter().find(|(_, at)| **at == wd).map(|(id, _)| *id);
            if let Some(id) = found
                && let Err(error) = window.shorten_to_file(id)
            {
                warn!("the VMM does not let go of a file that the host has cut: {error}");
            }
        }
    }
}
