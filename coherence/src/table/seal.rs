//! Keeping a table's file as long as it is: a VMM that has mapped it dies when the guest looks at a page that is gone.
//!
//! On tmpfs, where all tables are, a file may be immutable. Who has it open or mapped goes on; nobody else opens it for
//! writing, cuts it or removes it before the flag is taken away. That takes `CAP_LINUX_IMMUTABLE`, and a tmpfs that has
//! such flags (Linux 6.1 does). On a disk an immutable file takes no stores through a mapping, and the flag would outlive
//! the machine's next start.

use std::fs::File;
use std::io;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::error::FileError;
use super::place::is_on_tmpfs;

/// Others may lift the seal, or put it back, between two steps of this process.
const ATTEMPTS: u32 = 100;

/// Keeps everybody from cutting or removing the file. Whether it was sealed before makes no difference.
pub(crate) fn seal(file: &File) -> io::Result<()> {
    if !is_on_tmpfs(file) {
        return Err(io::Error::other("the table is not on tmpfs"));
    }
    let flags = ioctl_getflags(file)?;
    Ok(ioctl_setflags(file, flags | IFlags::IMMUTABLE)?)
}

fn is_sealed(file: &File) -> bool {
    ioctl_getflags(file).is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE))
}

/// Opens a file for writing, whether it is sealed or not. A seal is lifted for as long as `open` takes; `handle` is the
/// same file, open to be read.
pub(crate) fn open(
    handle: impl Fn() -> Result<File, FileError>,
    open: impl Fn() -> Result<File, FileError>,
) -> Result<File, FileError> {
    for _ in 0..ATTEMPTS {
        match open() {
            Err(FileError::Open(error)) if is_refusal(&error) => {}
            result => return result,
        }
        let handle = handle()?;
        if !is_sealed(&handle) {
            // Another daemon has just lifted it; or it is not what stands in the way.
            continue;
        }
        lift(&handle)?;
        let opened = open();
        // At once: whatever becomes of this daemon, those that use the table already count on its seal.
        seal(&handle).map_err(FileError::Open)?;
        match opened {
            Err(FileError::Open(error)) if is_refusal(&error) => {}
            result => return result,
        }
    }
    open()
}

fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM)
}

fn lift(file: &File) -> Result<(), FileError> {
    let flags = ioctl_getflags(file).map_err(|errno| FileError::Open(errno.into()))?;
    match ioctl_setflags(file, flags - IFlags::IMMUTABLE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::PERM) => Err(FileError::Sealed),
        Err(errno) => Err(FileError::Open(errno.into())),
    }
}
