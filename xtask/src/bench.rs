//! `cargo xtask bench`

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use samepage_tests::framework::{cargo, paths};

/// Measure
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// The version table's engine, against the floor of the machine
    ///
    /// The tables of docs/performance.md. Ratios are medians over rounds, their extremes in brackets.
    Engine {
        /// Leave out what needs many processes
        #[arg(long)]
        alone: bool,
        /// Each operation by itself instead, with criterion
        #[arg(long, conflicts_with = "alone")]
        criterion: bool,
    },
    /// How much guests lose to slots that things share, by table size; draws docs/images/false-invalidation.svg
    Collisions,
    /// How soon changes on the host are noticed, and what it costs to watch for them; draws docs/images/watch-latency.svg
    Watch {
        /// Leave out what several daemons and a large tree cost
        #[arg(long)]
        latency_only: bool,
        /// How many files the large tree has, ten to a directory
        #[arg(long, default_value_t = 1_000_000)]
        files: u64,
    },
    /// What work on a share costs in a coherent guest, and in guests of virtiofsd and samepaged
    #[command(disable_help_flag = true)]
    Guest {
        /// See `cargo xtask bench guest --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// The first virtio-fs posting's fio jobs, over 9p, virtiofsd and samepaged, without and with DAX
    #[command(disable_help_flag = true)]
    Fio {
        /// See `cargo xtask bench fio --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// What files cost in a coherent guest that another has mapped for writing (DAX)
    #[command(disable_help_flag = true)]
    Mapped {
        /// See `cargo xtask bench mapped --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Two virtio-fs daemons side by side, without a VM
    #[command(disable_help_flag = true)]
    Daemon {
        /// See `cargo xtask bench daemon --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.what {
        What::Engine { criterion: true, .. } => engine_package(&["bench", "--bench", "engine"]),
        What::Engine { alone: true, .. } => {
            engine_package(&["bench", "--bench", "ratios", "--", "--alone"])
        }
        What::Engine { .. } => engine_package(&["bench", "--bench", "ratios"]),
        What::Collisions => engine_package(&["run", "--release", "--example", "collisions"]),
        What::Watch { latency_only, files } => watch(*latency_only, *files),
        What::Guest { arguments } => benches("samepage-bench-guest", arguments),
        What::Fio { arguments } => benches("samepage-bench-fio", arguments),
        What::Mapped { arguments } => benches("samepage-bench-mapped", arguments),
        What::Daemon { arguments } => benches("samepage-bench", arguments),
    }
}

fn watch(latency_only: bool, files: u64) -> Result<ExitCode> {
    let example = ["run", "--release", "--example", "watch", "--"];
    let latency = [&example[..], &["latency", "docs/images/watch-latency.svg"]].concat();
    let ended = engine_package(&latency)?;
    if latency_only || ended != ExitCode::SUCCESS {
        return Ok(ended);
    }
    let ended = engine_package(&[&example[..], &["daemons"]].concat())?;
    if ended != ExitCode::SUCCESS {
        return Ok(ended);
    }
    engine_package(&[&example[..], &["tree", &files.to_string()]].concat())
}

/// Runs what belongs to the engine's own package.
fn engine_package(words: &[&str]) -> Result<ExitCode> {
    let mut command: Command = cargo::command();
    let (verb, rest) = words.split_at(1);
    command.args(verb).args(["--quiet", "--package", "coherence"]).args(rest);
    finish(command)
}

/// Optimized, for the front end's own time is part of every latency.
fn benches(program: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let mut command: Command = cargo::command();
    command
        .args(["run", "--quiet", "--release", "--package", "samepage-bench", "--bin", program])
        .arg("--")
        .args(arguments);
    finish(command)
}

fn finish(mut command: Command) -> Result<ExitCode> {
    let status = command.current_dir(paths::workspace()).status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
