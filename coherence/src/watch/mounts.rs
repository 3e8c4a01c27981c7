//! The mount table: what is mounted below the share decides what names mean, and raises no file event.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The mounts at and below some directories. Its descriptor has exceptional data (`POLLPRI`) after each change.
#[derive(Debug)]
pub struct MountTable {
    file: File,
    directories: Vec<PathBuf>,
    below: Vec<Vec<u8>>,
    seen: Vec<Vec<u8>>,
}

impl MountTable {
    /// This process's mounts at and below `directories`.
    ///
    /// # Errors
    /// No `/proc`, or no such directory.
    pub fn open(directories: &[PathBuf]) -> io::Result<Self> {
        Self::read_from(File::open("/proc/self/mountinfo")?, directories)
    }

    /// As [`Self::open`], with `/proc/self/mountinfo` opened already: after the process got the root that it has, for the
    /// file's paths begin there.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn read_from(file: File, directories: &[PathBuf]) -> io::Result<Self> {
        let path = |p: &PathBuf| Ok(escaped(p.canonicalize()?.as_os_str().as_bytes()));
        let below = directories.iter().map(path).collect::<io::Result<_>>()?;
        let directories = directories.to_vec();
        let mut table = Self { file, directories, below, seen: Vec::new() };
        table.changed()?;
        Ok(table)
    }

    pub(super) fn directories(&self) -> Vec<PathBuf> {
        self.directories.clone()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether a mount has come or gone since this was last asked.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn changed(&mut self) -> io::Result<bool> {
        let mut text = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut text)?;
        let lines = text.split(|&b| b == b'\n').filter(|line| self.matters(line));
        let now: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
        let changed = now != self.seen;
        self.seen = now;
        Ok(changed)
    }

    /// Field 5 is the mount point.
    fn matters(&self, line: &[u8]) -> bool {
        let Some(point) = line.split(|&b| b == b' ').nth(4) else { return false };
        self.below.iter().any(|dir| {
            dir == b"/" || point.strip_prefix(&**dir).is_some_and(|r| r.is_empty() || r[0] == b'/')
        })
    }
}

/// As mountinfo writes paths.
fn escaped(path: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    for &byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => written.extend(format!("\\{byte:03o}").bytes()),
            _ => written.push(byte),
        }
    }
    written
}
