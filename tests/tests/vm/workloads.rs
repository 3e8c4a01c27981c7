//! What people really do on a share: unpack, commit, build.

use std::env;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::artifact::apt::{Apt, Release};
use samepage_tests::framework::artifact::{store, tools};
use samepage_tests::framework::cargo::find_in_path;
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::lab::{Builder, Root};
use samepage_tests::framework::{Command, Lab};

/// Unpack a source archive, put it under version control, configure, build, and run its tests.
#[test]
fn a_real_package_builds_and_passes_its_tests() -> Result<()> {
    build(workshop(Lab::builder().cache("auto"))?)
}

#[test]
fn a_real_package_builds_in_a_coherent_guest() -> Result<()> {
    build(workshop(Lab::builder().coherent())?)
}

#[test]
#[ignore = "long"]
fn a_real_package_builds_in_a_coherent_guest_on_linux_6_1() -> Result<()> {
    build(workshop(Lab::builder().coherent().kernel("6.1"))?)
}

#[test]
#[ignore = "long"]
fn a_real_package_builds_in_a_coherent_guest_on_linux_7_2() -> Result<()> {
    build(workshop(Lab::builder().coherent().kernel("7.2"))?)
}

/// Sources are made small and grow, so few of them are mapped: whoever builds cannot tell.
#[test]
#[ignore = "long"]
fn a_real_package_builds_in_a_guest_with_a_dax_window() -> Result<()> {
    build(workshop(Lab::builder().coherent().dax("64M", "inode"))?)
}

fn build(lab: Lab) -> Result<()> {
    let archive = tools::zlib_source()?;
    let script = format!(
        "set -eu; mkdir /mnt/zlib; cd /mnt/zlib; {UNPACK}; {COMMIT};
         CFLAGS=-O0 ./configure --static > /dev/null; \"$MAKE\" libz.a example > /dev/null;
         ./example; git clean -nx | grep -q libz.a;
         git clean -fqx; git checkout -q .; git status --porcelain"
    );
    let output = lab[0].run(in_workshop(&script)?.env("ARCHIVE", archive))?.ok()?;
    ensure!(output.text().contains("inflate"), "its tests did not run:\n{}", output.text());
    lab.power_off()
}

/// Ten thousand files: unpacked, compared with the host's, committed, removed.
#[test]
#[ignore = "long"]
fn a_large_archive_arrives_whole() -> Result<()> {
    let tree = kernel_headers()?;
    let scratch = Scratch::new()?;
    let archive = scratch.path().join("headers.tar");
    let mut tar = process::Command::new("tar");
    let packed = tar.arg("-cf").arg(&archive).arg("-C").arg(&tree).arg("usr").status()?;
    ensure!(packed.success(), "tar failed on the host");
    let lab = workshop(Lab::builder().cache("auto"))?;
    let bytes = std::fs::read(&archive)?;
    lab[0].run(Command::sh("cat > /tmp/archive.tar").stdin(bytes))?.ok()?;
    let script = format!("set -eu; mkdir /mnt/t; cd /mnt/t; {UNPACK}; {COMMIT}");
    lab[0].run(in_workshop(&script)?.env("ARCHIVE", "/tmp/archive.tar"))?.ok()?;
    let difference = process::Command::new("diff")
        .args(["-r", "--no-dereference", "--exclude=.git"])
        .args([tree.join("usr"), lab.host("t")])
        .output()?;
    let text = [difference.stdout, difference.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    ensure!(difference.status.success(), "the guest unpacked something else:\n{text}");
    lab[0].sh("rm -r /mnt/t")?.ok()?;
    ensure!(!lab.host("t").exists(), "what the guest removed is still on the host");
    lab.power_off()
}

const UNPACK: &str = "tar -xf \"$ARCHIVE\" --strip-components=1";
/// After a commit the tree must be clean, also when git has to look at every file again.
const COMMIT: &str = "git init -q .; git add -A; git commit -q -m all;
         test -z \"$(git status --porcelain)\"; rm .git/index; git reset -q;
         test -z \"$(git status --porcelain)\"; git fsck --no-progress";

/// A guest with the host's programs, and time to use them.
fn workshop(lab: Builder) -> Result<Lab> {
    lab.root(Root::Host).cpus(2).memory(1536).command_limit(Duration::from_mins(15)).boot()
}

fn in_workshop(script: &str) -> Result<Command> {
    find_in_path("git").context("this test needs git on the host")?;
    let command = Command::sh(script).env("MAKE", make()?);
    let identity = ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"];
    let command = identity.iter().fold(command, |command, name| command.env(name, "guest"));
    let addresses = ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"];
    let command =
        addresses.iter().fold(command, |command, name| command.env(name, "guest@example.org"));
    Ok(command.env("PATH", env::var_os("PATH").unwrap_or_default()))
}

/// The host's make, or a fetched one.
pub(crate) fn make() -> Result<PathBuf> {
    find_in_path("make")
        .or_else(|_| Ok(tools::package("make", Release::Bookworm)?.join("usr/bin/make")))
}

fn kernel_headers() -> Result<PathBuf> {
    store::ensure("kernel-headers", |directory: &Path| {
        let apt = Apt::open(Release::Bookworm)?;
        let names = apt.names("linux-headers-6.1.")?;
        let name = names.iter().filter(|name| name.ends_with("-common")).max();
        let name = name.context("the mirror has no linux-headers-6.1.*-common")?;
        apt.unpack("kernel headers", &[name], directory)
    })
}
