//! A smoke run on every kernel that is supported.

use std::fs;

use anyhow::Result;
use samepage_tests::framework::{Command, Lab};

fn smoke(kernel: &str) -> Result<()> {
    let lab = Lab::builder().kernel(kernel).cache("auto").boot()?;
    let release = lab[0].sh("uname -r")?.ok()?.text();
    assert!(release.starts_with(kernel), "asked for {kernel}, booted {release}");
    lab[0].run(Command::sh(include_str!("smoke.sh")).directory("/mnt"))?.ok()?;
    assert_eq!(fs::read_to_string(lab.host("tree/done"))?, "done\n");
    lab.power_off()
}

#[test]
fn linux_6_1() -> Result<()> {
    smoke("6.1")
}

#[test]
fn linux_6_12() -> Result<()> {
    smoke("6.12")
}

#[test]
fn linux_7_2() -> Result<()> {
    smoke("7.2")
}
