//! What is written down while guests work, and kept as JSON.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use samepage_tests::framework::daemon::usage::Usage;
use samepage_tests::framework::{Guest, paths};
use serde::{Deserialize, Serialize};

/// One guest and its daemon at one moment. Memory is in KiB.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Sample {
    /// Since the beginning.
    pub(super) seconds: f64,
    /// Of both of the daemon's processes together, as the next three.
    pub(super) descriptors: usize,
    pub(super) threads: usize,
    pub(super) anonymous_kib: u64,
    pub(super) resident_kib: u64,
    /// Of the guest's kernel: what it cannot drop when memory is wanted.
    pub(super) kernel_kib: u64,
    /// What it can drop.
    pub(super) cache_kib: u64,
    /// Inodes of the share that it remembers.
    pub(super) inodes: u64,
}

/// All samples of one guest.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) samples: Vec<Sample>,
}

/// The whole soak.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) guests: Vec<Series>,
}

impl Sample {
    pub(super) fn take(guest: &mut Guest, since: Duration) -> Result<Self> {
        let usage = Usage::of(guest.daemon().process().pid())?;
        let text = guest.sh("cat /proc/meminfo /proc/slabinfo")?.ok()?.text();
        let figure = |names: &[&str]| -> u64 {
            let lines = text.lines().filter_map(|line| {
                let mut words = line.split_whitespace();
                let name = words.next()?;
                if names.contains(&name) { words.next()?.parse::<u64>().ok() } else { None }
            });
            lines.sum()
        };
        Ok(Self {
            seconds: since.as_secs_f64(),
            descriptors: usage.descriptors,
            threads: usage.threads,
            anonymous_kib: usage.anonymous_kib,
            resident_kib: usage.resident_kib,
            kernel_kib: figure(&["SUnreclaim:", "KernelStack:", "PageTables:", "VmallocUsed:"]),
            cache_kib: figure(&["SReclaimable:", "Cached:", "Buffers:"]),
            inodes: figure(&["fuse_inode", "samepage_inode"]),
        })
    }
}

impl Record {
    pub(super) fn of(names: impl Iterator<Item = String>) -> Self {
        Self { guests: names.map(|name| Series { name, samples: Vec::new() }).collect() }
    }

    /// Where record and picture are kept.
    pub(super) fn place() -> PathBuf {
        paths::workspace().join("target/soak")
    }

    /// Keep it: first beside its place, so that there is always a whole one.
    pub(super) fn keep(&self) -> Result<()> {
        let place = Self::place();
        fs::create_dir_all(&place)?;
        let (new, file) = (place.join("soak.json.new"), place.join("soak.json"));
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, &file).with_context(|| format!("cannot write {}", file.display()))
    }

    /// The one that was kept last.
    pub(super) fn last(place: &Path) -> Result<Option<Self>> {
        match fs::read(place.join("soak.json")) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(_) => Ok(None),
        }
    }
}
