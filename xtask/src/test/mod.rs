//! `cargo xtask test`

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::Result;
use samepage_tests::framework::{artifact, cargo};

mod count;
mod steps;

use count::Count;

/// Run every check and every test
///
/// In this order: tidy, formatting, lints, unit, property and request-path tests, loom models, the
/// protocol model, tests in real VMs, dependency policy. The last line says `N passed, M failed, K
/// skipped`; the exit status is 0 only when nothing failed. With a FILTER only the tests run whose
/// names contain it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask test                         everything that a change must pass
  cargo xtask test --long                  and what takes long
  cargo xtask test pjdfstest               the tests with this in their names
  cargo xtask test --daemon virtiofsd fsx  VM tests against another daemon")]
pub(crate) struct Arguments {
    /// Run the tests that take long, too
    #[arg(long)]
    long: bool,
    /// Serve the VM tests' shares with this daemon: samepaged, virtiofsd, or a command line
    #[arg(long, value_name = "PROGRAM ARGS")]
    daemon: Option<OsString>,
    /// Only tests whose names contain this
    filter: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let begun = Instant::now();
    let mut total = Count::default();
    let mut failed = Vec::new();
    for step in steps::all(arguments) {
        println!("\n=== {}", step.name);
        let since = Instant::now();
        let count = step.run(arguments);
        println!("--- {}: {count}, {:.0} s", step.name, since.elapsed().as_secs_f64());
        if count.failed > 0 {
            failed.push(step.name);
        }
        total = total + count;
    }
    println!("\n{} minutes in all", begun.elapsed().as_secs().div_ceil(60));
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    println!("{total}");
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Everything that VM tests use, before the clock of any test runs.
fn prepare(arguments: &Arguments) -> Result<()> {
    artifact::fetch_defaults()?;
    artifact::fetch_for_tests()?;
    cargo::guest_agent()?;
    cargo::recorder()?;
    cargo::probe()?;
    cargo::calls()?;
    if arguments.long {
        cargo::faulty_samepaged()?;
    }
    cargo::samepaged()?;
    if arguments.daemon.as_ref().is_some_and(|daemon| daemon == "virtiofsd") {
        artifact::tools::virtiofsd()?;
    }
    Ok(())
}

/// A cargo command of the workspace.
fn cargo_command(words: &[&str]) -> Command {
    let mut command = cargo::command();
    command.args(words).current_dir(samepage_tests::framework::paths::workspace());
    command
}
