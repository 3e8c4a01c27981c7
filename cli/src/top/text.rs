//! Rates as a table.

use std::fmt::Write;

use super::rates::Rates;

/// All daemons, with up to `kinds` kinds of requests each.
pub(super) fn of(all: &[Rates], kinds: usize) -> String {
    let width = all.iter().map(|rates| rates.guest.chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!(
        "{:width$}  {:>9} {:>9} {:>9} {:>9} {:>5} {:>6} {:>6}  {}\n",
        "GUEST", "REQ/S", "ERR/S", "READ/S", "WRITE/S", "BUSY", "LOCKS", "WAIT", "DIRECTORY"
    );
    for rates in all {
        // Writing to a string does not fail.
        let _ = line(&mut text, rates, width, kinds);
    }
    text
}

fn line(text: &mut String, rates: &Rates, width: usize, kinds: usize) -> std::fmt::Result {
    if let Some(error) = &rates.error {
        return writeln!(text, "{:width$}  {}: {error}", rates.guest, rates.socket);
    }
    write!(
        text,
        "{:width$}  {:>9} {:>9} {:>9} {:>9} {:>5} {:>6} {:>6}  {}",
        rates.guest,
        number(rates.requests_per_second),
        number(rates.errors_per_second),
        bytes(rates.read_bytes_per_second),
        bytes(rates.written_bytes_per_second),
        rates.in_progress,
        rates.locked_ranges,
        rates.lock_waiters,
        rates.directory
    )?;
    if !rates.connected {
        write!(text, " (no VM)")?;
    }
    if rates.stopped_queues > 0 {
        write!(text, " ({} queues were stopped)", rates.stopped_queues)?;
    }
    writeln!(text)?;
    let shown = rates.opcodes.iter().take(kinds);
    let shown: Vec<_> =
        shown.map(|kind| format!("{} {}", kind.opcode, number(kind.requests_per_second))).collect();
    if !shown.is_empty() {
        writeln!(text, "{:width$}  {}", "", shown.join(", "))?;
    }
    Ok(())
}

/// Small rates with one decimal, so that one request in ten seconds is not none.
fn number(value: f64) -> String {
    if value > 0.0 && value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (value, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", number(value), UNITS[unit])
}
