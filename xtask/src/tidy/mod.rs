//! `cargo xtask tidy`: what the compiler does not check.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::{artifact::sources, paths};

mod layers;
mod source;
mod text;

/// Check the edges between layers, where unsafe code may be, and that no file names this machine
///
/// Also lists the files that have grown beyond what a reader holds in his head.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Above this a file is listed.
const LONG: usize = 400;
/// Above this it is an error.
const TOO_LONG: usize = 800;

/// A file of the repository.
pub(crate) struct File {
    /// Relative to the root.
    path: String,
    text: String,
}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode> {
    let files = repository()?;
    let mut complaints = Vec::new();
    complaints.extend(layers::check(&files));
    complaints.extend(text::check(&files, &mirrors()));
    for (path, lines) in long_files(&files) {
        println!("tidy: {path} has {lines} lines; {LONG} are plenty");
        if lines > TOO_LONG {
            complaints.push(format!("{path}: {lines} lines are too many (limit {TOO_LONG})"));
        }
    }
    for complaint in &complaints {
        println!("tidy: {complaint}");
    }
    println!("tidy: {} files, {} complaints", files.len(), complaints.len());
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every text file that git knows, or would if it were added.
fn repository() -> Result<Vec<File>> {
    let root = paths::workspace();
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(&root)
        .output()
        .context("cannot run git")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout)?;
    let names = names.split('\0').filter(|name| !name.is_empty());
    // A file that was deleted but is still in the index is passed over, and so are binary files.
    Ok(names.filter_map(|name| File::read(&root, name)).collect())
}

impl File {
    fn read(root: &Path, name: &str) -> Option<Self> {
        Some(Self { path: name.to_owned(), text: fs::read_to_string(root.join(name)).ok()? })
    }

    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }
}

/// The mirrors that this machine's apt uses, if it has one: they must not be written down.
fn mirrors() -> Vec<String> {
    let source = sources::debian().unwrap_or_default();
    let uris = source.get("uris").cloned().unwrap_or_default();
    let hosts = uris.split_whitespace().filter_map(|uri| uri.split('/').nth(2));
    hosts.filter(|host| !host.is_empty()).map(str::to_owned).collect()
}

fn long_files(files: &[File]) -> Vec<(&str, usize)> {
    let lengths = files
        .iter()
        .filter(|file| file.is_rust())
        .map(|file| (file.path.as_str(), file.text.lines().count()));
    lengths.filter(|(_, lines)| *lines > LONG).collect()
}
