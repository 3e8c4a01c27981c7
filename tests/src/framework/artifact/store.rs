//! A directory of finished artifacts.
//!
//! An artifact is a directory that appears under its name only when it is complete: it is made
//! beside its place and renamed. So a run that was interrupted leaves nothing that a later one
//! could mistake for an artifact, and of two runs at once one makes it and the other waits.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::framework::cleanup::Scratch;
use crate::framework::paths;

const RECORD: &str = "record.json";

/// Where an artifact came from; kept inside it as `record.json`.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Record {
    /// The suite, registry or program that it came from.
    pub origin: String,
    /// Every package that went in, with its version.
    pub packages: Vec<Package>,
}

/// One package of a [`Record`].
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Record {
    /// A record of these packages.
    pub fn of<N: Into<String>, V: Into<String>>(
        origin: &str,
        packages: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let packages = packages
            .into_iter()
            .map(|(name, version)| Package { name: name.into(), version: version.into() })
            .collect();
        Self { origin: origin.into(), packages }
    }

    /// The record of a finished artifact.
    ///
    /// # Errors
    /// It cannot be read: the directory is no artifact.
    pub fn read(artifact: &Path) -> Result<Self> {
        let path = artifact.join(RECORD);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
    }
}

/// The artifact called `name`: the one that is there, or the one that `make` fills a directory
/// with.
///
/// # Errors
/// What `make` fails with, or the disk.
pub fn ensure(name: &str, make: impl FnOnce(&Path) -> Result<Record>) -> Result<PathBuf> {
    ensure_in(&paths::rig(), name, make)
}

/// As [`ensure`], in another store.
///
/// # Errors
/// What `make` fails with, or the disk.
pub fn ensure_in(
    store: &Path,
    name: &str,
    make: impl FnOnce(&Path) -> Result<Record>,
) -> Result<PathBuf> {
    let place = store.join(name);
    if place.join(RECORD).is_file() {
        return Ok(place);
    }
    let _lock = Lock::take(store, name)?;
    if place.join(RECORD).is_file() {
        return Ok(place);
    }
    let scratch = Scratch::new_in(&store.join("unfinished"))?;
    let made = scratch.path().join("artifact");
    fs::create_dir(&made)?;
    let record = make(&made)?;
    fs::write(made.join(RECORD), serde_json::to_vec_pretty(&record)?)?;
    fs::rename(&made, &place)
        .with_context(|| format!("cannot put {} into place", place.display()))?;
    Ok(place)
}

/// Remove an artifact, so that the next [`ensure`] makes it anew.
///
/// # Errors
/// It is there and cannot be removed.
pub fn remove(name: &str) -> Result<()> {
    let store = paths::rig();
    let _lock = Lock::take(&store, name)?;
    match fs::remove_dir_all(store.join(name)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {name}"))
        }
        _ => Ok(()),
    }
}

/// The finished artifacts and their records, by name.
///
/// # Errors
/// The store cannot be read.
pub fn list() -> Result<Vec<(String, Record)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(paths::rig()).into_iter().flatten() {
        let entry = entry?;
        if let Ok(record) = Record::read(&entry.path()) {
            found.push((entry.file_name().to_string_lossy().into_owned(), record));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

/// An exclusive lock between processes, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Wait for the lock called `name`.
    ///
    /// # Errors
    /// The lock file cannot be made.
    pub fn take(store: &Path, name: &str) -> Result<Self> {
        let directory = store.join("locks");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let path = directory.join(name);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
