//! `cargo xtask model`

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use samepage_tests::framework::{cargo, paths};

/// Explore the coherence protocol's model, and the model again with each rule broken
///
/// What follows `--` goes to the explorer: `cargo xtask model -- --help` lists its options,
/// `-- --fault NAME` tells how breaking a rule goes wrong.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the explorer
    #[arg(last = true)]
    words: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let status = command(&arguments.words).status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The explorer, which only an optimised build makes bearable.
pub(crate) fn command(words: &[String]) -> Command {
    let mut command = cargo::command();
    command
        .args(["run", "--quiet", "--release", "--package", "protocol-model", "--"])
        .args(words)
        .current_dir(paths::workspace());
    command
}
