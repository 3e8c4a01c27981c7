//! What inodes are called below the shared directory.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use fuse::{NodeId, errno};
use rustix::fs::{Dir, OFlags};
use rustix::path::DecInt;

use super::super::inode::PathFd;
use super::super::stat::{FileType, Stat, stat};
use super::super::{Passthrough, mounts, open_beneath, thread};

/// Most bytes of a path (`PATH_MAX`, with its NUL).
const MAX_PATH: usize = 4096;

/// Which inode it is, for as long as somebody has it open: its mount, device and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId(u64, u64, u64);

impl FileId {
    /// # Errors
    /// `ENOSYS` on a kernel that does not tell mounts.
    pub(super) fn of(stat: &Stat) -> io::Result<Self> {
        Ok(Self(mounts::mount_id(stat)?, stat.device(), stat.ino()))
    }
}

/// The shared directory, as paths begin there.
pub(super) struct Paths {
    root: PathFd,
    /// What the kernel calls it, with a slash at the end.
    prefix: Vec<u8>,
}

impl Paths {
    pub(super) fn new(share: &Passthrough) -> io::Result<Self> {
        let root = share.path_fd(NodeId::ROOT)?;
        let mut prefix = called(root.as_fd())?;
        if prefix.last() != Some(&b'/') {
            prefix.push(b'/');
        }
        Ok(Self { root, prefix })
    }

    /// What the kernel remembers that `fd` is called, if that leads there. It remembers one name of a file with several, and
    /// that one may be gone.
    pub(super) fn of(&self, fd: BorrowedFd<'_>, id: FileId) -> Option<Vec<u8>> {
        let called = called(fd).ok()?;
        let path = called.strip_prefix(&self.prefix[..])?;
        let there = self.open(path, OFlags::PATH).ok()?;
        let found = stat(&there).and_then(|stat| FileId::of(&stat)).ok()?;
        (found == id && path.len() < MAX_PATH).then(|| path.to_vec())
    }

    /// Opens what has this path. Nothing above the shared directory is reached, and no link followed, whatever it says.
    pub(super) fn open(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let path = CString::new(path).map_err(|_| errno::error(errno::EINVAL))?;
        open_beneath(&self.root, &path, flags, 0)
    }

    /// Looks for all of `wanted`, whose names the kernel does not remember, in the whole shared directory, and tells the
    /// path of each that is found.
    pub(super) fn search(
        &self,
        wanted: &mut HashMap<FileId, usize>,
        mut found: impl FnMut(usize, Vec<u8>),
    ) {
        let mut directories = vec![Vec::new()];
        while let Some(directory) = directories.pop() {
            if wanted.is_empty() {
                return;
            }
            // What cannot be read hides what is in it.
            let _ = self.look_into(&directory, |path, stat| {
                if let Some(index) = FileId::of(stat).ok().and_then(|id| wanted.remove(&id)) {
                    found(index, path.clone());
                }
                if stat.file_type() == FileType::Directory {
                    directories.push(path);
                }
            });
        }
    }

    fn look_into(&self, path: &[u8], mut see: impl FnMut(Vec<u8>, &Stat)) -> io::Result<()> {
        let directory = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let mut below = path.to_vec();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend(name.to_bytes());
            if below.len() < MAX_PATH
                && let Ok(fd) = open_beneath(&directory, name, OFlags::PATH, 0)
            {
                see(below, &stat(fd)?);
            }
        }
        Ok(())
    }
}

/// What the kernel calls an open file.
fn called(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let link = rustix::fs::readlinkat(thread::proc_self_fd()?, DecInt::from_fd(fd), Vec::new())?;
    Ok(link.into_bytes())
}
