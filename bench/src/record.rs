//! What the benches do alike with what they measured.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::Serialize;

/// The machine's load average over a minute.
///
/// # Errors
/// There is no `/proc`.
pub fn load_average() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg").context("cannot read the load average")?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Whether `name` contains one of `parts`, or there are none to choose by.
#[must_use]
pub fn is_chosen(name: &str, parts: &[String]) -> bool {
    parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()))
}

/// Write `results` as `name` into `directory`, which is made.
///
/// # Errors
/// It cannot be written.
pub fn keep(results: &impl Serialize, directory: &Path, name: &str) -> Result<()> {
    let problem = || format!("cannot write to {}", directory.display());
    fs::create_dir_all(directory).with_context(problem)?;
    let json = serde_json::to_string_pretty(results)? + "\n";
    fs::write(directory.join(name), json).with_context(problem)
}

/// An error of the library that draws, which has types of errors that cannot be kept.
pub fn undrawn(error: impl Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_choose_by_chooses_all() {
        let parts = ["mmap".to_owned(), "psync".to_owned()];
        assert!(is_chosen("seqread-mmap", &parts) && is_chosen("seqread-psync", &parts));
        assert!(!is_chosen("seqread-libaio", &parts) && is_chosen("seqread-libaio", &[]));
    }
}
