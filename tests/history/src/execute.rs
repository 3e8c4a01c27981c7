//! Doing operations for real, in a directory.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    Access, AtFlags, Dir, Gid, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, Uid,
    XattrFlags,
};
use rustix::io::{Errno, Result};
use rustix::{fs, io, thread};

use crate::op::{Call, DIRECTORIES, Kind, NAMES, Operation, Outcome, USER, WORD, name};

pub(crate) const XATTR: &str = "user.version";

/// The directories, opened once: paths begin there, so that nobody walks further than the model.
#[derive(Debug)]
pub struct Place {
    directories: Vec<OwnedFd>,
    tell_numbers: bool,
}

/// Make the directories, on the host.
///
/// # Errors
/// They cannot be made.
pub fn prepare(root: &Path) -> std::io::Result<()> {
    (0..DIRECTORIES).try_for_each(|number| std::fs::create_dir(root.join(number.to_string())))
}

impl Place {
    /// The prepared directories below `root`. Modes are what they say: the umask becomes 0. With
    /// `tell_numbers` every outcome about a file says its inode's number.
    ///
    /// # Errors
    /// They cannot be opened.
    pub fn open(root: &Path, tell_numbers: bool) -> Result<Self> {
        rustix::process::umask(Mode::empty());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |number: u8| fs::open(root.join(number.to_string()), flags, Mode::empty());
        let directories = (0..DIRECTORIES).map(open).collect::<Result<_>>()?;
        Ok(Self { directories, tell_numbers })
    }

    /// Do it.
    #[must_use]
    pub fn execute(&self, operation: &Operation) -> Outcome {
        self.call(operation).unwrap_or_else(Outcome::error)
    }

    fn call(&self, operation: &Operation) -> Result<Outcome> {
        let Operation { call, path, to, value } = *operation;
        let directory = &self.directories[usize::from(path.directory)];
        let to_directory = &self.directories[usize::from(to.directory)];
        let (path, to) = (path.below(), to.below());
        let path = path.as_str();
        let rename = |flags| fs::renameat_with(directory, path, to_directory, &to, flags);
        #[expect(clippy::cast_possible_truncation, reason = "the generator makes small ones")]
        let small = value as u32;
        match call {
            Call::Create | Call::CreateOrTruncate => return create(directory, path, call),
            Call::Mkdir => fs::mkdirat(directory, path, Mode::from(0o755))?,
            Call::Symlink => fs::symlinkat(value.to_string(), directory, path)?,
            Call::Unlink => fs::unlinkat(directory, path, AtFlags::empty())?,
            Call::Rmdir => fs::unlinkat(directory, path, AtFlags::REMOVEDIR)?,
            Call::Rename => rename(RenameFlags::empty())?,
            Call::RenameNoReplace => rename(RenameFlags::NOREPLACE)?,
            Call::Exchange => rename(RenameFlags::EXCHANGE)?,
            Call::Link => fs::linkat(directory, path, to_directory, &to, AtFlags::empty())?,
            Call::Chmod => fs::chmodat(directory, path, Mode::from(small), AtFlags::empty())?,
            Call::Chown => {
                let (user, group) = (Uid::from_raw(small), Gid::from_raw(small));
                fs::chownat(directory, path, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Call::SetTime => set_time(directory, path, value)?,
            Call::Stat => return Ok(attributes(&no_follow(directory, path)?)),
            Call::ReadLink => return read_link(directory, path),
            Call::Access => as_user(|| access(directory, path, value))?,
            Call::List => return list(directory),
            Call::Truncate | Call::Write | Call::SetXattr | Call::Read | Call::GetXattr => {
                return self.with_file(directory, path, call, value);
            }
        }
        Ok(Outcome::default())
    }

    fn with_file(
        &self,
        directory: &OwnedFd,
        path: &str,
        call: Call,
        value: u64,
    ) -> Result<Outcome> {
        let writes = matches!(call, Call::Truncate | Call::Write | Call::SetXattr);
        let access = if writes { OFlags::WRONLY } else { OFlags::RDONLY };
        let file = open(directory, path, access)?;
        match call {
            Call::Truncate => fs::ftruncate(&file, value)?,
            Call::Write => {
                let written = io::pwrite(&file, &value.to_le_bytes(), 0)?;
                assert_eq!(written as u64, WORD, "a word is not written in parts");
            }
            Call::SetXattr => {
                fs::fsetxattr(&file, XATTR, &value.to_le_bytes(), XattrFlags::empty())?;
            }
            Call::Read => {
                let (size, word) = word(|buffer| io::pread(&file, buffer, 0))?;
                return Ok(Outcome { size, word, ..Outcome::default() });
            }
            _ => {
                let (_, word) = word(|buffer| fs::fgetxattr(&file, XATTR, buffer))?;
                return Ok(Outcome { word, ..Outcome::default() });
            }
        }
        let ino = if self.tell_numbers { fs::fstat(&file)?.st_ino } else { 0 };
        Ok(Outcome { ino, ..Outcome::default() })
    }
}

fn open(directory: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    fs::openat(directory, path, flags, Mode::from(0o644))
}

/// Up to a word of bytes: how many, and the word. Beyond what it has read, a system call may leave
/// anything in the buffer.
fn word(read: impl FnOnce(&mut [u8]) -> Result<usize>) -> Result<(u64, u64)> {
    let mut bytes = [0; WORD as usize];
    let size = read(&mut bytes)?;
    bytes[size..].fill(0);
    Ok((size as u64, u64::from_le_bytes(bytes)))
}

/// The number is asked of the open file: it is that of the inode that was made, or opened.
fn create(directory: &OwnedFd, path: &str, call: Call) -> Result<Outcome> {
    let how = if call == Call::Create { OFlags::EXCL } else { OFlags::TRUNC };
    let file = open(directory, path, OFlags::WRONLY | OFlags::CREATE | how)?;
    Ok(Outcome { ino: fs::fstat(&file)?.st_ino, ..Outcome::default() })
}

fn set_time(directory: &OwnedFd, path: &str, value: u64) -> Result<()> {
    let time = Timespec { tv_sec: value.cast_signed(), tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    fs::utimensat(directory, path, &times, AtFlags::SYMLINK_NOFOLLOW)
}

fn no_follow(directory: &OwnedFd, path: &str) -> Result<Stat> {
    fs::statat(directory, path, AtFlags::SYMLINK_NOFOLLOW)
}

fn attributes(stat: &Stat) -> Outcome {
    let kind = match stat.st_mode & 0o170_000 {
        0o040_000 => Kind::Directory,
        0o120_000 => Kind::Link,
        _ => Kind::File,
    };
    let (mode, uid) = (stat.st_mode & 0o7777, stat.st_uid);
    match kind {
        Kind::Link => Outcome { kind, ..Outcome::default() },
        Kind::Directory => Outcome { kind, mode, uid, ..Outcome::default() },
        Kind::File => Outcome {
            kind,
            ino: stat.st_ino,
            mode,
            uid,
            links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
            size: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
            time: u64::try_from(stat.st_mtime).unwrap_or(u64::MAX),
            ..Outcome::default()
        },
    }
}

fn read_link(directory: &OwnedFd, path: &str) -> Result<Outcome> {
    let target = fs::readlinkat(directory, path, Vec::new())?;
    let word = target.to_str().ok().and_then(|text| text.parse().ok()).ok_or(Errno::ILSEQ)?;
    Ok(Outcome { word, ..Outcome::default() })
}

fn access(directory: &OwnedFd, path: &str, rights: u64) -> Result<()> {
    let read = if rights & 4 == 0 { Access::empty() } else { Access::READ_OK };
    let write = if rights & 2 == 0 { Access::empty() } else { Access::WRITE_OK };
    let flags = AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW;
    fs::accessat(directory, path, read | write, flags)
}

/// Be the user [`USER`] for a moment, in this thread only.
fn as_user<T>(act: impl FnOnce() -> Result<T>) -> Result<T> {
    thread::set_thread_groups(&[])?;
    thread::set_thread_res_gid(None, Gid::from_raw(USER), None)?;
    thread::set_thread_res_uid(None, Uid::from_raw(USER), None)?;
    let result = act();
    thread::set_thread_res_uid(None, Uid::ROOT, None)?;
    thread::set_thread_res_gid(None, Gid::ROOT, None)?;
    result
}

fn list(directory: &OwnedFd) -> Result<Outcome> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut names = 0;
    for entry in Dir::new(fs::openat(directory, ".", flags, Mode::empty())?)? {
        let text = entry?.file_name().to_owned();
        if let Some(number) = (0..NAMES).find(|number| name(*number).as_bytes() == text.as_bytes())
        {
            names |= 1 << number;
        }
    }
    Ok(Outcome { names, ..Outcome::default() })
}
