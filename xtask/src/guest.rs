//! `cargo xtask guest`

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::artifact::apt::Apt;
use samepage_tests::framework::artifact::{Kernel, kernel, store};
use samepage_tests::framework::paths;

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
    /// in a tree of its own under target/, as root or in a user namespace. In a guest of your own
    /// use guest/build.sh or guest/dkms/install.sh instead.
    Build {
        /// The kernel's series
        #[arg(long, value_name = "SERIES", default_value = kernel::DEFAULT)]
        kernel: String,
        /// Where samepage.ko goes [default: target/rig/samepage-<RELEASE>]
        #[arg(long, value_name = "DIRECTORY")]
        output: Option<PathBuf>,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Action::Build { kernel, output } = &arguments.command;
    let module = build(kernel, output.as_deref())?;
    println!("{}", module.display());
    Ok(ExitCode::SUCCESS)
}

/// What a kernel build needs and a package does not ask for, since Debian always has it.
const ESSENTIAL: &[&str] = &[
    "base-files",
    "coreutils",
    "dash",
    "diffutils",
    "dwarves",
    "findutils",
    "grep",
    "make",
    "mawk",
    "patch",
    "perl-base",
    "sed",
    "tar",
    "xz-utils",
];

fn build(series: &str, output: Option<&Path>) -> Result<PathBuf> {
    let release = release_of(series)?;
    let tree = build_tree(series, &release)?;
    let output =
        output.map_or_else(|| paths::rig().join(format!("samepage-{release}")), Path::to_path_buf);
    copy_sources(&tree)?;
    build_in(&tree, series, &release)?;
    fs::create_dir_all(&output)?;
    let module = output.join("samepage.ko");
    fs::copy(tree.join("build/out/samepage.ko"), &module)?;
    Ok(module)
}

/// The release of the rig's kernel, as `uname -r` says it.
fn release_of(series: &str) -> Result<String> {
    let modules = Kernel::obtain(series)?.modules.context("give a series, not a path")?;
    let name = modules.file_name().context("the kernel's modules have no name")?;
    Ok(name.to_string_lossy().into_owned())
}

/// A tree with the kernel's source, headers and compiler.
fn build_tree(series: &str, release: &str) -> Result<PathBuf> {
    let headers = format!("linux-headers-{release}");
    let source = format!("linux-source-{series}");
    let tree = store::ensure(&format!("module-build-{release}"), |directory| {
        let mut packages = vec![headers.as_str(), source.as_str()];
        packages.extend(ESSENTIAL);
        let (_, suite) = kernel::SERIES
            .iter()
            .find(|(name, _)| *name == series)
            .context("a series that can be fetched has a suite")?;
        Apt::open(*suite)?.unpack_with_dependencies(
            &format!("what builds modules for {release}"),
            &packages,
            false,
            directory,
        )
    })?;
    // Made by dpkg when packages are configured, which these are not.
    let awk = tree.join("usr/bin/awk");
    if !awk.exists() {
        std::os::unix::fs::symlink("mawk", awk)?;
    }
    Ok(tree)
}

fn copy_sources(tree: &Path) -> Result<()> {
    let workspace = paths::workspace();
    let place = tree.join("build");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    let sources = ["guest/build.sh", "guest/linux", "shm-layout/include/samepage_table.h"];
    let status = Command::new("cp")
        .arg("-r")
        .args(sources.map(|source| workspace.join(source)))
        .arg(&place)
        .status()?;
    ensure!(status.success(), "cannot copy guest/ into {}", place.display());
    Ok(())
}

/// Run guest/build.sh with the tree as its root, so that the kernel's own compiler and libraries
/// are used whatever this machine is.
fn build_in(tree: &Path, series: &str, release: &str) -> Result<()> {
    const ENTER: &str = r#"mount --rbind /dev "$1/dev" && exec chroot "$@""#;
    let mut command = Command::new("unshare");
    command.arg("--mount");
    let is_root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    if !is_root {
        command.args(["--user", "--map-root-user"]);
    }
    let status = command
        .args(["sh", "-c", ENTER, "sh"])
        .arg(tree)
        .args(["/bin/sh", "/build/build.sh", "--output", "/build/out", "--source"])
        .arg(format!("/usr/src/linux-source-{series}.tar.xz"))
        .arg("--headers")
        .arg(format!("/usr/src/linux-headers-{release}"))
        .arg(release)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .status()
        .context("cannot run unshare (util-linux)")?;
    ensure!(status.success(), "samepage.ko for {release} could not be built");
    Ok(())
}
