//! What happened between two looks: the JSON form.

use std::io;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::figures::Figures;

/// One daemon. Rates are 0 at the first look.
#[derive(Debug, Default, Serialize)]
pub(super) struct Rates {
    pub(super) socket: String,
    pub(super) guest: String,
    pub(super) directory: String,
    pub(super) connected: bool,
    pub(super) requests_per_second: f64,
    pub(super) errors_per_second: f64,
    pub(super) read_bytes_per_second: f64,
    pub(super) written_bytes_per_second: f64,
    pub(super) in_progress: u64,
    pub(super) locked_ranges: u64,
    pub(super) lock_waiters: u64,
    pub(super) stopped_queues: u64,
    /// The most frequent first; those that did not come are left out.
    pub(super) opcodes: Vec<OpcodeRates>,
    /// Why nothing is known.
    pub(super) error: Option<String>,
}

/// One kind of request.
#[derive(Debug, Serialize)]
pub(super) struct OpcodeRates {
    pub(super) opcode: String,
    pub(super) requests_per_second: f64,
    pub(super) errors_per_second: f64,
}

impl Rates {
    pub(super) fn new(
        socket: &Path,
        now: &Figures,
        before: Option<&(Instant, Figures)>,
        at: Instant,
    ) -> Self {
        let first = Figures::default();
        let (seconds, before) = match before {
            Some((then, figures)) => (at.duration_since(*then).as_secs_f64(), figures),
            None => (f64::INFINITY, &first),
        };
        // A daemon that was restarted counts from 0 again.
        let rate = |now: f64, before: f64| (now - before).max(0.0) / seconds.max(0.001);
        let mut opcodes: Vec<OpcodeRates> = Vec::new();
        for (opcode, (requests, errors)) in &now.opcodes {
            let (asked, failed) = before.opcodes.get(opcode).copied().unwrap_or_default();
            opcodes.push(OpcodeRates {
                opcode: opcode.clone(),
                requests_per_second: rate(*requests, asked),
                errors_per_second: rate(*errors, failed),
            });
        }
        opcodes.retain(|opcode| opcode.requests_per_second > 0.0);
        opcodes.sort_by(|a, b| b.requests_per_second.total_cmp(&a.requests_per_second));
        let count = |name| now.get(name) as u64;
        let rate_of = |name| rate(now.get(name), before.get(name));
        Self {
            socket: socket.display().to_string(),
            guest: now.guest.clone(),
            directory: now.directory.clone(),
            connected: now.get("samepaged_connected") > 0.0,
            requests_per_second: opcodes.iter().map(|opcode| opcode.requests_per_second).sum(),
            errors_per_second: opcodes.iter().map(|opcode| opcode.errors_per_second).sum(),
            read_bytes_per_second: rate_of("samepaged_read_bytes_total"),
            written_bytes_per_second: rate_of("samepaged_written_bytes_total"),
            in_progress: count("samepaged_requests_in_progress"),
            locked_ranges: count("samepaged_locked_ranges"),
            lock_waiters: count("samepaged_lock_waiters"),
            stopped_queues: count("samepaged_stopped_queues_total"),
            opcodes,
            error: None,
        }
    }

    /// A daemon that does not answer.
    pub(super) fn silent(socket: &Path, error: &io::Error) -> Self {
        let name = socket.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            socket: socket.display().to_string(),
            guest: name,
            error: Some(error.to_string()),
            ..Self::default()
        }
    }
}
