//! `SOCKET.pid`: who serves the socket, and a lock that keeps a second daemon away. virtiofsd has the same file.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use super::SocketError;

/// A locked pid file; removed when dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    /// The lock lives as long as this. None: it is another process's.
    file: Option<File>,
}

impl PidFile {
    /// Locks the pid file beside `socket` and writes our process id into it.
    ///
    /// # Errors
    /// [`SocketError::InUse`] where a live daemon holds it.
    pub fn lock(socket: &Path) -> Result<Self, SocketError> {
        if socket.file_name().is_none() {
            return Err(SocketError::BadPath);
        }
        let mut name = OsString::from(socket);
        name.push(".pid");
        let path = std::path::absolute(name).map_err(|_| SocketError::BadPath)?;
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(SocketError::InUse(holder(&mut file))),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            // A daemon that was just ending may have removed the file between open and lock: then ours is none.
            if is_still(&path, &file)? {
                return Self::fill(path, file);
            }
        }
    }

    fn fill(path: PathBuf, mut file: File) -> Result<Self, SocketError> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", process::id())?;
        Ok(Self { path, file: Some(file) })
    }
}

impl PidFile {
    /// For a process that got this by `fork(2)`: leaves file and lock to its parent.
    pub fn leave(mut self) {
        self.file = None;
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.file.is_none() {
            return;
        }
        // We hold the lock, so the path is ours. Should it stay, it is unlocked and the next daemon takes it.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_still(path: &Path, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(theirs) => Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn holder(file: &mut File) -> String {
    let mut pid = String::new();
    let read = file.take(32).read_to_string(&mut pid);
    match (read, pid.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("the daemon with process id {pid}"),
        _ => "another daemon".to_owned(),
    }
}
