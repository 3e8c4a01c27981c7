//! Why a daemon cannot join a table.

use std::io;
use std::path::PathBuf;

use crate::host::HostFileError;
use crate::limits::{MAX_DAEMONS, START_PATIENCE};
use crate::table::TableError;

/// Why a daemon cannot join a table.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The host-only file.
    #[error(transparent)]
    Host(#[from] HostFileError),
    /// The table has another size.
    #[error(
        "table {}: has {found} slots, but {wanted} were asked for; leave the number out, or stop its \
         daemons and VMs and delete it", path.display()
    )]
    Words {
        /// The table.
        path: PathBuf,
        /// Words asked for.
        wanted: u64,
        /// Words that it has.
        found: u64,
    },
    /// Another daemon has been joining for too long.
    #[error("{}: another daemon has been starting for {START_PATIENCE:?}; is it stopped?", path.display())]
    Starting {
        /// The host-only file.
        path: PathBuf,
    },
    /// Daemons live on a table that was deleted or replaced.
    #[error(
        "{}: daemons are running on a table that is no longer at {}; stop them first",
        path.display(), table.display()
    )]
    Replaced {
        /// The host-only file.
        path: PathBuf,
        /// The table's path.
        table: PathBuf,
    },
    /// Daemons live on the table, but their host-only file was deleted.
    #[error("table {}: in use by daemons whose file {} was deleted; stop them first", path.display(), host.display())]
    Orphans {
        /// The table.
        path: PathBuf,
        /// The host-only file.
        host: PathBuf,
    },
    /// Every row is taken.
    #[error("table {}: {MAX_DAEMONS} daemons share it already; use another table", path.display())]
    TooManyDaemons {
        /// The table.
        path: PathBuf,
    },
    /// The kernel refused something.
    #[error("table {}: {what}: {source}", path.display())]
    Io {
        /// The table.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}
