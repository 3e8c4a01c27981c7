//! `cargo xtask man`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::{cargo, paths};

/// Write the man pages and the shells' completions
///
/// Those of samepaged and samepage come from what the programs themselves know of their options.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where: pages go to man/ in it, completions to completions/
    #[arg(long, value_name = "DIRECTORY", default_value = "target/manual")]
    output: PathBuf,
}

/// The page that is written by hand, for a script.
pub(crate) const MOUNT_PAGE: &str = "guest/mount.samepage.8";

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    write(&arguments.output)?;
    println!("{}", arguments.output.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes everything to `output`.
pub(crate) fn write(output: &Path) -> Result<()> {
    let output = std::path::absolute(output)?;
    let mut command = cargo::command();
    command
        .args(["run", "--quiet", "--package", "samepage-cli", "--example", "manual", "--"])
        .arg(&output)
        .current_dir(paths::workspace());
    ensure!(command.status().context("cannot run cargo")?.success(), "the pages cannot be made");
    let page = paths::workspace().join(MOUNT_PAGE);
    let name = page.file_name().context("a page has a name")?;
    fs::copy(&page, output.join("man").join(name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the script says of its options, the page says, too.
    #[test]
    fn the_page_of_the_script_knows_its_options() {
        let read = |path: &str| fs::read_to_string(paths::workspace().join(path)).unwrap();
        let (script, page) = (read("guest/mount.samepage"), read(MOUNT_PAGE).replace('\\', ""));
        let usage = script.split("USAGE").nth(1).unwrap();
        let options: Vec<_> =
            usage.split_whitespace().filter(|word| word.starts_with("--")).collect();
        assert!(options.len() >= 2, "{options:?}");
        for option in options {
            assert!(page.contains(option), "{option}");
        }
        assert!(page.contains("table="));
    }
}
