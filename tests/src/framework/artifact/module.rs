//! `samepage.ko`, the driver of coherent guests, built for one of the rig's kernels.
//!
//! The kernel's source, its headers and its compiler come from Debian packages; the build runs in
//! a tree of its own under the store, as root or in a user namespace, whatever this machine is.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::Kernel;
use super::apt::Apt;
use super::kernel::Image;
use super::progress::Step;
use super::store::{self, Record};
use crate::framework::cleanup::Scratch;
use crate::framework::paths;

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

/// What a build takes from the workspace.
const SOURCES: &[&str] = &["guest/build.sh", "guest/linux", "shm-layout/include/samepage_table.h"];

/// The helper that binds a device to the driver and mounts it.
#[must_use]
pub fn mount_helper() -> PathBuf {
    paths::workspace().join("guest/mount.samepage")
}

/// `samepage.ko` for the rig's kernel of this name. What was built from the same sources is not
/// built again. With `faults` it has a parameter `fault`, which names a check that is left out and
/// that tests must miss.
///
/// # Errors
/// There are no patches for the series, the packages cannot be fetched, or it does not compile.
pub fn obtain(kernel: &str, faults: bool) -> Result<PathBuf> {
    let release = release_of(kernel)?;
    let image = Image::named(kernel)?;
    let variant = if faults { "-faults" } else { "" };
    let key = fingerprint(SOURCES.iter().map(|source| paths::workspace().join(source)))?;
    let made = store::ensure(&format!("samepage-{release}{variant}-{key:016x}"), |directory| {
        let tree = build_tree(image, &release)?;
        let step = Step::begin(format!("building samepage.ko for {release}{variant}"));
        build_in(&tree, image.series, &release, faults, directory)?;
        step.done("");
        Ok(Record::of("guest/build.sh", [("samepage.ko", release.as_str())]))
    })?;
    Ok(made.join("samepage.ko"))
}

/// The release of the rig's kernel, as `uname -r` says it.
fn release_of(kernel: &str) -> Result<String> {
    let modules =
        Kernel::obtain(kernel)?.modules.context("name a kernel of the rig, not a path")?;
    let name = modules.file_name().context("the kernel's modules have no name")?;
    Ok(name.to_string_lossy().into_owned())
}

/// A number that changes with the name or the contents of any file below these paths, but for
/// what is only read by people.
fn fingerprint(paths: impl Iterator<Item = PathBuf>) -> Result<u64> {
    fn add(path: &Path, hasher: &mut DefaultHasher) -> io::Result<()> {
        if path.extension().is_some_and(|kind| kind == "md") {
            return Ok(());
        }
        path.file_name().hash(hasher);
        if !path.is_dir() {
            fs::read(path)?.hash(hasher);
            return Ok(());
        }
        let entries = path.read_dir()?.map(|entry| Ok(entry?.path()));
        let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        entries.iter().try_for_each(|entry| add(entry, hasher))
    }
    let mut hasher = DefaultHasher::new();
    for path in paths {
        add(&path, &mut hasher).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(hasher.finish())
}

/// A tree with the kernel's source, headers and compiler.
fn build_tree(image: Image, release: &str) -> Result<PathBuf> {
    let headers = format!("linux-headers-{release}");
    let source = format!("linux-source-{}", image.series);
    store::ensure(&format!("module-build-{release}"), |directory| {
        let mut packages = vec![headers.as_str(), source.as_str()];
        packages.extend(ESSENTIAL);
        let what = format!("what builds modules for {release}");
        let apt = Apt::open(image.release)?;
        let record = apt.unpack_with_dependencies(&what, &packages, false, directory)?;
        // Made by dpkg when packages are configured, which these are not.
        let awk = directory.join("usr/bin/awk");
        if !awk.exists() {
            symlink("mawk", awk)?;
        }
        Ok(record)
    })
}

/// `fs/fuse` of the kernel's source, unpacked: that takes longer than building what is in it.
fn fuse_source(tree: &Path, series: &str, release: &str) -> Result<PathBuf> {
    store::ensure(&format!("fuse-source-{release}"), |directory| {
        let place = Scratch::new_in(&tree.join("build"))?;
        let archive = format!("/usr/src/linux-source-{series}.tar.xz");
        let mut tar = in_tree(tree, Path::new("/bin/tar"));
        tar.arg("-xf").arg(&archive).arg("-C").arg(inside(tree, place.path())?);
        tar.args(["--strip-components=1", "--wildcards", "*/fs/fuse"]);
        run(&mut tar, &format!("{archive} could not be unpacked"))?;
        copy([place.path().join("fs")], directory)?;
        Ok(Record::of(&archive, [("fs/fuse", release)]))
    })
}

/// Run guest/build.sh with the tree as its root, so that the kernel's own compiler and libraries
/// are used, and put the module into `output`.
fn build_in(tree: &Path, series: &str, release: &str, faults: bool, output: &Path) -> Result<()> {
    let source = fuse_source(tree, series, release)?;
    let place = Scratch::new_in(&tree.join("build"))?;
    copy(SOURCES.iter().map(|source| paths::workspace().join(source)), place.path())?;
    copy([source.join("fs")], place.path())?;
    let here = inside(tree, place.path())?;
    let mut build = in_tree(tree, Path::new("/bin/sh"));
    build.arg(here.join("build.sh")).arg("--output").arg(here.join("out"));
    build.arg("--source").arg(&here);
    build.arg("--headers").arg(format!("/usr/src/linux-headers-{release}"));
    if faults {
        build.arg("--faults");
    }
    run(build.arg(release), &format!("samepage.ko for {release} could not be built"))?;
    fs::copy(place.path().join("out/samepage.ko"), output.join("samepage.ko"))?;
    Ok(())
}

/// A program that has the tree as its root.
fn in_tree(tree: &Path, program: &Path) -> Command {
    // objtool of 7.x looks into /proc.
    const ENTER: &str =
        r#"mount --rbind /dev "$1/dev" && mount --rbind /proc "$1/proc" && exec chroot "$@""#;
    let mut command = Command::new("unshare");
    command.arg("--mount");
    let is_root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    if !is_root {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["sh", "-c", ENTER, "sh"]).arg(tree).arg(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    command
}

/// What a path of this machine is called where the tree is the root.
fn inside(tree: &Path, path: &Path) -> Result<PathBuf> {
    Ok(Path::new("/").join(path.strip_prefix(tree)?))
}

fn run(command: &mut Command, failed: &str) -> Result<()> {
    let ended = command.output().context("cannot run unshare (util-linux)")?;
    ensure!(
        ended.status.success(),
        "{failed}:\n{}{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    Ok(())
}

fn copy(what: impl IntoIterator<Item = PathBuf>, place: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-r").args(what).arg(place).status()?;
    ensure!(status.success(), "cannot copy into {}", place.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_changes_with_every_name_and_byte() {
        let place = tempfile::tempdir().unwrap();
        let (file, directory) = (place.path().join("file"), place.path().join("patches"));
        fs::create_dir(&directory).unwrap();
        fs::write(&file, "one").unwrap();
        fs::write(directory.join("1.patch"), "+").unwrap();
        let now = || fingerprint([file.clone(), directory.clone()].into_iter()).unwrap();
        let mut seen = vec![now()];
        assert_eq!(now(), seen[0]);
        fs::write(&file, "two").unwrap();
        seen.push(now());
        fs::write(directory.join("1.patch"), "-").unwrap();
        seen.push(now());
        fs::rename(directory.join("1.patch"), directory.join("2.patch")).unwrap();
        seen.push(now());
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4);
        fs::write(directory.join("WHY.md"), "because").unwrap();
        seen.push(now());
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4, "what explains a patch builds nothing");
        assert!(fingerprint([place.path().join("missing")].into_iter()).is_err());
    }
}
