//! Random and heavy use: fsx and dbench.

use std::time::Duration;

use anyhow::Result;
use samepage_tests::framework::artifact::tools;
use samepage_tests::framework::lab::{Builder, Root};
use samepage_tests::framework::{Command, Lab};

use crate::MODES;

const OPERATIONS: u32 = 20_000;

/// fsx compares every read with what it remembers to have written.
pub(crate) fn fsx(lab: Builder, mmap: bool) -> Result<()> {
    let weight = if mmap { "5.0" } else { "0.0" };
    let configuration = format!(
        "flen = 262144\n[opsize]\nmax = 16384\n[weights]\nclose_open = 0.5\ninvalidate = 0.0\n\
         mapread = {weight}\nmapwrite = {weight}\nread = 10.0\nwrite = 10.0\ntruncate = 5.0\n\
         fsync = 0.5\nfdatasync = 0.5\nposix_fallocate = 1.0\npunch_hole = 1.0\n\
         sendfile = 2.0\ncopy_file_range = 2.0\n"
    );
    let lab =
        lab.program(tools::fsx()?, "/bin/fsx").command_limit(Duration::from_mins(10)).boot()?;
    lab[0].run(Command::sh("cat > /fsx.toml").stdin(configuration))?.ok()?;
    let script = format!("exec fsx -f /fsx.toml -N {OPERATIONS} -S 20261 -P /tmp /mnt/file");
    let output = lab[0].sh(&script)?.ok()?;
    assert!(output.text().contains("All operations completed"), "{}", output.text());
    lab.power_off()
}

#[test]
fn fsx_with_cache_auto_and_mappings() -> Result<()> {
    fsx(Lab::builder().cache("auto"), true)
}

#[test]
fn fsx_with_cache_never() -> Result<()> {
    fsx(Lab::builder().cache("never"), false)
}

#[test]
fn fsx_in_a_coherent_guest() -> Result<()> {
    fsx(Lab::builder().coherent(), true)
}

#[test]
#[ignore = "long"]
fn fsx_and_dbench_in_a_coherent_guest_on_linux_6_1() -> Result<()> {
    fsx(Lab::builder().coherent().kernel("6.1"), true)?;
    dbench(Lab::builder().coherent().kernel("6.1"), 10)
}

#[test]
#[ignore = "long"]
fn fsx_and_dbench_in_a_coherent_guest_on_linux_7_2() -> Result<()> {
    fsx(Lab::builder().coherent().kernel("7.2"), true)?;
    dbench(Lab::builder().coherent().kernel("7.2"), 10)
}

#[test]
fn dbench_finishes_without_errors() -> Result<()> {
    for cache in MODES {
        dbench(Lab::builder().cache(cache), 10)?;
    }
    dbench(Lab::builder().coherent(), 10)
}

#[test]
#[ignore = "long"]
fn dbench_for_five_minutes() -> Result<()> {
    dbench(Lab::builder().cache("auto"), 300)
}

pub(crate) fn dbench(lab: Builder, seconds: u32) -> Result<()> {
    let tree = tools::dbench()?;
    let lab = lab
        .root(Root::Host)
        .cpus(2)
        .command_limit(Duration::from_secs(u64::from(seconds) + 300))
        .boot()?;
    let loader = tools::loader(&tree);
    let command = Command::new(&loader[0])
        .args(&loader[1..])
        .arg(tree.join("usr/bin/dbench"))
        .args(["--clients-per-process=1", "--directory=/mnt"])
        .arg(format!("--timelimit={seconds}"))
        .arg(format!("--loadfile={}", tree.join("usr/share/dbench/client.txt").display()))
        .arg("4");
    let output = lab[0].run(command)?.ok()?;
    assert!(output.text().contains("Throughput"), "{}", output.text());
    lab.power_off()
}
