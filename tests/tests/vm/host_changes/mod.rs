//! Random changes on the host, while coherent guests look at random: nothing that a guest is told was
//! never so, or was no longer so when the changes had been delivered; and whenever the host pauses, all
//! that guests see becomes what the host sees. `ESTALE` reaches nobody.

mod editor;
mod observation;

use anyhow::{Result, ensure};

use observation::Plan;

/// The kernel whose histories have been clean in every run: what is found here is the daemons' fault.
const KERNEL: &str = "7.2";

fn follow(watch: &'static str, changes: usize, seed: u64) -> Result<()> {
    Plan { watch, changes, seed }.run()
}

#[test]
fn guests_follow_the_host_with_fanotify() -> Result<()> {
    follow("fanotify", 1000, 51)
}

#[test]
fn guests_follow_the_host_with_inotify() -> Result<()> {
    follow("inotify", 1000, 52)
}

/// The same test must notice when nobody watches.
#[test]
#[ignore = "long"]
fn guests_do_not_follow_what_is_not_watched() -> Result<()> {
    ensure!(follow("off", 200, 53).is_err(), "nothing was found, and there must be much");
    Ok(())
}

#[test]
#[ignore = "long"]
fn guests_follow_the_host_with_fanotify_for_long() -> Result<()> {
    for_long("fanotify", 60)
}

#[test]
#[ignore = "long"]
fn guests_follow_the_host_with_inotify_for_long() -> Result<()> {
    for_long("inotify", 80)
}

/// 50,000 changes, with new guests after each 5,000.
fn for_long(watch: &'static str, seed: u64) -> Result<()> {
    (0..10).try_for_each(|part| follow(watch, 5000, seed + part))
}
