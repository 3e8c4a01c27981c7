//! inotify: a watch for each inode that stamps are given of. Needs no privilege.
//!
//! A directory's watch tells of names, each inode's own watch of the inode. So an event never has to be traced to an
//! inode by name, which may mean another one by then, and a change through a hard link elsewhere is told as well.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use inotify::{EventMask, WatchDescriptor, WatchMask, Watches};
use parking_lot::{Mutex, RwLock};

use super::file_system;
use super::{Batch, ChangeSource, Grain, Part, Refusal};
use crate::hash::InodeKey;
use crate::sys;

/// Of the inode itself. `MOVE_SELF` because a rename moves the change time.
const OF_AN_INODE: WatchMask = WatchMask::ATTRIB
    .union(WatchMask::MODIFY)
    .union(WatchMask::CLOSE_WRITE)
    .union(WatchMask::MOVE_SELF);

/// Of a directory: its names, and itself. What happens to its members is told as well, and passed over: their own watches
/// tell. `MODIFY` because that is all that is told when only its modification time is set.
const OF_A_DIRECTORY: WatchMask = WatchMask::ATTRIB
    .union(WatchMask::MODIFY)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::CREATE)
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::MOVED_TO);

const BUFFER: usize = 64 << 10;

/// An inotify instance.
#[derive(Debug)]
pub struct Inotify {
    queue: Mutex<Queue>,
    watches: Watches,
    fd: std::os::fd::OwnedFd,
    known: RwLock<Known>,
}

#[derive(Debug)]
struct Queue {
    inotify: inotify::Inotify,
    buffer: Vec<u8>,
}

/// Which watch is which inode's.
#[derive(Debug, Default)]
struct Known {
    by_inode: HashMap<InodeKey, WatchDescriptor>,
    by_watch: HashMap<WatchDescriptor, InodeKey>,
    directories: HashSet<InodeKey>,
}

impl Inotify {
    /// Makes an instance.
    ///
    /// # Errors
    /// `EMFILE` where the user has too many (`fs.inotify.max_user_instances`).
    pub fn new() -> io::Result<Self> {
        let inotify = inotify::Inotify::init()?;
        Ok(Self {
            watches: inotify.watches(),
            fd: inotify.as_fd().try_clone_to_owned()?,
            queue: Mutex::new(Queue { inotify, buffer: vec![0; BUFFER] }),
            known: RwLock::default(),
        })
    }

    fn tell(&self, event: &inotify::Event<&std::ffi::OsStr>, batch: &mut Batch<'_>) {
        batch.count(false);
        let has = |bits: EventMask| event.mask.intersects(bits);
        if has(EventMask::Q_OVERFLOW) {
            self.known.write().forget_ended();
            batch.lost("more changes than the event queue holds");
            return;
        }
        if has(EventMask::IGNORED) {
            self.known.write().drop_watch(&event.wd);
            return;
        }
        if has(EventMask::UNMOUNT) {
            batch.lost("a file system was unmounted");
            return;
        }
        // A watch is entered under this lock, so it is known when its first event has been read.
        let Some(inode) = self.known.read().by_watch.get(&event.wd).copied() else {
            batch.lost("an event of an unknown watch");
            return;
        };
        let of_names =
            EventMask::CREATE | EventMask::DELETE | EventMask::MOVED_FROM | EventMask::MOVED_TO;
        match event.name {
            Some(name) if has(of_names) => {
                batch.name(inode, name.as_bytes());
                if has(EventMask::DELETE) && has(EventMask::ISDIR) {
                    // Its own watch does not tell until nobody has it open any more, and its name does not tell which
                    // one it was.
                    for &directory in &self.known.read().directories {
                        batch.inode(directory, Part::Links);
                    }
                }
            }
            // A member's attributes or contents: its own watch tells of them.
            Some(_) => {}
            None => {
                if has(EventMask::ATTRIB) {
                    batch.inode(inode, Part::Attributes);
                }
                if has(EventMask::MODIFY | EventMask::CLOSE_WRITE) {
                    batch.inode(inode, Part::Contents);
                }
                if has(EventMask::MOVE_SELF) {
                    batch.inode(inode, Part::Links);
                }
            }
        }
    }
}

impl Known {
    /// The ends of some watches may be among what was lost.
    fn forget_ended(&mut self) {
        let Self { by_inode, by_watch, .. } = self;
        by_watch.retain(|watch, inode| by_inode.get(inode) == Some(watch));
    }

    fn drop_watch(&mut self, watch: &WatchDescriptor) {
        // The inode may have a newer watch by now.
        if let Some(inode) = self.by_watch.remove(watch)
            && self.by_inode.get(&inode) == Some(watch)
        {
            self.by_inode.remove(&inode);
            self.directories.remove(&inode);
        }
    }
}

impl ChangeSource for Inotify {
    fn name(&self) -> &'static str {
        "inotify"
    }

    fn grain(&self) -> Grain {
        Grain::Inode
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn read(&self, batch: &mut Batch<'_>) -> io::Result<bool> {
        let mut queue = self.queue.lock();
        let Queue { inotify, buffer } = &mut *queue;
        let mut any = false;
        match inotify.read_events(buffer) {
            Ok(events) => {
                for event in events {
                    self.tell(&event, batch);
                    any = true;
                }
                Ok(any)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn watch_file_system(&self, file: BorrowedFd<'_>) -> Result<(), Refusal> {
        file_system::check(file)
    }

    fn watch_inode(&self, inode: InodeKey, file: BorrowedFd<'_>) -> Result<(), Refusal> {
        let kind = rustix::fs::fstat(file).map_err(io::Error::from)?.st_mode & libc::S_IFMT;
        let is_dir = kind == libc::S_IFDIR;
        let mask = if is_dir { OF_A_DIRECTORY } else { OF_AN_INODE };
        let mut known = self.known.write();
        let watch = self.watches.clone().add(sys::fd_path(file), mask).map_err(|e| {
            match e.raw_os_error() {
                Some(libc::ENOSPC) => Refusal::Limit { remedy: "fs.inotify.max_user_watches=..." },
                _ => Refusal::Io(e),
            }
        })?;
        known.by_watch.insert(watch.clone(), inode);
        known.by_inode.insert(inode, watch);
        if is_dir {
            known.directories.insert(inode);
        }
        Ok(())
    }

    fn watches(&self, inode: InodeKey) -> bool {
        self.known.read().by_inode.contains_key(&inode)
    }

    fn forget_inode(&self, inode: InodeKey) {
        let mut known = self.known.write();
        known.directories.remove(&inode);
        if let Some(watch) = known.by_inode.remove(&inode) {
            // What it says until it is gone is still told: the kernel ends it with IGNORED. It fails where the inode
            // went first.
            let _ = self.watches.clone().remove(watch);
        }
    }

    fn inodes(&self) -> u64 {
        self.known.read().by_inode.len() as u64
    }
}
