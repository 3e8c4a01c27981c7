//! `cargo xtask fetch`

use std::process::ExitCode;

use anyhow::Result;
use samepage_tests::framework::artifact::{self, Kernel, store, tools};

/// Fetch what the VMs need into target/rig (other commands do it by themselves)
///
/// QEMU, kernels and tools come from Debian packages, through a private apt root that uses this
/// machine's mirror and keys and changes nothing outside target/. Once fetched, everything works
/// offline.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask fetch                 QEMU, the default kernel, busybox
  cargo xtask fetch --kernel 7.2    another kernel as well
  cargo xtask fetch --all           every kernel, virtiofsd, test suites
  cargo xtask fetch --renew --all   newer ones, if the mirror has any")]
pub(crate) struct Arguments {
    /// Fetch this kernel too
    #[arg(long, value_name = "SERIES")]
    kernel: Vec<String>,
    /// Fetch and build everything that any test uses
    #[arg(long)]
    all: bool,
    /// Forget what was fetched before
    #[arg(long)]
    renew: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.renew {
        for (name, _) in store::list()? {
            store::remove(&name)?;
        }
    }
    artifact::fetch_defaults()?;
    for series in &arguments.kernel {
        Kernel::obtain(series)?;
    }
    if arguments.all {
        artifact::fetch_for_tests()?;
        tools::virtiofsd()?;
    }
    for (name, record) in store::list()? {
        let newest = record.packages.last().map_or("", |package| &package.version);
        println!("{name}: {newest} ({}, {} packages)", record.origin, record.packages.len());
    }
    Ok(ExitCode::SUCCESS)
}
