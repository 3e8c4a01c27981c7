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

/// What the fuzzer begins with, where it would not find that soon: one valid request an opcode, one step of each kind.
fn plant_seeds(target: &str) -> Result<()> {
    let (package, feature, example) = match target {
        "server" => ("fuse", "testing", "fuzz-seeds"),
        "window" => ("samepaged", "fuzzing", "window-seeds"),
        _ => return Ok(()),
    };
    let mut command = cargo::command();
    command
        .args(["run", "--quiet", "--package", package, "--features", feature])
        .args(["--example", example, "--"])
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
