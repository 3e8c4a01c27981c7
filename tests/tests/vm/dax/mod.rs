//! Pages of files mapped into guests.

use std::fs::{self, File};
use std::path::Path;
use std::process;

use anyhow::Result;
use samepage_tests::framework::lab::Builder;
use samepage_tests::framework::{Command, Lab, cargo};

mod builds;
mod cuts;
mod database;
mod fsx;
mod programs;
mod room;
mod sharing;
mod stores;

fn lab(mount: &str) -> Result<Builder> {
    Ok(Lab::builder().dax("16M", mount).program(cargo::mapper()?, "/bin/mapper"))
}

/// As md5sum(1) says it of its standard input.
fn md5(path: &Path) -> Result<String> {
    let output = process::Command::new("md5sum").stdin(File::open(path)?).output()?;
    Ok(String::from_utf8(output.stdout)?)
}

fn smoke(kernel: &str, mount: &str) -> Result<()> {
    let lab = lab(mount)?.kernel(kernel).boot()?;
    // By the host: a guest that makes a file sees it while it has no page.
    let bytes: Vec<u8> = (0u32..3 << 18).flat_map(u32::to_le_bytes).collect();
    fs::write(lab.host("file"), bytes)?;
    let (output, requests) =
        lab[0].requests_of("md5sum < /mnt/file; dd if=/mnt/file bs=64k 2>/dev/null | md5sum")?;
    let sums: Vec<_> = output.text().lines().map(str::to_owned).collect();
    assert_eq!(sums[0], sums[1]);
    assert!(requests.requests("SETUPMAPPING") > 0, "{requests:?}");
    assert_eq!(requests.requests("READ"), 0, "{requests:?}");
    if mount == "inode" {
        // Files of all sizes: some are mapped, some are not, and nobody can tell.
        lab[0].run(Command::sh(include_str!("../smoke.sh")).directory("/mnt"))?.ok()?;
    }
    lab.power_off()
}

#[test]
fn linux_6_12_maps_files_of_whole_pages() -> Result<()> {
    smoke("6.12", "inode")
}

#[test]
fn linux_6_1_maps_everything() -> Result<()> {
    smoke("6.1", "always")
}

#[test]
fn linux_7_2_maps_files_of_whole_pages() -> Result<()> {
    smoke("7.2", "inode")
}
