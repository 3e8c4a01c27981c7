//! `cargo xtask fuzz`

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::{cargo, paths};

/// Let a hostile guest talk to the server (cargo-fuzz, libFuzzer)
///
/// Builds cargo-fuzz into target/rig first, unless it is in PATH. Sanitizers want a nightly
/// compiler; a stable one is told to behave like it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The target: a file in fuzz/fuzz_targets, without .rs
    #[arg(default_value = "server")]
    target: String,
    /// How long
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u32,
}

const VERSION: &str = "0.13.2";

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let program = cargo_fuzz()?;
    plant_seeds(&arguments.target)?;
    let status = command(&program, arguments).status();
    let status = status.with_context(|| format!("cannot run {}", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cargo_fuzz() -> Result<PathBuf> {
    cargo::find_in_path("cargo-fuzz").or_else(|_| cargo::install("cargo-fuzz", VERSION, |_| Ok(())))
}

/// One valid request an opcode, for the server's fuzzer to begin with. The others find theirs soon.
fn plant_seeds(target: &str) -> Result<()> {
    if target != "server" {
        return Ok(());
    }
    let mut command = cargo::command();
    command
        .args(["run", "--quiet", "--package", "fuse", "--features", "testing"])
        .args(["--example", "fuzz-seeds", "--"])
        .arg(paths::workspace().join("fuzz/corpus").join(target))
        .current_dir(paths::workspace());
    ensure!(command.status().context("cannot run cargo")?.success(), "cannot make seeds");
    Ok(())
}

fn command(program: &Path, arguments: &Arguments) -> Command {
    let mut command = Command::new(program);
    command
        .args(["fuzz", "run", &arguments.target, "--target-dir"])
        .arg(paths::workspace().join("target/fuzz"))
        .args(["--", &format!("-max_total_time={}", arguments.seconds)])
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(paths::workspace().join("fuzz"));
    command
}
