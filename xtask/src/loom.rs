//! `cargo xtask loom`

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use samepage_tests::framework::{cargo, paths};

/// Explore every loom model of the coherence engine, and every model again with a rule broken
///
/// Prints model × states explored × time. Fails when a model breaks its promise, and when a broken
/// rule goes unnoticed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the runner: names of models
    words: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let status = command(&arguments.words).status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `cfg(loom)` changes every crate below, so these builds have a directory of their own.
pub(crate) fn command(words: &[String]) -> Command {
    let mut command = cargo::command();
    command
        .args(["test", "--quiet", "--package", "coherence", "--release", "--test", "loom"])
        .arg("--target-dir")
        .arg(paths::workspace().join("target/loom"))
        .arg("--")
        .args(words)
        // Loom's own assertions are debug assertions.
        .env("RUSTFLAGS", "--cfg loom -C debug_assertions")
        .current_dir(paths::workspace());
    command
}
