//! What must be gone when we are: process groups and scratch directories.
//!
//! Drop does it on every ordinary path and on a panic. A signal (Ctrl-C, SIGTERM, SIGHUP) skips
//! drops, so a thread waits for those, clears away everything that is registered here, and exits
//! with the status that a shell would show. What is left by a run that was killed outright is
//! cleared away by the next one: each scratch directory is locked as long as it is used. Version
//! tables in them are immutable where daemons may do that, so that flag is taken away first.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, exit};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

#[derive(Default)]
struct Registry {
    groups: BTreeSet<i32>,
    directories: BTreeSet<PathBuf>,
}

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { groups: BTreeSet::new(), directories: BTreeSet::new() });
static HANDLER: Once = Once::new();

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Start a process that leads its own group, and remember it. Nothing can come between.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    watch_signals();
    let mut registry = registry();
    let child = command.spawn()?;
    registry.groups.insert(Pid::from_child(&child).as_raw_nonzero().get());
    Ok(child)
}

/// The group is gone.
pub(super) fn forget_group(leader: Pid) {
    registry().groups.remove(&leader.as_raw_nonzero().get());
}

/// A directory that is removed with all that is in it when the value is dropped, or a signal ends
/// the program.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

const PREFIX: &str = "samepage-rig-";
/// A younger directory may not be locked yet.
const SWEPT_AFTER: Duration = Duration::from_mins(1);

impl Scratch {
    /// A new directory in the system's temporary directory: its path is short, as those of Unix
    /// sockets must be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> Result<Self> {
        Self::new_in(&std::env::temp_dir())
    }

    /// A new directory on tmpfs, where version tables have to be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn in_memory() -> Result<Self> {
        Self::new_in(Path::new("/dev/shm"))
    }

    /// A new directory in `parent`, which is made if need be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new_in(parent: &Path) -> Result<Self> {
        watch_signals();
        let problem = || format!("cannot make a scratch directory in {}", parent.display());
        fs::create_dir_all(parent).with_context(problem)?;
        sweep(parent);
        let mut registry = registry();
        let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent);
        let made = made.with_context(problem)?;
        let lock = File::open(made.path()).with_context(problem)?;
        lock.lock().with_context(problem)?;
        let path = made.keep();
        registry.directories.insert(path.clone());
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
        registry().directories.remove(&self.path);
    }
}

/// Remove what runs that were killed outright left in `parent`.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
        if ours && age > SWEPT_AFTER && is_unused(&entry.path()) {
            remove(&entry.path());
        }
    }
}

/// Remove a directory and everything in it, as far as that goes.
fn remove(directory: &Path) {
    if fs::remove_dir_all(directory).is_err() {
        let _ = unseal(directory);
        let _ = fs::remove_dir_all(directory);
    }
}

/// Make immutable files below `directory` ordinary ones.
fn unseal(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            unseal(&entry.path())?;
        } else if kind.is_file() {
            let file = File::open(entry.path())?;
            if ioctl_getflags(&file).is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE)) {
                ioctl_setflags(&file, ioctl_getflags(&file)? - IFlags::IMMUTABLE)?;
            }
        }
    }
    Ok(())
}

fn is_unused(directory: &Path) -> bool {
    File::open(directory).is_ok_and(|file| file.try_lock().is_ok())
}

fn watch_signals() {
    HANDLER.call_once(|| {
        if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) {
            thread::spawn(move || {
                if let Some(signal) = signals.forever().next() {
                    clear_and_exit(signal);
                }
            });
        }
    });
}

fn clear_and_exit(signal: i32) -> ! {
    // The lock is kept, so nobody starts anything any more.
    let registry = registry();
    for &group in &registry.groups {
        if let Some(leader) = Pid::from_raw(group) {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
    for directory in &registry.directories {
        remove(directory);
    }
    exit(128 + signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_is_in_use_until_it_is_dropped() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::new_in(parent.path()).unwrap();
        let path = scratch.path().to_path_buf();
        assert!(path.is_dir() && !is_unused(&path));
        drop(scratch);
        assert!(!path.exists());
        let left = parent.path().join("left");
        fs::create_dir(&left).unwrap();
        assert!(is_unused(&left));
    }

    #[test]
    fn what_a_killed_run_left_goes_with_the_next_even_if_it_is_immutable() {
        let parent = tempfile::tempdir_in("/dev/shm").unwrap();
        let left = parent.path().join(format!("{PREFIX}left"));
        fs::create_dir_all(left.join("run")).unwrap();
        fs::write(left.join("run/table"), "words").unwrap();
        let table = File::open(left.join("run/table")).unwrap();
        if let Err(error) = ioctl_setflags(&table, IFlags::IMMUTABLE) {
            println!("no file can be made immutable here: {error}");
        }
        let long_ago = std::time::SystemTime::now() - 2 * SWEPT_AFTER;
        File::open(&left).unwrap().set_modified(long_ago).unwrap();
        let scratch = Scratch::new_in(parent.path()).unwrap();
        assert!(!left.exists());
        assert!(scratch.path().exists());
    }
}
