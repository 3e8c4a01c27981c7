//! `samepage`: looks at Samepage from outside. It never writes.

#![forbid(unsafe_code)]

mod arguments;
mod counters;
mod look;
mod report;
mod text;
mod top;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;

use self::arguments::{Arguments, Command, Table};
use self::look::Looker;
use self::report::Report;

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Table(table) => run(&table),
        Command::Top(top) => top::run(&top),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("samepage: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Shows the table once, or until interrupted.
fn run(table: &Table) -> io::Result<()> {
    let interval = Duration::from_secs_f64(table.interval);
    let mut looker = Looker::new(&table.path)?;
    if !interval.is_zero() {
        std::thread::sleep(interval);
    }
    loop {
        let report = looker.look()?;
        show(table, &report)?;
        if !table.watch {
            return Ok(());
        }
        std::thread::sleep(interval.max(SHORTEST));
    }
}

/// Watching looks no more often than this.
const SHORTEST: Duration = Duration::from_millis(100);

fn show(table: &Table, report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if table.json {
        serde_json::to_writer(&mut out, report)?;
        return writeln!(out);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let text = text::of(report, now);
    if table.watch {
        again(&mut out, &text)
    } else {
        write!(out, "{text}")?;
        out.flush()
    }
}

/// Shows text that takes the place of what was shown before.
fn again(out: &mut io::StdoutLock<'_>, text: &str) -> io::Result<()> {
    if out.is_terminal() {
        // From the top left corner; each line is cleared to its end, and what is below it, too.
        write!(out, "\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))?;
    } else {
        writeln!(out, "{text}")?;
    }
    out.flush()
}
