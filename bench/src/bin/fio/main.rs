//! The fio jobs of the first virtio-fs posting, in one guest that has six ways to the host's files.
//!
//! ```text
//! shares  the guest, and the ways: 9p, virtiofsd, samepaged; without and with DAX
//! jobs    the 24 jobs, and what fio says about one
//! report  tables, JSON
//! chart   SVG
//! ```

// Figures for people: nobody reads the sixteenth digit.
#![allow(clippy::cast_precision_loss)]

mod chart;
mod jobs;
mod report;
mod shares;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use samepage_bench::record::is_chosen;

use jobs::{Job, Size};
use report::{Results, Row};
use shares::Guest;

/// Runs the fio jobs of the first virtio-fs posting (4 KiB; sequential and random reads and writes; psync, mmap and libaio; one
/// job and several) in one guest, over 9p, virtiofsd and samepaged, without and with DAX.
///
/// The ways to the files take turns, in each round from another one on. Tables show MiB/s and ratios within a round: the median
/// and in brackets the extremes. A dash is a job that the guest's kernel refuses: shared mappings of files that it may not cache.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench fio", max_term_width = 100)]
struct Options {
    /// MiB of each file
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    size: u32,
    /// Milliseconds of each run
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    runtime: u32,
    /// Jobs of a "multi" run, each with a file of its own
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    multi: u32,
    /// Rounds; in each every job is run over every way
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// One short round with small files: does it work?
    #[arg(long, conflicts_with_all = ["size", "runtime", "rounds"])]
    quick: bool,
    /// Let the guest keep what it has cached; otherwise that is dropped before each pass over a file
    #[arg(long)]
    warm: bool,
    /// Jobs whose names contain one of these, as "randread,mmap"
    #[arg(long, value_delimiter = ',')]
    jobs: Vec<String>,
    /// Ways whose names contain one of these, as "9p,DAX"
    #[arg(long, value_delimiter = ',')]
    ways: Vec<String>,
    /// Each DAX window
    #[arg(long, value_name = "SIZE", default_value = "128M")]
    window: String,
    /// The guest's kernel; 9p needs one of Debian's general images
    #[arg(long, default_value = "6.12-amd64")]
    kernel: String,
    /// Where to write fio.json and fio.svg
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
}

fn main() -> ExitCode {
    samepage_bench::exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    let jobs: Vec<Job> =
        Job::all().into_iter().filter(|job| is_chosen(&job.name(), &options.jobs)).collect();
    ensure!(!jobs.is_empty(), "no job has such a name");
    ensure!(options.size > 0 && options.runtime > 0, "there is nothing to measure");
    ensure!(options.multi > 1 && options.rounds > 0, "there is nothing to measure");
    let (mib, milliseconds, rounds) =
        if options.quick { (4, 1000, 1) } else { (options.size, options.runtime, options.rounds) };
    let size = Size { mib, milliseconds, multi: options.multi, rounds, warm: options.warm };
    let guest = Guest::boot(&options.kernel, &options.window, &size, &options.ways)?;
    let mut results = Results::new(&options.kernel, &size, guest.names())?;
    for job in &jobs {
        results.add(measure(job, &guest, &size)?);
    }
    results.end(&options.out)?;
    guest.power_off()
}

/// A job over every way in turn, as often as there are rounds.
fn measure(job: &Job, guest: &Guest, size: &Size) -> Result<Row> {
    let ways = guest.ways.len();
    let mut row = Row::new(job.name(), ways);
    for round in 0..size.rounds {
        for at in (0..ways).map(|turn| (turn + round) % ways) {
            if size.warm {
                guest.read_all(&guest.ways[at])?;
            }
            let (speed, requests) = job.run(guest, &guest.ways[at], size)?;
            row.mib_per_second[at].extend(speed);
            row.requests[at] = requests;
        }
    }
    Ok(row)
}
