//! Which version table a shared directory has.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coherence::{AttachError, Engine, GuestAccess, HostProcess, Options};
use tracing::{debug, warn};

use crate::transport::SharedRegion;

/// Which shared memory region of the device the table is (docs/protocol.md, section 4).
const REGION: u8 = 1;

/// What the operator wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The one that every daemon of this user finds for this directory.
    #[default]
    Auto,
    /// None: guests cache by timeouts, and no other guest learns of what this one changes.
    Off,
    /// This one.
    Path(PathBuf),
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            path if path.contains('/') => Ok(Self::Path(path.into())),
            _ => Err("write auto, off, or a path with a slash in it (./table)".to_owned()),
        }
    }
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum TableStartError {
    #[error(
        "cannot keep a version table in {}: {error}; name a place with --version-table PATH, or go without: --version-table off",
        directory.display()
    )]
    RunTime { directory: PathBuf, error: io::Error },
    #[error(
        "{0} (--version-table); mend that, name another place, or go without: --version-table off"
    )]
    Attach(#[from] AttachError),
}

/// Where the table of a shared directory is; none where that is the operator's choice.
///
/// # Errors
/// [`TableStartError::RunTime`].
pub fn place(choice: &Choice, shared: &Path) -> Result<Option<PathBuf>, TableStartError> {
    match choice {
        Choice::Off => Ok(None),
        Choice::Path(path) => Ok(Some(path.clone())),
        Choice::Auto => usual_place(shared).map(Some),
    }
}

/// Joins the table at `path`; `process` is who others know the daemon by, where it will be in a sandbox.
///
/// # Errors
/// [`TableStartError`]. A daemon that was to have a table does not run without: the guests of the others would not
/// learn of its changes.
pub fn join(
    path: PathBuf,
    words: Option<u64>,
    group: Option<u32>,
    process: Option<HostProcess>,
) -> Result<Arc<Engine>, TableStartError> {
    Ok(Engine::attach(Options { words, group, process, ..Options::new(path) })?)
}

/// Keeps the table's file from being cut short under VMs that have mapped it. Where that cannot be done the operator is
/// told what may happen.
pub fn seal(engine: &Engine) {
    let table = engine.path().display();
    match engine.seal_table() {
        Ok(()) => debug!("{table} is immutable: nobody cuts it under a VM"),
        Err(error) => warn!(
            "the version table {table} must not be cut short while VMs have it, for that ends them; to have it kept from \
             that, start with CAP_LINUX_IMMUTABLE on Linux 6.1 or later ({error})"
        ),
    }
}

/// `samepage/DEVICE-INODE.table` in the run-time directory: the same for every daemon that this user starts on the
/// directory, by whatever path.
fn usual_place(shared: &Path) -> Result<PathBuf, TableStartError> {
    let directory = usual_directory();
    let failed = |error| TableStartError::RunTime { directory: directory.clone(), error };
    DirBuilder::new().recursive(true).mode(0o755).create(&directory).map_err(failed)?;
    let found = fs::symlink_metadata(&directory).map_err(failed)?;
    let own = rustix::process::geteuid().as_raw();
    if !found.is_dir() || found.uid() != own || found.mode() & 0o022 != 0 {
        let why = "it is not a directory that only this user may write to";
        return Err(failed(io::Error::other(why)));
    }
    let metadata = fs::metadata(shared).map_err(failed)?;
    Ok(directory.join(format!("{:x}-{:x}.table", metadata.dev(), metadata.ino())))
}

/// The first of this user's places that is on tmpfs. If none is, whoever opens a table there says so.
fn usual_directory() -> PathBuf {
    let own = rustix::process::geteuid();
    let run_time = std::env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty());
    let first = match run_time {
        _ if own.is_root() => Some(("/run".into(), "samepage".to_owned())),
        Some(directory) => Some((PathBuf::from(directory), "samepage".to_owned())),
        None => None,
    };
    let memory = ("/dev/shm".into(), format!("samepage-{}", own.as_raw()));
    let chosen = first.filter(|(parent, _)| coherence::may_hold_a_table(parent)).unwrap_or(memory);
    chosen.0.join(chosen.1)
}

/// The table as shared memory region 1 of the device.
///
/// # Errors
/// Those of `open(2)`.
pub fn region(engine: &Engine) -> io::Result<SharedRegion> {
    let file = engine.open_for_guest(GuestAccess::ReadWrite)?;
    Ok(SharedRegion { id: REGION, file: Arc::new(file), size: engine.table_words() * 8 })
}

/// The QEMU arguments that hand a table to a guest, which cannot write to it.
#[must_use]
pub fn qemu_arguments(engine: &Engine) -> String {
    let mib = (engine.table_words() * 8).div_ceil(1 << 20);
    let size = if mib * (1 << 20) == engine.table_words() * 8 {
        format!("{mib}M")
    } else {
        (engine.table_words() * 8).to_string()
    };
    format!(
        "-object memory-backend-file,id=samepage,size={size},share=on,mem-path={},readonly=on \
         -device ivshmem-plain,memdev=samepage",
        // QEMU doubles a comma that is part of a value.
        engine.path().display().to_string().replace(',', ",,")
    )
}
