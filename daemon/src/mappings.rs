//! What another process has mapped of a file.
//!
//! `/proc/PID/maps` is read with no library: paths in it may be any bytes (a guest names files), which those that there are
//! take for an error.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::BorrowedFd;

use parking_lot::Mutex;

use crate::sys::UntouchedPage;

/// A process's mappings, now and later. They stay readable when the process changes its credentials, and there are none
/// when it has ended, whoever has its pid then.
#[derive(Debug)]
pub struct Mappings(Mutex<File>);

/// What Linux calls a file there, which is not `st_dev` and `st_ino` on file systems such as btrfs and overlayfs.
#[derive(PartialEq, Eq)]
struct Name(Vec<u8>);

/// A line of it.
struct Line {
    /// Where it begins in the process's memory.
    start: u64,
    /// The byte of the file that is behind its last one.
    file_end: u64,
    name: Name,
}

impl Mappings {
    /// Those of the process that has `pid` now.
    ///
    /// # Errors
    /// `EACCES` where it is another user's, or has rights that the caller has not, unless the caller has
    /// `CAP_SYS_PTRACE` (`ptrace(2)`, `PTRACE_MODE_READ_FSCREDS`).
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(Self(Mutex::new(File::open(format!("/proc/{pid}/maps"))?)))
    }

    /// Whether the process has any byte of `file` mapped from byte `from` on.
    ///
    /// The kernel shows each mapping that is there all the time that it takes to read.
    ///
    /// # Errors
    /// Those of `read(2)` and `mmap(2)`.
    pub fn reach(&self, file: BorrowedFd<'_>, from: u64) -> io::Result<bool> {
        let name = name(file)?;
        let mut text = Vec::new();
        let mut maps = self.0.lock();
        maps.seek(SeekFrom::Start(0))?;
        match maps.read_to_end(&mut text) {
            // It has ended.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
            result => result?,
        };
        for line in lines(&text) {
            let line = line?;
            if line.name == name && line.file_end > from {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Finds out by mapping a page of it, which nobody touches.
fn name(file: BorrowedFd<'_>) -> io::Result<Name> {
    let page = UntouchedPage::of(file)?;
    let text = std::fs::read("/proc/self/maps")?;
    let own =
        lines(&text).find(|line| line.as_ref().is_ok_and(|line| line.start == page.address()));
    own.unwrap_or(Err(io::ErrorKind::NotFound.into())).map(|line| line.name)
}

fn lines(text: &[u8]) -> impl Iterator<Item = io::Result<Line>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|bytes| line(bytes).ok_or_else(|| io::ErrorKind::InvalidData.into()))
}

/// `start-end permissions offset device inode path`.
fn line(bytes: &[u8]) -> Option<Line> {
    let mut words = bytes.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let range = words.next()?;
    let dash = range.iter().position(|byte| *byte == b'-')?;
    let (start, end) = (number(range.get(..dash)?)?, number(range.get(dash + 1..)?)?);
    let offset = number(words.nth(1)?)?;
    let name = Name([words.next()?, words.next()?].join(&b' '));
    Some(Line { start, file_end: offset.checked_add(end.checked_sub(start)?)?, name })
}

fn number(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_mapping_is_seen_as_far_as_it_reaches_and_until_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(std::ffi::OsStr::from_bytes(b"a b\n\xff"));
        let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
        file.set_len(4096).unwrap();
        let maps = Mappings::of(std::process::id() as i32).unwrap();
        assert!(!maps.reach(file.as_fd(), 0).unwrap());
        let page = UntouchedPage::of(file.as_fd()).unwrap();
        assert!(maps.reach(file.as_fd(), 4095).unwrap());
        assert!(!maps.reach(file.as_fd(), 4096).unwrap());
        let other = tempfile::tempfile().unwrap();
        assert!(!maps.reach(other.as_fd(), 0).unwrap());
        drop(page);
        assert!(!maps.reach(file.as_fd(), 0).unwrap());
    }

    #[test]
    fn a_process_that_has_ended_has_nothing_mapped() {
        let mut process =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let maps = Mappings::of(process.id() as i32).unwrap();
        let program =
            File::open(std::fs::read_link(format!("/proc/{}/exe", process.id())).unwrap());
        let program = program.unwrap();
        // It is started before its program is there.
        while !maps.reach(program.as_fd(), 0).unwrap() {
            std::thread::yield_now();
        }
        drop(process.stdin.take());
        process.wait().unwrap();
        assert!(!maps.reach(program.as_fd(), 0).unwrap());
    }

    #[test]
    fn what_is_no_line_is_an_error() {
        for wrong in ["1000", "1000-2000 r--s", "2000-1000 r--s 0 08:01 7", "x-y r--s 0 08:01 7"] {
            assert!(line(wrong.as_bytes()).is_none(), "{wrong}");
        }
        let line = line(b"1000-3000 rw-s 00002000 08:01 7      /a b (deleted)").unwrap();
        assert_eq!((line.start, line.file_end), (0x1000, 0x4000));
        assert!(line.name == Name(b"08:01 7".to_vec()));
    }
}
