//! `cargo xtask guest`

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use samepage_tests::framework::artifact::{kernel, module};

/// Build what runs in a guest
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Build samepage.ko for one of the rig's kernels
    ///
    /// The kernel's source, its headers and its compiler come from Debian packages; the build runs
    /// in a tree of its own under target/, as root or in a user namespace. What was built from the
    /// same sources is not built again. In a guest of your own use guest/build.sh or
    /// guest/dkms/install.sh instead.
    Build {
        /// The kernel's series
        #[arg(long, value_name = "SERIES", default_value = kernel::DEFAULT)]
        kernel: String,
        /// A variant for tests, with a parameter "fault" that names a check to leave out
        #[arg(long)]
        faults: bool,
        /// Copy samepage.ko to this directory too, rather than only into target/rig
        #[arg(long, value_name = "DIRECTORY")]
        output: Option<PathBuf>,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Action::Build { kernel, faults, output } = &arguments.command;
    let mut module = module::obtain(kernel, *faults)?;
    if let Some(directory) = output {
        let copy = directory.join("samepage.ko");
        fs::create_dir_all(directory)
            .and_then(|()| fs::copy(&module, &copy))
            .with_context(|| format!("cannot write {}", copy.display()))?;
        module = copy;
    }
    println!("{}", module.display());
    Ok(ExitCode::SUCCESS)
}
