//! `cargo xtask miri`

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use samepage_tests::framework::paths;

/// Run the engine's unit tests that need no kernel under Miri
///
/// Says so and does nothing where there is no nightly toolchain with Miri
/// (`rustup +nightly component add miri`).
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Modules whose tests touch no file, mapping or process, in all layers of the protocol.
const MODULES: [&str; 7] =
    ["change::", "holds::", "ledger::", "names::", "reap::", "slots::", "promises::"];

pub(crate) fn run(_: &Arguments) -> Result<ExitCode> {
    let version = miri().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        println!("miri: skipped, there is no nightly toolchain with Miri");
        return Ok(ExitCode::SUCCESS);
    }
    let mut command = miri();
    command
        .args(["test", "--package", "shm-layout", "--package", "coherence", "--lib"])
        .arg("--target-dir")
        .arg(paths::workspace().join("target/miri"))
        .arg("--")
        .args(MODULES)
        .current_dir(paths::workspace());
    let status = command.status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Miri belongs to a toolchain of its own, whichever one this program was built with.
fn miri() -> Command {
    let mut command = Command::new("cargo");
    command.args(["+nightly", "miri"]);
    command
}
