//! A report for people.

use std::fmt::Write;

use crate::report::{DaemonReport, Report};

/// Leaked slots that are shown one by one.
const SHOWN_LEAKS: usize = 16;

/// The report as lines of text; `now` in seconds since the epoch.
pub(crate) fn of(report: &Report, now: u64) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = table(&mut out, report);
    let _ = slots(&mut out, report);
    let _ = daemons(&mut out, report, now);
    out
}

fn table(out: &mut String, r: &Report) -> std::fmt::Result {
    writeln!(out, "table    {}", r.path)?;
    writeln!(out, "id       {}  (layout {})", r.id, r.abi_version)?;
    writeln!(
        out,
        "size     {} slots, {}; {} touched, {} of memory",
        grouped(r.slots),
        bytes(r.bytes),
        grouped(r.touched),
        bytes(r.memory)
    )?;
    writeln!(
        out,
        "rate     {} changes/s, {} slots moved/s",
        rate(r.changes_per_second),
        rate(r.moved_per_second)
    )
}

fn slots(out: &mut String, r: &Report) -> std::fmt::Result {
    let leaked = r.leaked.len() as u64 + r.leaked_unlisted;
    writeln!(out, "slots    {} busy, {} leaked, {} stuck", r.busy, leaked, r.stuck)?;
    if leaked > 0 {
        let shown: Vec<_> = r.leaked.iter().take(SHOWN_LEAKS).map(u32::to_string).collect();
        let more = if leaked > shown.len() as u64 { ", ..." } else { "" };
        writeln!(out, "         leaked: {}{more}", shown.join(", "))?;
        writeln!(out, "         slower, never stale; free after all daemons were stopped once")?;
    }
    Ok(())
}

fn daemons(out: &mut String, r: &Report, now: u64) -> std::fmt::Result {
    if let Some(error) = &r.host_file_error {
        return writeln!(out, "daemons  unknown: {error}");
    }
    if r.daemons.is_empty() {
        return writeln!(out, "daemons  none");
    }
    writeln!(
        out,
        "\n{:>4} {:>8} {:<6} {:>9} {:>10} {:>12} {:>8} {:>6} {:>7} {:>7} {:>7}  notes",
        "row",
        "pid",
        "state",
        "age",
        "changes/s",
        "changes",
        "progress",
        "held",
        "sweeps",
        "passed",
        "reaped"
    )?;
    r.daemons.iter().try_for_each(|d| daemon(out, d, now))
}

fn daemon(out: &mut String, d: &DaemonReport, now: u64) -> std::fmt::Result {
    writeln!(
        out,
        "{:>4} {:>8} {:<6} {:>9} {:>10} {:>12} {:>8} {:>6} {:>7} {:>7} {:>7}  {}",
        d.row,
        d.pid,
        if d.alive { "alive" } else { "dead" },
        age(now.saturating_sub(d.since)),
        rate(d.changes_per_second),
        grouped(d.changes),
        d.in_progress,
        d.held,
        d.sweeps,
        d.given_up,
        d.reaped,
        notes(d)
    )
}

fn notes(d: &DaemonReport) -> String {
    let mut notes = Vec::new();
    if let (false, Some(pid)) = (d.alive, d.front_end) {
        notes.push(format!("its front end {pid} has files mapped"));
    }
    if d.holds_everything {
        notes.push("holds every slot".to_owned());
    }
    if d.lingering > 0 {
        notes.push(format!("{} slots wait for a stuck daemon", d.lingering));
    }
    notes.join("; ")
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or("-".to_owned(), |rate| grouped(rate.round() as u64))
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[allow(clippy::cast_precision_loss, reason = "a size to be looked at")]
fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Seconds in the two largest units.
fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, ..) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
