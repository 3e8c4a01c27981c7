//! `cargo xtask deb`

mod daemon;
mod driver;
mod package;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use samepage_tests::framework::cargo;

use package::Package;

/// Build the Debian packages: samepaged for hosts, samepage-dkms for guests
///
/// With dpkg-deb, which must be installed; the programs are optimized as a whole, which takes minutes. What the packages hold is said in xtask/src/deb.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the packages go
    #[arg(long, value_name = "DIRECTORY", default_value = "target/deb")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    cargo::find_in_path("dpkg-deb").context("packages need dpkg-deb (apt install dpkg)")?;
    let output = std::path::absolute(&arguments.output)?;
    fs::create_dir_all(&output)?;
    for build in [daemon::package, driver::package] {
        let package: Package = build(&output)?;
        println!("{}", package.build(&output)?.display());
    }
    Ok(ExitCode::SUCCESS)
}
