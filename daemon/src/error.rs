//! Why the daemon cannot start, each in one line that names the option, the path and the remedy.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::coherent::{CoherentError, table::TableStartError};
use crate::passthrough;
use crate::sandbox::SandboxError;
use crate::socket::SocketError;

/// Why the daemon cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The shared directory is not there.
    #[error("--shared-dir {}: no such directory; create it or name another", .0.display())]
    NoSharedDir(PathBuf),
    /// It is something else.
    #[error("--shared-dir {}: not a directory; name the directory to share", .0.display())]
    SharedNoDir(PathBuf),
    /// It cannot be read.
    #[error("--shared-dir {}: permission denied; run as a user who may read and search it", .0.display())]
    SharedDirPermission(PathBuf),
    /// It cannot be served for another reason.
    #[error("--shared-dir {}: {error}; name another directory", .directory.display())]
    SharedDir {
        /// The directory.
        directory: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The file system says why.
    #[error(transparent)]
    Share(#[from] passthrough::StartError),
    /// The version table.
    #[error(transparent)]
    Table(#[from] TableStartError),
    /// Changes made on the host cannot be watched as asked.
    #[error(transparent)]
    Watch(#[from] coherence::watch::StartError),
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A file system on a version table.
    #[error(transparent)]
    Coherent(#[from] CoherentError),
    /// The front end's socket.
    #[error("--socket-path {}: {error}", .path.display())]
    Socket {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong.
        error: SocketError,
    },
    /// The socket for figures.
    #[error("--stats-socket {}: {error}", .path.display())]
    StatsSocket {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong.
        error: SocketError,
    },
    /// The inherited socket.
    #[error("--fd {fd}: {reason}; pass a Unix stream socket on which listen(2) was called")]
    Descriptor {
        /// The number on the command line.
        fd: i32,
        /// What is wrong with it.
        reason: String,
    },
    /// The descriptor limit.
    #[error("--rlimit-nofile {wanted}: {reason}")]
    DescriptorLimit {
        /// What was asked for.
        wanted: u64,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// `RUST_LOG` is no filter.
    #[error("RUST_LOG: {0}; unset it or write, for instance, RUST_LOG=info")]
    RustLog(String),
    /// The system's logger does not answer.
    #[error("--syslog: /dev/log: {0}; start the system's logger or leave --syslog out")]
    Syslog(io::Error),
    /// Regions that no PCI BAR can hold.
    #[error(
        "--dax-window: window and version table ({table} bytes, --table-region) share a PCI BAR, whose size must be a \
         power of two, and {window} + {table} is none; give the window {} bytes", fitting(*.window, *.table)
    )]
    Regions {
        /// Bytes of the DAX window.
        window: u64,
        /// Bytes of the version table; 0: it is no region.
        table: u64,
    },
    /// Something that the system refused.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The answer.
        error: io::Error,
    },
}

/// The largest window that makes a power of two together with `table`, and is no larger than wanted if that can be.
fn fitting(window: u64, table: u64) -> u64 {
    let both = (window + table).next_power_of_two();
    let less = (both / 2).saturating_sub(table);
    if less > 0 { less } else { both - table }
}
