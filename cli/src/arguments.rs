//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Look at Samepage from outside
#[derive(Debug, Parser)]
#[command(name = "samepage", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Table(Table),
    Top(Top),
}

/// What the guests of running daemons ask for, live
///
/// One line a guest, the busiest first: requests, errors and bytes a second, requests in progress, locks held and waited
/// for; below it the kinds of requests that come most. What a guest's cache answers costs no request and is not seen
/// here: hits and misses are in the guest, /sys/kernel/debug/samepage/.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  samepage top                              every socket /run/samepage/*.stats
  samepage top /run/a.stats /run/b.stats    these daemons, by their --stats-socket
  samepage top --once --interval 10         what they did within ten seconds
  samepage top --once --json | jq '.[] | {guest, requests_per_second}'")]
pub(crate) struct Top {
    /// The daemons' --stats-socket [default: all /run/samepage/*.stats]
    pub(crate) sockets: Vec<PathBuf>,
    /// Show it once, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// One JSON array a look, on one line
    #[arg(long)]
    pub(crate) json: bool,
    /// Seconds between looks
    #[arg(short, long, default_value_t = 1.0, value_parser = positive)]
    pub(crate) interval: f64,
    /// Kinds of requests shown for each guest
    #[arg(short, long, default_value_t = 5)]
    pub(crate) kinds: usize,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number of seconds from 0.1 to 86400".to_owned()),
    }
}

/// What a version table and its daemons are doing
///
/// Shows the table's header, its daemons (process, alive or not, since when, changes in progress), and busy and leaked
/// slots. Changes a second are counted between two looks. Nothing is ever written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  samepage table /dev/shm/samepage/share          one look
  samepage table /dev/shm/samepage/share --watch  again every second, until Ctrl-C
  samepage table /dev/shm/samepage/share --json | jq '.daemons[] | select(.alive | not)'

A slot that stays busy is slower, never stale. Leaked slots come free when every daemon of the table has been
stopped and one is started again.")]
pub(crate) struct Table {
    /// The table's file, as given to the daemons
    pub(crate) path: PathBuf,
    /// Look again and again
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// One JSON object a look, on one line
    #[arg(long)]
    pub(crate) json: bool,
    /// Seconds between looks; 0 shows totals only
    #[arg(short, long, default_value_t = 1.0, value_parser = seconds)]
    pub(crate) interval: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number of seconds from 0 to 86400".to_owned()),
    }
}
