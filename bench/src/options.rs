//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

/// Drives virtio-fs daemons over vhost-user without a VM, and compares them.
///
/// Both daemons serve one directory, each with its front end connected all the time, and are loaded in turn: A B A B.
/// Ratios are ours divided by theirs, round by round; the table shows their median and in brackets the extremes.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask bench daemon",
    max_term_width = 100,
    after_help = "Examples:
  cargo xtask bench daemon                              samepaged against virtiofsd, every job, depth 1
  cargo xtask bench daemon --jobs lookup,getattr --depths 1,16 --queues 1,2
  cargo xtask bench daemon --against 'virtiofsd --thread-pool-size 4'
  cargo xtask bench daemon --grow --jobs lookup-hit,getattr,create-unlink,read-4k
  cargo xtask bench daemon --daemon coherent --against samepaged     what coherence costs
  cargo xtask bench daemon --daemon coherent --against samepaged --front-ends 16 --depths 4
  cargo xtask bench daemon --inodes 1000000 --jobs empty --against 'virtiofsd --inode-file-handles=prefer'
  cargo xtask bench daemon --daemon 'target/release/samepaged' --against '/tmp/old/samepaged'"
)]
pub(crate) struct Options {
    /// The daemon to measure: samepaged, coherent (samepaged on a version table, with guests that ask for stamps),
    /// virtiofsd, each with more arguments or none; or a command line
    #[arg(long, value_name = "PROGRAM ARGS", default_value = "samepaged")]
    pub(crate) daemon: OsString,
    /// The daemon to hold it against
    #[arg(long, value_name = "PROGRAM ARGS", default_value = "virtiofsd")]
    pub(crate) against: OsString,
    /// Jobs whose names contain one of these
    #[arg(long, value_delimiter = ',')]
    pub(crate) jobs: Vec<String>,
    /// Operations in flight
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    pub(crate) depths: Vec<usize>,
    /// Request queues, each driven by a thread; a daemon with fewer is left out
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    pub(crate) queues: Vec<usize>,
    /// Front ends, each with a daemon of its own on the one directory; depths and queues are each one's
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    pub(crate) front_ends: Vec<usize>,
    /// Rounds; each loads both daemons once
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Milliseconds of load that are measured in a round, after a quarter of that to warm up
    #[arg(long, value_name = "MS", default_value_t = 400)]
    pub(crate) time: u64,
    /// Have a guest of each daemon know so many inodes first, and say what they cost (a million take minutes)
    #[arg(long, value_name = "COUNT")]
    pub(crate) inodes: Option<usize>,
    /// Show growth instead: depths from 1 to 64, then queues to 4, front ends to 16, and known inodes to 100,000, all else
    /// the same; draws growth.svg. Name few jobs
    #[arg(long, conflicts_with_all = ["depths", "queues", "front_ends"])]
    pub(crate) grow: bool,
    /// The daemons' cache mode
    #[arg(long, default_value = "auto")]
    pub(crate) cache: String,
    /// Where to write bench.json, bench.svg and growth.svg
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub(crate) out: PathBuf,
}
