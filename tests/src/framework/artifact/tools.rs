//! Programs for the host and the guest, fetched as packages or built from released crates.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::apt::{Apt, Release};
use super::{sources, store};
use crate::framework::cargo;

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A statically linked busybox, the whole userland of a small guest.
///
/// # Errors
/// It cannot be fetched; without a Debian mirror `SAMEPAGE_BUSYBOX` must name one.
pub fn busybox() -> Result<PathBuf> {
    if let Some(path) = env::var_os("SAMEPAGE_BUSYBOX") {
        return Ok(path.into());
    }
    let tree =
        package("busybox-static", Release::Trixie).map_err(|error| match sources::debian() {
            Ok(_) => error,
            Err(_) => error.context("name a statically linked busybox in SAMEPAGE_BUSYBOX"),
        })?;
    let places = [tree.join("usr/bin/busybox"), tree.join("bin/busybox")];
    places.into_iter().find(|place| place.is_file()).context("busybox-static holds no busybox")
}

/// The unpacked tree of one package, without what it depends on.
///
/// # Errors
/// It cannot be fetched.
pub fn package(name: &str, release: Release) -> Result<PathBuf> {
    store::ensure(name, |directory| Apt::open(release)?.unpack(name, &[name], directory))
}

/// The unpacked tree of one package and everything it depends on, its C library included: its
/// programs run on any host and in any guest through [`loader`].
///
/// # Errors
/// It cannot be fetched.
pub fn package_with_dependencies(name: &str, release: Release) -> Result<PathBuf> {
    store::ensure(&format!("{name}-tree"), |directory| {
        Apt::open(release)?.unpack_with_dependencies(name, &[name], false, directory)
    })
}

/// The words to put before a program of such a tree.
#[must_use]
pub fn loader(tree: &Path) -> Vec<OsString> {
    let libraries = [tree.join(LIBRARIES), tree.join("lib/x86_64-linux-gnu")];
    let loaders = ["usr/lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"];
    let program = loaders.iter().map(|name| tree.join(name)).find(|path| path.exists());
    let mut search = libraries[0].clone().into_os_string();
    search.push(":");
    search.push(&libraries[1]);
    vec![program.unwrap_or_else(|| tree.join(loaders[0])).into(), "--library-path".into(), search]
}

/// dbench, the file server's load, with its libraries; run it through [`loader`].
///
/// # Errors
/// It cannot be fetched.
pub fn dbench() -> Result<PathBuf> {
    package_with_dependencies("dbench", Release::Bookworm)
}

/// fio, the flexible load for files, with its libraries; run it through [`loader`].
///
/// # Errors
/// It cannot be fetched.
pub fn fio() -> Result<PathBuf> {
    package_with_dependencies("fio", Release::Bookworm)
}

/// `newuidmap` and `newgidmap`, with the host's libraries.
///
/// # Errors
/// They cannot be fetched.
pub fn uidmap() -> Result<PathBuf> {
    Ok(package("uidmap", Release::Bookworm)?.join("usr/bin"))
}

/// The source of zlib, a package that is quick to build and tests itself.
///
/// # Errors
/// It cannot be fetched.
pub fn zlib_source() -> Result<PathBuf> {
    source("zlib", Release::Bookworm)
}

/// The upstream archive of a source package, as its authors released it.
///
/// # Errors
/// It cannot be fetched.
pub fn source(name: &str, release: Release) -> Result<PathBuf> {
    let tree = store::ensure(&format!("{name}-source"), |directory| {
        Apt::open_sources(release)?.source(name, directory)
    })?;
    let mut files = tree.read_dir()?.filter_map(|entry| Some(entry.ok()?.path()));
    let archive = files.find(|path| path.to_string_lossy().contains(".orig.tar."));
    archive.with_context(|| format!("the source package {name} has no upstream archive"))
}

/// virtiofsd, the daemon that figures are held against.
///
/// # Errors
/// It cannot be fetched or built.
pub fn virtiofsd() -> Result<PathBuf> {
    cargo::install("virtiofsd", "1.14.0", |command| {
        let packages = ["libseccomp-dev", "libcap-ng-dev"];
        let libraries = store::ensure("virtiofsd-libraries", |directory| {
            Apt::open(Release::Bookworm)?.unpack("virtiofsd's libraries", &packages, directory)
        })?;
        for library in ["LIBSECCOMP", "LIBCAPNG"] {
            command
                .env(format!("{library}_LIB_PATH"), libraries.join(LIBRARIES))
                .env(format!("{library}_LINK_TYPE"), "static");
        }
        Ok(())
    })
}

/// pjdfstest, the POSIX conformance suite, linked statically so that it runs in any guest.
///
/// # Errors
/// It cannot be fetched or built.
pub fn pjdfstest() -> Result<PathBuf> {
    cargo::install("pjdfstest", "0.2.2", |command| {
        let packages = ["libacl1-dev", "libattr1-dev"];
        let libraries = store::ensure("pjdfstest-libraries", |directory| {
            Apt::open(Release::Bookworm)?.unpack("pjdfstest's libraries", &packages, directory)
        })?;
        let search = format!("-Lnative={}", libraries.join(LIBRARIES).display());
        link_statically(command, &[search, "-Clink-arg=-lattr".into()]);
        Ok(())
    })
}

/// fsx, the random exerciser of reads, writes, truncations and mappings, linked statically.
///
/// # Errors
/// It cannot be fetched or built.
pub fn fsx() -> Result<PathBuf> {
    cargo::install("fsx", "0.3.2", |command| {
        link_statically(command, &[]);
        Ok(())
    })
}

/// Test suites are built once and wait for the kernel most of the time, so they are not optimized.
/// A named target keeps the flags away from build scripts and macros, which are host programs.
fn link_statically(command: &mut Command, more: &[String]) {
    let mut flags: Vec<String> =
        ["-Ctarget-feature=+crt-static", "-Cdebuginfo=0", "-Cstrip=symbols"].map(Into::into).into();
    flags.extend_from_slice(more);
    command
        .args(["--debug", "--target", TARGET])
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
}
