//! Opening and placing files that must not be somebody else's trap.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use shm_layout::{HEADER_LEN, Header, WORD_LEN};

use super::error::{FileError, TableError};
use super::place::directory_of;
use super::seal;

/// Opens a file of this user's for reading and writing: an ordinary one, with at most the permissions in `allowed`.
pub(crate) fn open_checked(path: &Path, create: bool, allowed: u32) -> Result<File, FileError> {
    let mut flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    if create {
        flags |= OFlags::CREATE;
    }
    let file = open(path, flags)?;
    let metadata = file.metadata().map_err(FileError::Open)?;
    if !metadata.is_file() {
        return Err(FileError::Kind);
    }
    let expected = rustix::process::geteuid().as_raw();
    if metadata.uid() != expected {
        return Err(FileError::Owner { owner: metadata.uid(), expected });
    }
    match metadata.mode() & 0o7777 {
        mode if mode & !allowed != 0 => Err(FileError::Mode { mode, allowed }),
        _ => Ok(file),
    }
}

fn open(path: &Path, flags: OFlags) -> Result<File, FileError> {
    match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(fd) => Ok(File::from(fd)),
        Err(rustix::io::Errno::LOOP) => Err(FileError::Kind),
        Err(e) => Err(FileError::Open(e.into())),
    }
}

/// For a guest or a tool: not its owner, perhaps. A FIFO must not block it.
pub(crate) fn open_to_read(path: &Path) -> Result<File, FileError> {
    open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK)
}

/// Opens a table, whoever owns it, and checks its size and header.
pub(crate) fn open_for_reading(path: &Path) -> Result<(File, Header), TableError> {
    open_table(path, false)
}

/// Opens a table and checks its size and header, without mapping it; one of this user's `own` for writing, too.
pub(super) fn open_table(path: &Path, own: bool) -> Result<(File, Header), TableError> {
    let opened = if own {
        seal::open(|| open_to_read(path), || open_checked(path, false, 0o640))
    } else {
        open_to_read(path)
    };
    let path = || path.to_owned();
    let file = opened.map_err(|source| match source {
        FileError::Open(e) if e.kind() == io::ErrorKind::NotFound => {
            TableError::Missing { path: path() }
        }
        source => TableError::File { path: path(), source },
    })?;
    let unreadable = |e| TableError::File { path: path(), source: FileError::Open(e) };
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(TableError::File { path: path(), source: FileError::Kind });
    }
    let len = metadata.len();
    if len % WORD_LEN as u64 != 0 || !shm_layout::valid_words(len / WORD_LEN as u64) {
        return Err(TableError::Length { path: path(), len });
    }
    let mut bytes = [0; HEADER_LEN];
    file.read_exact_at(&mut bytes, 0).map_err(unreadable)?;
    let header = Header::decode(|i| word_at(&bytes, i))
        .map_err(|source| TableError::Header { path: path(), source })?;
    match header.table_bytes() {
        stated if stated != len => Err(TableError::CutShort { path: path(), len, stated }),
        _ => Ok((file, header)),
    }
}

/// Word `i` of `bytes`; zero when it is not there.
pub(crate) fn word_at(bytes: &[u8], i: usize) -> u64 {
    let (words, _) = bytes.as_chunks::<WORD_LEN>();
    words.get(i).map_or(0, |word| u64::from_le_bytes(*word))
}

/// How a new file shall be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewFile {
    pub(crate) mode: u32,
    pub(crate) group: Option<u32>,
    pub(crate) len: u64,
}

/// Makes a sparse file and gives it its name only when it is complete. Nothing may have that name.
pub(crate) fn place_new(
    path: &Path,
    new: NewFile,
    fill: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(directory_of(path), flags, Mode::RUSR | Mode::WUSR)?);
    file.set_len(new.len)?;
    fill(&file)?;
    if let Some(group) = new.group {
        std::os::unix::fs::fchown(&file, None, Some(group))?;
    }
    // Not left to the umask.
    file.set_permissions(std::fs::Permissions::from_mode(new.mode))?;
    let name = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    rustix::fs::linkat(
        rustix::fs::CWD,
        name,
        rustix::fs::CWD,
        path,
        rustix::fs::AtFlags::SYMLINK_FOLLOW,
    )?;
    Ok(())
}
