//! `cargo xtask fuzz`

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::{cargo, paths};

/// Let a hostile guest talk to the daemon's decoders (cargo-fuzz, libFuzzer)
///
/// Builds cargo-fuzz into target/rig first, unless it is in PATH. Sanitizers want a nightly
/// compiler; a stable one is told to behave like it. Begins with what is in fuzz/seeds and
/// fuzz/corpus, and says at the end how many executions each target had.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Files in fuzz/fuzz_targets, without .rs; none: all of them, in turn
    targets: Vec<String>,
    /// How long each has its turn
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u32,
    /// Go on with another turn of each until there were so many executions in all
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    executions: u64,
    /// Without AddressSanitizer: several times as fast, and finds panics only
    #[arg(long)]
    plain: bool,
}

const VERSION: &str = "0.13.2";
/// Where libFuzzer says how many there were.
const EXECUTIONS: &str = "stat::number_of_executed_units:";

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let program = cargo_fuzz()?;
    let targets = targets(&arguments.targets)?;
    let mut counts = vec![0; targets.len()];
    loop {
        for (target, count) in targets.iter().zip(&mut counts) {
            plant_seeds(target)?;
            let (executions, success) = fuzz(&mut command(&program, target, arguments))?;
            *count += executions;
            if !success {
                println!("{target}: see fuzz/artifacts/{target}");
                return Ok(ExitCode::FAILURE);
            }
        }
        if counts.iter().sum::<u64>() >= arguments.executions {
            break;
        }
    }
    for (target, count) in targets.iter().zip(&counts) {
        println!("{target:<16}{count:>14} executions");
    }
    println!("{:<16}{:>14} executions, no finding", "all", counts.iter().sum::<u64>());
    Ok(ExitCode::SUCCESS)
}

/// Those that are named, or all there are.
fn targets(named: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(paths::workspace().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        all.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    all.sort();
    let unknown = named.iter().find(|name| !all.contains(name));
    ensure!(unknown.is_none(), "there is no target {unknown:?}; there are {}", all.join(", "));
    Ok(if named.is_empty() { all } else { named.to_vec() })
}

fn cargo_fuzz() -> Result<PathBuf> {
    cargo::find_in_path("cargo-fuzz").or_else(|_| cargo::install("cargo-fuzz", VERSION, |_| Ok(())))
}

/// What the fuzzer begins with, where it would not find that soon: one valid request an opcode, one step of each kind.
fn plant_seeds(target: &str) -> Result<()> {
    let corpus = paths::workspace().join("fuzz/corpus").join(target);
    fs::create_dir_all(&corpus)?;
    let (package, feature, example) = match target {
        "server" => ("fuse", "testing", "fuzz-seeds"),
        "window" => ("samepaged", "fuzzing", "window-seeds"),
        _ => return Ok(()),
    };
    let mut command = cargo::command();
    command
        .args(["run", "--quiet", "--package", package, "--features", feature])
        .args(["--example", example, "--"])
        .arg(corpus)
        .current_dir(paths::workspace());
    ensure!(command.status().context("cannot run cargo")?.success(), "cannot make seeds");
    Ok(())
}

fn command(program: &Path, target: &str, arguments: &Arguments) -> Command {
    let workspace = paths::workspace();
    let mut command = Command::new(program);
    command.args(["fuzz", "run", "-O"]);
    if arguments.plain {
        command.args(["--sanitizer", "none"]);
    }
    command
        .args([target, &format!("corpus/{target}"), &format!("seeds/{target}"), "--target-dir"])
        .arg(workspace.join("target/fuzz").join(if arguments.plain { "plain" } else { "asan" }))
        .args(["--", &format!("-max_total_time={}", arguments.seconds), "-print_final_stats=1"])
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(workspace.join("fuzz"));
    command
}

/// Shows what libFuzzer says; how many executions there were, and whether nothing was found.
fn fuzz(command: &mut Command) -> Result<(u64, bool)> {
    let mut child = command.stderr(Stdio::piped()).spawn().context("cannot run cargo fuzz")?;
    let mut executions = 0;
    for line in BufReader::new(child.stderr.take().context("it was piped")?).lines() {
        let line = line?;
        if let Some(count) = line.strip_prefix(EXECUTIONS) {
            executions = count.trim().parse().with_context(|| line.clone())?;
        }
        eprintln!("{line}");
    }
    Ok((executions, child.wait()?.success()))
}
