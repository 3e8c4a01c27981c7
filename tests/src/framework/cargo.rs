//! Building with cargo from within the rig.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::{artifact, paths};

/// A release build of `samepaged`; what is up to date is not built again.
///
/// # Errors
/// It does not compile.
pub fn samepaged() -> Result<PathBuf> {
    build(&["build", "--release", "--package", "samepaged", "--bin", "samepaged"], &[])
}

/// A release build of `samepage`, the operator's tool.
///
/// # Errors
/// It does not compile.
pub fn samepage() -> Result<PathBuf> {
    build(&["build", "--release", "--package", "samepage-cli", "--bin", "samepage"], &[])
}

/// A program as packages carry it, made by the profile `dist`: minutes, where it is not there yet.
///
/// # Errors
/// It does not compile.
pub fn packaged(package: &str, program: &str) -> Result<PathBuf> {
    build(&["build", "--profile", "dist", "--package", package, "--bin", program], &[])
}

/// A build of `samepaged` that breaks the rule of the coherence protocol which its environment
/// names. It has a target directory of its own, so that nobody takes it for the real one.
///
/// # Errors
/// It does not compile.
pub fn faulty_samepaged() -> Result<PathBuf> {
    let place = paths::rig().join("build/fault-injection");
    let place = place.to_str().context("the rig's path is no text")?;
    let features = ["--features", "fault-injection", "--target-dir", place];
    let words = ["build", "--package", "samepaged", "--bin", "samepaged"];
    build(&[words.as_slice(), &features].concat(), &[])
}

/// The guest's first process, linked statically so that it runs on any root.
///
/// # Errors
/// It does not compile, or the C library's static half (libc6-dev) is missing.
pub fn guest_agent() -> Result<PathBuf> {
    build_static("samepage-guest", "samepage-guest")
}

/// The recorder of histories, linked statically so that it runs in any guest.
///
/// # Errors
/// As [`guest_agent`].
pub fn recorder() -> Result<PathBuf> {
    build_static("samepage-history", "samepage-recorder")
}

/// The program that stores and loads through mappings, linked statically so that it runs in any guest.
///
/// # Errors
/// As [`guest_agent`].
pub fn mapper() -> Result<PathBuf> {
    build_static("samepage-history", "samepage-mapper")
}

/// The program that looks at trees over and over, linked statically so that it runs in any guest.
///
/// # Errors
/// As [`guest_agent`].
pub fn probe() -> Result<PathBuf> {
    build_static("samepage-guest", "samepage-probe")
}

/// System calls that a tiny guest has no program for, linked statically so that they run in any.
///
/// # Errors
/// As [`guest_agent`].
pub fn calls() -> Result<PathBuf> {
    build_static("samepage-guest", "samepage-calls")
}

/// The program that locks files step by step, linked statically so that it runs in any guest.
///
/// # Errors
/// As [`guest_agent`].
pub fn locker() -> Result<PathBuf> {
    build_static("samepage-guest", "samepage-locker")
}

/// The program that works on a share for hours, linked statically so that it runs in any guest.
///
/// # Errors
/// As [`guest_agent`].
pub fn soaker() -> Result<PathBuf> {
    build_static("samepage-history", "samepage-soaker")
}

/// The tests of `samepaged` that run the real program, as one program.
///
/// # Errors
/// They do not compile.
pub fn daemon_tests() -> Result<PathBuf> {
    build(&["test", "--no-run", "--package", "samepaged", "--test", "binary"], &[])
}

fn build_static(package: &str, program: &str) -> Result<PathBuf> {
    let words = ["rustc", "--release", "--package", package, "--bin", program];
    let strip = ["--", "-C", "target-feature=+crt-static", "-C", "strip=symbols"];
    build(&words, &strip)
}

/// Install a released program into the rig's store, with what `prepare` adds to the command, and
/// give back the path of its binary.
///
/// # Errors
/// It cannot be fetched or does not compile.
pub fn install(
    program: &str,
    version: &str,
    prepare: impl FnOnce(&mut Command) -> Result<()>,
) -> Result<PathBuf> {
    let made = artifact::store::ensure(&format!("{program}-{version}"), |directory| {
        let step = artifact::progress::Step::begin(format!("building {program} {version}"));
        let build = super::cleanup::Scratch::new_in(&paths::rig().join("build"))?;
        let mut command = self::command();
        command
            .args(["install", "--quiet", "--locked", "--no-track", "--root"])
            .arg(directory)
            .args(["--version", &format!("={version}"), program])
            .env("CARGO_TARGET_DIR", build.path());
        prepare(&mut command)?;
        let output = command.stdin(Stdio::null()).output().context("cannot run cargo")?;
        ensure!(
            output.status.success(),
            "cargo could not install {program} {version}:\n{}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        step.done("");
        Ok(artifact::store::Record::of("crates.io", [(program, version)]))
    })?;
    Ok(made.join("bin").join(program))
}

/// A cargo command.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What an outer cargo set for the program it runs must not leak into an inner build.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
    }
    command
}

/// A line of cargo's `--message-format=json`, as far as we care.
#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
}

fn build(options: &[&str], rustc_options: &[&str]) -> Result<PathBuf> {
    let mut command = self::command();
    command
        .current_dir(paths::workspace())
        .args(options)
        .args(["--quiet", "--message-format=json-render-diagnostics"])
        .args(rustc_options)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo {} failed", options.join(" "));
    last_executable(&output.stdout)
        .with_context(|| format!("cargo {} named no program", options.join(" ")))
}

fn last_executable(messages: &[u8]) -> Option<PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .filter_map(|message| message.executable)
        .next_back()
}

/// The program called `name` in the directories of `PATH`.
///
/// # Errors
/// There is none.
pub fn find_in_path(name: impl AsRef<OsStr>) -> Result<PathBuf> {
    let name = Path::new(name.as_ref());
    for directory in env::split_paths(&env::var_os("PATH").unwrap_or_default()) {
        let candidate = directory.join(name);
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!("there is no {} in PATH", name.display())
}
