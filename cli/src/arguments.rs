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
