//! What work on a share costs inside a guest, with what keeps the share in the guest's cache.
//!
//! ```text
//! subjects  guests that differ in who vouches for their caches
//! jobs      what is done, and how long it took, as the guest's clock says
//! report    table, JSON, SVG
//! ```

// Figures for people: nobody reads the sixteenth digit.
#![allow(clippy::cast_precision_loss)]

mod jobs;
mod report;
mod subjects;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Result, ensure};
use clap::Parser;
use samepage_bench::record::is_chosen;

use jobs::{JOBS, Job};
use report::{Results, Row};
use subjects::Subject;

/// Works with a tree in guests of samepaged and virtiofsd, and compares what it costs.
///
/// All guests are up all the time, and take turns. Ratios are taken round by round; the table shows their median and in
/// brackets the extremes.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench guest", max_term_width = 100)]
struct Options {
    /// Files in the tree
    #[arg(long, default_value_t = 1000)]
    files: usize,
    /// Rounds; in each every guest does every job once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Jobs whose names contain one of these
    #[arg(long, value_delimiter = ',')]
    jobs: Vec<String>,
    /// Guests whose names contain one of these, beside the coherent one
    #[arg(long, value_delimiter = ',')]
    against: Vec<String>,
    /// The guests' kernel
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// Where to write guest.json and guest.svg
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
}

fn main() -> ExitCode {
    samepage_bench::exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    let jobs: Vec<&Job> = JOBS.iter().filter(|job| is_chosen(job.name, &options.jobs)).collect();
    ensure!(options.files > 0 && options.rounds > 0, "there is nothing to measure");
    let make = subjects::make()?;
    let subjects = Subject::all(&options.kernel, options.files, &options.against)?;
    let names = subjects.iter().map(|subject| subject.name).collect();
    let mut results = Results::new(&options.kernel, options.files, names)?;
    for job in jobs {
        let mut row = Row::new(job, subjects.len());
        for _ in 0..options.rounds.min(job.rounds) {
            round(job, &subjects, &make, &mut row)?;
        }
        report::part(&results, &row);
        results.rows.push(row);
    }
    results.end(&options.out)?;
    subjects.into_iter().try_for_each(|subject| subject.lab.power_off())
}

/// One after the other; what has to be waited for is waited for together.
fn round(job: &Job, subjects: &[Subject], make: &str, row: &mut Row) -> Result<()> {
    for subject in subjects {
        job.prepare(subject, make)?;
    }
    thread::sleep(job.pause);
    for (at, subject) in subjects.iter().enumerate() {
        let guest = &subject.lab[0];
        let before = subject.counts.then(|| guest.counters()).transpose()?;
        row.nanoseconds[at].push(job.time(subject, make)?);
        if let Some(before) = before {
            row.requests[at].push(guest.counters()?.since(&before).requests_but(&[]));
        }
    }
    Ok(())
}
