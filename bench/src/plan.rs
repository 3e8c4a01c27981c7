//! How many of what is measured: one size, or growth along one measure after the other.

use serde::Serialize;

use crate::options::Options;

/// What grows while all else stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Axis {
    /// Operations in flight.
    Depth,
    /// Request queues.
    Queues,
    /// Guests on one directory.
    FrontEnds,
    /// Inodes that the guest knows.
    Inodes,
}

/// Daemons that are started once, and the depths that each job runs at with them.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) axis: Option<Axis>,
    pub(crate) front_ends: usize,
    pub(crate) queues: usize,
    /// Inodes that the guest of each daemon knows beforehand.
    pub(crate) known: usize,
    pub(crate) depths: Vec<usize>,
}

const ONE: Setting = Setting { axis: None, front_ends: 1, queues: 1, known: 0, depths: Vec::new() };

/// All settings, in the order in which they are measured.
pub(crate) fn settings(options: &Options) -> Vec<Setting> {
    if options.grow { growth() } else { chosen(options) }
}

fn chosen(options: &Options) -> Vec<Setting> {
    let mut all = Vec::new();
    for &front_ends in &options.front_ends {
        for &queues in &options.queues {
            let depths = options.depths.clone();
            all.push(Setting { front_ends, queues, depths, ..ONE });
        }
    }
    all
}

fn growth() -> Vec<Setting> {
    let depths = [Setting { axis: Some(Axis::Depth), depths: vec![1, 4, 16, 64], ..ONE }];
    let queues = [1, 2, 4].map(|queues| Setting {
        axis: Some(Axis::Queues),
        queues,
        depths: vec![16],
        ..ONE
    });
    let front_ends = [1, 4, 16].map(|front_ends| Setting {
        axis: Some(Axis::FrontEnds),
        front_ends,
        depths: vec![4],
        ..ONE
    });
    let inodes = [0, 1_000, 10_000, 100_000].map(|known| Setting {
        axis: Some(Axis::Inodes),
        known,
        depths: vec![1],
        ..ONE
    });
    depths.into_iter().chain(queues).chain(front_ends).chain(inodes).collect()
}
