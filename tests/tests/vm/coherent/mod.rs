//! Guests with the driver of `guest/linux`.

mod echo;
mod host;
mod module;
mod region;
mod rules;
mod seals;
mod tables;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use samepage_tests::framework::artifact::module as driver;
use samepage_tests::framework::lab::Builder;
use samepage_tests::framework::{Guest, Lab};

/// Where a lab of [`with_driver`] has the driver and its helper.
const DIRECTORY: &str = "/driver";

/// A lab whose guests have the driver at hand, and have mounted the share without it.
fn with_driver(kernel: &str) -> Result<Builder> {
    let helper: PathBuf = driver::mount_helper();
    Ok(Lab::builder()
        .kernel(kernel)
        .cache("auto")
        .program(driver::obtain(kernel, false)?, format!("{DIRECTORY}/samepage.ko"))
        .program(helper, format!("{DIRECTORY}/mount.samepage")))
}

/// What the kernel's log has to say about the driver.
fn driver_log(guest: &Guest) -> Result<Vec<String>> {
    let log = guest.sh("dmesg | grep samepage: || :")?.ok()?.text();
    Ok(log.lines().map(str::to_owned).collect())
}

/// No warning, no oops, no complaint of an allocator.
fn assert_calm(guest: &Guest) -> Result<()> {
    let marks = "WARNING:|BUG:|Oops|Call Trace|refcount_t|still has objects|Object remaining";
    let bad = guest.sh(&format!("dmesg | grep -E '{marks}' || :"))?.ok()?.text();
    ensure!(bad.is_empty(), "the kernel complained:\n{bad}");
    Ok(())
}
