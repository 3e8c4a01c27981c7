//! What is shown, as data: the JSON form.

use coherence::inspect::{Daemon, Inspection};
use serde::Serialize;

use crate::counters::Counters;

/// One look at a table. Rates are none when there was no time between two looks.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The table's file.
    pub(crate) path: String,
    /// Table id, hexadecimal.
    pub(crate) id: String,
    /// Version of the table's layout.
    pub(crate) abi_version: u32,
    /// Words of the table, header included.
    pub(crate) slots: u64,
    /// Bytes of the table.
    pub(crate) bytes: u64,
    /// Bytes of memory that it takes.
    pub(crate) memory: u64,
    /// Slots that anybody has had to do with.
    pub(crate) touched: u64,
    /// Busy slots.
    pub(crate) busy: usize,
    /// Slots whose count has been given up.
    pub(crate) stuck: u64,
    /// Slots that have moved, a second.
    pub(crate) moved_per_second: Option<f64>,
    /// Changes of all daemons, a second.
    pub(crate) changes_per_second: Option<f64>,
    /// Slots with marks that nobody will take back.
    pub(crate) leaked: Vec<u32>,
    /// Such marks that are not listed.
    pub(crate) leaked_unlisted: u64,
    /// The daemons.
    pub(crate) daemons: Vec<DaemonReport>,
    /// Why nothing is known of daemons and leaks.
    pub(crate) host_file_error: Option<String>,
}

/// One daemon.
#[derive(Debug, Serialize)]
pub(crate) struct DaemonReport {
    pub(crate) row: usize,
    pub(crate) pid: u32,
    pub(crate) alive: bool,
    /// Seconds since the epoch.
    pub(crate) since: u64,
    pub(crate) in_progress: u64,
    pub(crate) holds_everything: bool,
    pub(crate) changes: u64,
    pub(crate) changes_per_second: Option<f64>,
    pub(crate) held: u64,
    pub(crate) lingering: u64,
    pub(crate) front_end: Option<u32>,
    pub(crate) sweeps: u64,
    pub(crate) given_up: u64,
    pub(crate) reaped: u64,
}

impl Report {
    /// `seconds` have passed since `before`.
    pub(crate) fn new(seen: &Inspection, before: &Counters, seconds: Option<f64>) -> Self {
        let host = seen.host.as_ref().ok();
        let daemons: Vec<DaemonReport> = host.map_or_else(Vec::new, |host| {
            host.daemons.iter().map(|d| DaemonReport::new(d, before, seconds)).collect()
        });
        let moved = seen.generations.wrapping_sub(before.generations);
        let changes: Option<f64> = daemons.iter().map(|d| d.changes_per_second).sum();
        Self {
            path: seen.path.display().to_string(),
            id: format!("{:032x}", u128::from_be_bytes(seen.id)),
            abi_version: coherence::ABI_VERSION,
            slots: seen.words,
            bytes: seen.words * 8,
            memory: seen.memory,
            touched: seen.touched,
            busy: seen.busy.len(),
            stuck: seen.stuck,
            moved_per_second: seconds.map(|s| per_second(moved, s)),
            changes_per_second: changes.filter(|_| seconds.is_some()),
            leaked: host.map_or_else(Vec::new, |host| host.leaked.clone()),
            leaked_unlisted: host.map_or(0, |host| host.leaked_unlisted),
            daemons,
            host_file_error: seen.host.as_ref().err().cloned(),
        }
    }
}

impl DaemonReport {
    fn new(d: &Daemon, before: &Counters, seconds: Option<f64>) -> Self {
        // One that has joined since has made all its changes since.
        let until_then = before.changes.get(&(d.row, d.since)).copied().unwrap_or(0);
        let changes = d.changes.saturating_sub(until_then);
        Self {
            row: d.row,
            pid: d.pid,
            alive: d.alive,
            since: d.since,
            in_progress: d.in_progress,
            holds_everything: d.holds_everything,
            changes: d.changes,
            changes_per_second: seconds.map(|s| per_second(changes, s)),
            held: d.held,
            lingering: d.lingering,
            front_end: d.front_end,
            sweeps: d.sweeps,
            given_up: d.given_up,
            reaped: d.reaped,
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate to be looked at")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}
