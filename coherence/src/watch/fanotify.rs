//! fanotify: whole file systems, every hard link, and whose change it was. Needs `CAP_SYS_ADMIN` in the initial user
//! namespace and Linux 5.17.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;

use super::file_system;
use super::records::{Event, Malformed, Subject, events};
use super::{Batch, ChangeSource, FileId, Grain, Part, Refusal};
use crate::hash::Identity;
use crate::sys;

/// What is asked for. Not `FAN_DELETE_SELF`: an inode whose last name goes has been told of by then, and one that is gone
/// for good has no attributes left. Not `FAN_MOVED_FROM` and `FAN_MOVED_TO`: `FAN_RENAME` is both in one event.
const MASK: u64 = libc::FAN_CREATE
    | libc::FAN_DELETE
    | libc::FAN_RENAME
    | libc::FAN_ATTRIB
    | libc::FAN_MODIFY
    | libc::FAN_CLOSE_WRITE
    | libc::FAN_ONDIR;

/// Bytes read at a time: some hundreds of events.
const BUFFER: usize = 64 << 10;

/// Who does what needs the privilege.
pub trait Privilege: std::fmt::Debug + Send + Sync {
    /// As [`new_group`].
    ///
    /// # Errors
    /// As there.
    fn group(&self) -> io::Result<OwnedFd>;

    /// As [`mark`].
    ///
    /// # Errors
    /// As there.
    fn mark(&self, group: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<()>;
}

/// This process has the privilege, or nobody does.
#[derive(Clone, Copy, Debug)]
pub struct OwnPrivilege;

impl Privilege for OwnPrivilege {
    fn group(&self) -> io::Result<OwnedFd> {
        new_group()
    }

    fn mark(&self, group: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<()> {
        mark(group, file)
    }
}

/// Makes a fanotify group.
///
/// # Errors
/// Those of `fanotify_init(2)`: `EPERM` without the privilege.
pub fn new_group() -> io::Result<OwnedFd> {
    sys::fanotify_init()
}

/// Tells a group of every change on the whole file system that `file` lies on. The mark is not on this mount of it, and
/// lives as long as the group does.
///
/// # Errors
/// Those of `fanotify_mark(2)`: `EPERM` without the privilege.
pub fn mark(group: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<()> {
    sys::mark_file_system(group, file, MASK)
}

/// A fanotify group.
#[derive(Debug)]
pub struct Fanotify {
    group: OwnedFd,
    privilege: Arc<dyn Privilege>,
    /// Whose events are told elsewhere: this process's changes are announced.
    own_pid: i32,
    /// Files that this process changes without announcing it: its log.
    unannounced: HashSet<FileId>,
    buffer: Mutex<Vec<u8>>,
}

impl Fanotify {
    /// Makes a group. This process announces all its changes, but for those to its standard output and error.
    ///
    /// # Errors
    /// Those of `fanotify_init(2)`: `EPERM` without the privilege.
    pub fn new() -> io::Result<Self> {
        Self::with(Arc::new(OwnPrivilege))
    }

    /// As [`Self::new`], for a process without the privilege.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with(privilege: Arc<dyn Privilege>) -> io::Result<Self> {
        let log = [rustix::stdio::stdout(), rustix::stdio::stderr()];
        Ok(Self {
            group: privilege.group()?,
            privilege,
            own_pid: std::process::id() as i32,
            unannounced: log.into_iter().filter_map(|fd| FileId::of(fd).ok()).collect(),
            buffer: Mutex::new(vec![0; BUFFER]),
        })
    }

    /// As [`Self::new`], but nobody announces this process's changes: they count like anybody's.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn of_a_bystander() -> io::Result<Self> {
        Ok(Self { own_pid: 0, ..Self::new()? })
    }

    fn tell(&self, event: Event<'_>, batch: &mut Batch<'_>) -> Result<(), Malformed> {
        if event.mask & libc::FAN_Q_OVERFLOW != 0 {
            batch.count(false);
            batch.lost("more changes than the event queue holds");
            return Ok(());
        }
        let subject = event.subject()?;
        let of_the_log = subject
            .inode
            .is_some_and(|inode| self.unannounced.iter().any(|log| log.identity() == inode));
        let own = event.pid == self.own_pid && !of_the_log;
        batch.count(own);
        if own {
            Self::tell_own(event, &subject, batch)
        } else {
            Self::tell_others(event, &subject, batch)
        }
    }

    /// Announced, all but for inodes that were looked up by name: somebody else may have given the name to another one
    /// before the system call. Those are removed or moved, or are replaced (whose event tells no name).
    fn tell_own(
        event: Event<'_>,
        subject: &Subject<'_>,
        batch: &mut Batch<'_>,
    ) -> Result<(), Malformed> {
        let looked_up = event.has(libc::FAN_DELETE | libc::FAN_RENAME);
        if looked_up || (event.has(libc::FAN_ATTRIB) && subject.name.is_none()) {
            let inode = batch.key(&inode_of(event, subject)?);
            batch.inode(inode, Part::Links);
        }
        Ok(())
    }

    fn tell_others(
        event: Event<'_>,
        subject: &Subject<'_>,
        batch: &mut Batch<'_>,
    ) -> Result<(), Malformed> {
        let inode = batch.key(&inode_of(event, subject)?);
        let names = [
            (libc::FAN_CREATE | libc::FAN_DELETE, subject.name),
            (libc::FAN_RENAME, subject.old_name),
            (libc::FAN_RENAME, subject.new_name),
        ];
        for (_, name) in names.into_iter().filter(|(bits, _)| event.has(*bits)) {
            let (dir, name) = name.ok_or(Malformed)?;
            let dir = batch.key(&dir);
            batch.name(dir, name);
            batch.inode(inode, Part::Links);
        }
        if event.has(libc::FAN_ATTRIB) {
            batch.inode(inode, Part::Attributes);
        }
        if event.has(libc::FAN_MODIFY | libc::FAN_CLOSE_WRITE) {
            batch.inode(inode, Part::Contents);
        }
        Ok(())
    }
}

/// The inode that an event is about: told as such, or a directory that tells of itself.
fn inode_of<'a>(event: Event<'_>, subject: &Subject<'a>) -> Result<Identity<'a>, Malformed> {
    let of_names = libc::FAN_CREATE | libc::FAN_DELETE | libc::FAN_RENAME;
    match (subject.inode, subject.name) {
        (Some(inode), _) => Ok(inode),
        (None, Some((dir, b"."))) if !event.has(of_names) => Ok(dir),
        _ => Err(Malformed),
    }
}

impl ChangeSource for Fanotify {
    fn name(&self) -> &'static str {
        "fanotify"
    }

    fn grain(&self) -> Grain {
        Grain::FileSystem
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }

    fn read(&self, batch: &mut Batch<'_>) -> io::Result<bool> {
        let mut buffer = self.buffer.lock();
        let len = match rustix::io::read(&self.group, &mut *buffer) {
            Ok(len) => len,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(false),
            Err(e) => return Err(e.into()),
        };
        for event in events(&buffer[..len]) {
            if event.and_then(|event| self.tell(event, batch)).is_err() {
                batch.lost("an event that does not say what was changed");
            }
        }
        Ok(len > 0)
    }

    fn watch_file_system(&self, file: BorrowedFd<'_>) -> Result<(), Refusal> {
        file_system::check(file)?;
        self.privilege.mark(self.group.as_fd(), file).map_err(|e| match e.raw_os_error() {
            Some(libc::ENOSPC) => Refusal::Limit { remedy: "fs.fanotify.max_user_marks=..." },
            _ => Refusal::Io(e),
        })
    }
}
