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
        What::Daemon { arguments } => daemon(arguments),
    }
}

/// Optimized, for the front end's own time is part of every latency.
fn daemon(arguments: &[OsString]) -> Result<ExitCode> {
    let mut command: Command = cargo::command();
    command
        .args(["run", "--quiet", "--release", "--package", "samepage-bench", "--"])
        .args(arguments)
        .current_dir(paths::workspace());
    let status = command.status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
