//! A program built from mapped sources.

use std::env;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use samepage_tests::framework::artifact::tools;
use samepage_tests::framework::lab::Root;
use samepage_tests::framework::{Command, Lab};

use crate::workloads::make;

/// Reads every source from the share, and writes what it makes into the guest's own memory.
const BUILD: &str =
    "set -e; mkdir /tmp/build; cd /tmp/build; CFLAGS=-O0 sh /mnt/zlib/configure --static >/dev/null
    \"$MAKE\" libz.a example > /dev/null; ./example";

/// zlib's source, with blank lines at the end of each file so that it consists of whole pages, and nothing executable.
fn unpack(directory: &Path) -> Result<()> {
    fs::create_dir(directory)?;
    let mut tar = process::Command::new("tar");
    tar.arg("-xf").arg(tools::zlib_source()?).arg("--strip-components=1").arg("-C").arg(directory);
    ensure!(tar.status()?.success(), "zlib cannot be unpacked");
    fill_pages(directory)
}

fn fill_pages(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        if kind.is_dir() {
            fill_pages(&path)?;
        } else if kind.is_file() {
            let mut text = fs::read(&path)?;
            text.resize(text.len().next_multiple_of(4096), b'\n');
            fs::write(&path, text)?;
            File::open(&path)?.set_permissions(Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}

/// Two guests build it at the same time.
fn build(kernel: &str, mount: &str) -> Result<()> {
    let lab = Lab::builder().dax("16M", mount).coherent().kernel(kernel).guests(2);
    let lab = lab.root(Root::Host).memory(1024).command_limit(Duration::from_mins(15)).boot()?;
    unpack(&lab.host("zlib"))?;
    let path = env::var_os("PATH").unwrap_or_default();
    let make = make()?;
    let start =
        |guest: usize| lab[guest].start(Command::sh(BUILD).env("MAKE", &make).env("PATH", &path));
    let before = [lab[0].counters()?, lab[1].counters()?];
    let running = [start(0)?, start(1)?];
    for running in running {
        let output = running.wait(Instant::now() + Duration::from_mins(15))?.ok()?;
        ensure!(output.text().contains("inflate"), "its tests did not run: {}", output.text());
    }
    for (guest, before) in before.into_iter().enumerate() {
        let requests = lab[guest].counters()?.since(&before);
        ensure!(requests.requests("SETUPMAPPING") > 20, "{requests:?}");
        ensure!(requests.requests("READ") == 0, "{requests:?}");
    }
    lab.power_off()
}

#[test]
#[ignore = "long"]
fn two_guests_build_from_the_same_mapped_sources() -> Result<()> {
    build("6.12", "inode")
}

#[test]
#[ignore = "long"]
fn two_guests_build_from_the_same_mapped_sources_on_linux_7_2() -> Result<()> {
    build("7.2", "inode")
}

#[test]
#[ignore = "long"]
fn two_guests_build_from_the_same_mapped_sources_on_linux_6_1() -> Result<()> {
    build("6.1", "always")
}
