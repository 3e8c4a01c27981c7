//! The mount table: what is mounted below the share decides what names mean, and raises no file event.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The mounts at and below some directories. Its descriptor has exceptional data (`POLLPRI`) after each change.
#[derive(Debug)]
pub(super) struct MountTable {
    file: File,
    below: Vec<Vec<u8>>,
    seen: Vec<Vec<u8>>,
}

impl MountTable {
    /// # Errors
    /// No `/proc`, or no such directory.
    pub(super) fn open(directories: &[PathBuf]) -> io::Result<Self> {
        let file = File::open("/proc/self/mountinfo")?;
        let path = |p: &PathBuf| Ok(escaped(p.canonicalize()?.as_os_str().as_bytes()));
        let below = directories.iter().map(path).collect::<io::Result<_>>()?;
        let mut table = Self { file, below, seen: Vec::new() };
        table.changed()?;
        Ok(table)
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
