//! What a watcher has seen and done.

use shm_layout::SharedU64;
use shm_layout::word::Ordering::Relaxed;

use super::{ChangeSource, Refusal};

/// What a watcher has seen and done. All but the first two and `watches` only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The source's name.
    pub source: &'static str,
    /// Stamps are given at the moment.
    pub alive: bool,
    /// Events read.
    pub events: u64,
    /// Of these, changes that this daemon had announced (only fanotify can tell).
    pub own_events: u64,
    /// Slots that were moved because of events.
    pub moved: u64,
    /// Sweeps because of lost events or changes of the mount table.
    pub sweeps: u64,
    /// Failures of the source.
    pub failures: u64,
    /// Inodes with a watch of their own.
    pub watches: u64,
    /// File systems that are served without stamps.
    pub refused_systems: u64,
    /// Times that an inode was served without a stamp for want of a watch, or of a number for its file system.
    pub refused_inodes: u64,
}

/// The figures that are counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) events: SharedU64,
    pub(super) own_events: SharedU64,
    pub(super) moved: SharedU64,
    pub(super) sweeps: SharedU64,
    pub(super) failures: SharedU64,
    refused_systems: SharedU64,
    refused_inodes: SharedU64,
}

impl Counters {
    pub(super) fn add(counter: &SharedU64, more: u64) -> u64 {
        // Relaxed: a figure.
        counter.fetch_add(more, Relaxed)
    }

    pub(super) fn refuse_system(&self, refusal: &Refusal) {
        Self::add(&self.refused_systems, 1);
        tracing::warn!("a file system is served without coherent caching: {refusal}");
    }

    /// Said once: it may happen for each of a million files.
    pub(super) fn refuse_inode(&self, refusal: &Refusal) {
        if Self::add(&self.refused_inodes, 1) == 0 {
            tracing::warn!("inodes are served without coherent caching: {refusal}");
        }
    }

    /// What has happened so far, with what `source` says of itself.
    pub(super) fn figures(&self, source: Option<&dyn ChangeSource>, alive: bool) -> Figures {
        // Relaxed: figures.
        let of = |counter: &SharedU64| counter.load(Relaxed);
        Figures {
            source: source.map_or("off", ChangeSource::name),
            alive,
            events: of(&self.events),
            own_events: of(&self.own_events),
            moved: of(&self.moved),
            sweeps: of(&self.sweeps),
            failures: of(&self.failures),
            watches: source.map_or(0, ChangeSource::inodes),
            refused_systems: of(&self.refused_systems),
            refused_inodes: of(&self.refused_inodes),
        }
    }
}
