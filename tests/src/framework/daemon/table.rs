//! The version table that daemons share.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// Where a version table is, and how daemons come to know. It must be on tmpfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    path: PathBuf,
    run_time: Option<PathBuf>,
}

impl Table {
    /// This file, which daemons are told of.
    pub fn named(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), run_time: None }
    }

    /// The one that daemons find for `share` by themselves: they see `run_time` where the machine's
    /// run-time directory is.
    ///
    /// # Errors
    /// There is no share.
    pub fn found(run_time: &Path, share: &Path) -> Result<Self> {
        let metadata = fs::metadata(share)?;
        let name = format!("samepage/{:x}-{:x}.table", metadata.dev(), metadata.ino());
        Ok(Self { path: run_time.join(name), run_time: Some(run_time.to_owned()) })
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The daemon's `--version-table`.
    pub(super) fn option(&self) -> OsString {
        if self.run_time.is_some() { "auto".into() } else { self.path.clone().into() }
    }

    /// A daemon's command line, put where it sees the run-time directory; root has no variable for
    /// that.
    pub(super) fn wrap(&self, words: Vec<OsString>) -> Vec<OsString> {
        const ENTER: &str = r#"mount --bind "$0" /run && exec "$@""#;
        let Some(run_time) = &self.run_time else { return words };
        let mut wrapped: Vec<OsString> = Vec::new();
        if rustix::process::geteuid().is_root() {
            wrapped.extend(["unshare", "--mount", "sh", "-c", ENTER].map(Into::into));
            wrapped.push(run_time.into());
        } else {
            let mut variable = OsString::from("XDG_RUNTIME_DIR=");
            variable.push(run_time);
            wrapped.extend(["env".into(), variable]);
        }
        wrapped.extend(words);
        wrapped
    }
}
