//! The mounts that the shared directory reaches into, and file handles on each.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};

use fuse::errno;
use parking_lot::RwLock;
use rustix::fs::{Mode, OFlags};

use super::config::InodeFileHandles;
use super::identity::{FileHandle, Identity, Name};
use super::stat::{FileType, Stat};
use super::thread;
use crate::sys;

/// File systems whose handles are only good while the inode stays in the host's cache (`include/uapi/linux/magic.h`).
const VOLATILE_HANDLES: [u64; 2] = [FUSE_SUPER_MAGIC, MSDOS_SUPER_MAGIC];
const FUSE_SUPER_MAGIC: u64 = 0x6573_5546;
const MSDOS_SUPER_MAGIC: u64 = 0x4d44;

/// A mount that the guest knows inodes of. They keep it alive, and it keeps its id from being used again.
#[derive(Debug)]
pub(super) struct Mount {
    id: u64,
    /// Some file on it, open as `open_by_handle_at(2)` wants it; none: inodes here are kept by descriptor.
    handles: Option<OwnedFd>,
}

impl Mount {
    /// The handle of `name` in `dir` on this mount, or of `dir` itself; none where inodes are kept by descriptor.
    ///
    /// # Errors
    /// What `name_to_handle_at(2)` answers.
    pub(super) fn handle(
        &self,
        dir: BorrowedFd<'_>,
        name: &CStr,
    ) -> io::Result<Option<FileHandle>> {
        if self.handles.is_some() { FileHandle::of(dir, name) } else { Ok(None) }
    }

    /// What the host calls the inode behind `fd`, which lies on this mount.
    ///
    /// # Errors
    /// What `name_to_handle_at(2)` answers.
    pub(super) fn identify(&self, fd: BorrowedFd<'_>, stat: &Stat) -> io::Result<Identity> {
        let name = match self.handle(fd, c"")? {
            Some(handle) => Name::Handle(handle),
            None => Name::Number { device: stat.device(), ino: stat.ino() },
        };
        Ok(Identity { mount: self.id, name })
    }

    /// What the host calls `name` in `dir`, or `dir` itself where the name is empty, where a file handle alone says that,
    /// and that it lies on this mount. It takes no descriptor.
    ///
    /// # Errors
    /// What `name_to_handle_at(2)` answers, so `ENOENT` where the name means nothing.
    pub(super) fn identify_by_handle(
        &self,
        dir: BorrowedFd<'_>,
        name: &CStr,
    ) -> io::Result<Option<Identity>> {
        if self.handles.is_none() {
            return Ok(None);
        }
        Ok(match FileHandle::with_mount(dir, name)? {
            Some((handle, mount)) if mount == self.id => {
                Some(Identity { mount, name: Name::Handle(handle) })
            }
            _ => None,
        })
    }

    /// Opens an inode of this mount.
    ///
    /// # Errors
    /// `ESTALE` where it is gone; else what opening it answers.
    pub(super) fn open(&self, handle: &FileHandle, flags: OFlags) -> io::Result<OwnedFd> {
        let mount = self.handles.as_ref().ok_or_else(|| errno::error(errno::ESTALE))?;
        sys::open_by_handle_at(mount.as_fd(), &handle.raw()?, flags.bits() as libc::c_int)
    }

    /// Opens an inode of this mount by `O_PATH`.
    ///
    /// # Errors
    /// As [`Self::open`]; `ESTALE` for what is kept by descriptor.
    pub(super) fn open_path(&self, identity: &Identity) -> io::Result<OwnedFd> {
        match &identity.name {
            Name::Handle(handle) => {
                self.open(handle, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)
            }
            Name::Number { .. } | Name::Lost(_) => Err(errno::error(errno::ESTALE)),
        }
    }

    /// `syncfs(2)`, where the mount can be named without a file on it.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.handles.as_ref().map_or(Ok(()), |fd| Ok(rustix::fs::syncfs(fd)?))
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    #[cfg(test)]
    pub(super) fn has_handles(&self) -> bool {
        self.handles.is_some()
    }
}

/// All mounts that are in use.
#[derive(Debug)]
pub(super) struct Mounts {
    mode: InodeFileHandles,
    known: RwLock<HashMap<u64, Weak<Mount>>>,
}

impl Mounts {
    pub(super) fn new(mode: InodeFileHandles) -> Self {
        Self { mode, known: RwLock::default() }
    }

    /// The mount with this id, if the guest knows anything on it.
    pub(super) fn known(&self, id: u64) -> Option<Arc<Mount>> {
        self.known.read().get(&id).and_then(Weak::upgrade)
    }

    /// The mount that `fd` lies on.
    ///
    /// # Errors
    /// Where file handles are mandatory but do not work there.
    pub(super) fn of(&self, fd: BorrowedFd<'_>, stat: &Stat) -> io::Result<Arc<Mount>> {
        let id = mount_id(stat)?;
        if let Some(mount) = self.known(id) {
            return Ok(mount);
        }
        let fresh = Arc::new(Mount { id, handles: self.handles(fd, stat)? });
        let mut known = self.known.write();
        if let Some(mount) = known.get(&id).and_then(Weak::upgrade) {
            return Ok(mount);
        }
        known.retain(|_, mount| mount.strong_count() > 0);
        known.insert(id, Arc::downgrade(&fresh));
        Ok(fresh)
    }

    /// Every mount that is in use.
    pub(super) fn all(&self) -> Vec<Arc<Mount>> {
        self.known.read().values().filter_map(Weak::upgrade).collect()
    }

    fn handles(&self, fd: BorrowedFd<'_>, stat: &Stat) -> io::Result<Option<OwnedFd>> {
        if self.mode == InodeFileHandles::Never {
            return Ok(None);
        }
        match probe(fd, stat, self.mode) {
            Ok(mount) => Ok(Some(mount)),
            Err(error) if self.mode == InodeFileHandles::Mandatory => Err(error),
            Err(error) => {
                let hint = match error.raw_os_error() {
                    Some(errno::EPERM) => "; give the daemon CAP_DAC_READ_SEARCH",
                    _ => "",
                };
                tracing::warn!(
                    "mount {}: no file handles ({error}): inodes cost a descriptor each{hint}",
                    stat.mount().unwrap_or_default()
                );
                Ok(None)
            }
        }
    }
}

/// `stx_mnt_id`.
///
/// # Errors
/// `ENOSYS` on a kernel that does not tell.
pub(super) fn mount_id(stat: &Stat) -> io::Result<u64> {
    stat.mount().ok_or_else(|| errno::error(errno::ENOSYS))
}

/// Tries handles on the mount that `fd` lies on: makes one and opens it.
fn probe(fd: BorrowedFd<'_>, stat: &Stat, mode: InodeFileHandles) -> io::Result<OwnedFd> {
    let unsupported = || errno::error(errno::EOPNOTSUPP);
    let kind = rustix::fs::fstatfs(fd)?.f_type as u64;
    if mode == InodeFileHandles::Prefer && VOLATILE_HANDLES.contains(&kind) {
        return Err(unsupported());
    }
    let handle = FileHandle::of(fd, c"")?.ok_or_else(unsupported)?;
    if stat.file_type() == FileType::Other {
        // A mount on a single special file, which must not be opened.
        return Err(unsupported());
    }
    let mount = reopen(fd, OFlags::RDONLY)?;
    sys::open_by_handle_at(mount.as_fd(), &handle.raw()?, libc::O_PATH | libc::O_CLOEXEC)?;
    Ok(mount)
}

/// Opens the file behind `fd`, which may be an `O_PATH` descriptor, once more. Never for special files: opening one
/// can block or act on a device.
///
/// # Errors
/// What `open(2)` answers.
pub(crate) fn reopen(fd: impl AsFd, flags: OFlags) -> io::Result<OwnedFd> {
    let link = rustix::path::DecInt::from_fd(fd);
    let flags = flags | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(thread::proc_self_fd()?, link.as_c_str(), flags, Mode::empty())?)
}
