//! Keeping a table's file as long as it is: a VMM that has mapped it dies when the guest looks at a page that is gone.
//!
//! On tmpfs, where tables live, a file may be immutable. Who has it open or mapped goes on; nobody else opens it for
//! writing, cuts it or removes it before the flag is taken away. That takes `CAP_LINUX_IMMUTABLE`, and a tmpfs that has
//! such flags (Linux 6.1 does). Elsewhere a flag would outlive the machine's next start, so nothing is done there.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::file::{self, FileError};

/// Others may seal the file again before it is open.
const ATTEMPTS: u32 = 100;

/// Keeps everybody from cutting or removing the file, where that can be done; says whether it is done.
pub(crate) fn seal(file: &File) -> io::Result<bool> {
    if !file::is_on_tmpfs(file) {
        return Ok(false);
    }
    let flags = ioctl_getflags(file)?;
    ioctl_setflags(file, flags | IFlags::IMMUTABLE)?;
    Ok(true)
}

/// Whether the file is sealed.
pub(crate) fn is_sealed(file: &File) -> bool {
    file::is_on_tmpfs(file)
        && ioctl_getflags(file).is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE))
}

/// Opens a file for writing that may be sealed; then it is not any more. Says whether it was.
pub(super) fn open_unsealed(
    path: &Path,
    open: impl Fn() -> Result<File, FileError>,
) -> Result<(File, bool), FileError> {
    let mut was_sealed = false;
    for _ in 0..ATTEMPTS {
        match open() {
            Err(FileError::Open(error)) if is_refusal(&error) && unseal(path)? => was_sealed = true,
            result => return result.map(|file| (file, was_sealed)),
        }
    }
    open().map(|file| (file, was_sealed))
}

fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM)
}

/// Takes the flag away. False when there was none, so that it is not what stands in the way.
fn unseal(path: &Path) -> Result<bool, FileError> {
    let file = file::open_to_read(path)?;
    if !is_sealed(&file) {
        return Ok(false);
    }
    let flags = ioctl_getflags(&file).map_err(|errno| FileError::Open(errno.into()))?;
    match ioctl_setflags(&file, flags - IFlags::IMMUTABLE) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::PERM) => Err(FileError::Sealed),
        Err(errno) => Err(FileError::Open(errno.into())),
    }
}
