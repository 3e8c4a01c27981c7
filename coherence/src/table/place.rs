//! Where a table may lie.

use std::fs::File;
use std::path::Path;

use super::error::{FileError, TableError};

const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Whether the file lies on tmpfs, where tables live.
pub(super) fn is_on_tmpfs(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|fs| fs.f_type == TMPFS_MAGIC)
}

/// Whether version tables may be in this directory: it is there, and on tmpfs, where they can be kept from being cut under
/// VMs.
#[must_use]
pub fn may_hold_a_table(directory: &Path) -> bool {
    rustix::fs::statfs(directory).is_ok_and(|fs| fs.f_type == TMPFS_MAGIC)
}

/// Refuses a table at a place that is not on tmpfs, be the table there or yet to be made. A directory that is not there is
/// found out by whoever makes one in it.
pub(crate) fn check_place(path: &Path) -> Result<(), TableError> {
    let place = if path.exists() { path } else { directory_of(path) };
    if may_hold_a_table(place) || !place.exists() {
        return Ok(());
    }
    Err(TableError::File { path: path.to_owned(), source: FileError::Place })
}

/// The directory that `path` names something in.
pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
