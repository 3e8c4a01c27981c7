//! `cargo xtask deny`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use samepage_tests::framework::{cargo, paths};

/// Check licences, sources and known faults of everything that we link, by deny.toml
///
/// Builds cargo-deny into target/rig first, which takes some minutes, unless it is in PATH.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

const VERSION: &str = "0.20.2";

pub(crate) fn run(_: &Arguments) -> Result<ExitCode> {
    let program = match installed() {
        Some(program) => program,
        None => cargo::install("cargo-deny", VERSION, |_| Ok(()))?,
    };
    Ok(if check(&program)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The program, if it is here already.
pub(crate) fn installed() -> Option<PathBuf> {
    let built = paths::rig().join(format!("cargo-deny-{VERSION}/bin/cargo-deny"));
    if built.is_file() { Some(built) } else { cargo::find_in_path("cargo-deny").ok() }
}

/// Run it; `false` when it complains.
pub(crate) fn check(program: &PathBuf) -> Result<bool> {
    let mut words = vec!["--workspace", "check", "bans", "licenses", "sources"];
    if advisories_are_reachable(program) {
        words.push("advisories");
    } else {
        println!("skipped: the advisory database cannot be fetched here");
    }
    let mut command = std::process::Command::new(program);
    let status = command.args(words).current_dir(paths::workspace()).status();
    Ok(status.with_context(|| format!("cannot run {}", program.display()))?.success())
}

fn advisories_are_reachable(program: &PathBuf) -> bool {
    let mut command = std::process::Command::new(program);
    let output = command.args(["fetch", "db"]).current_dir(paths::workspace()).output();
    output.is_ok_and(|output| output.status.success())
}
