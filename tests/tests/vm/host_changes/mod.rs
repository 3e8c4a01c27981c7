//! Random changes on the host, while coherent guests look at random: nothing that a guest is told was
//! never so, or was no longer so when the changes had been delivered; and whenever the host pauses, all
//! that guests see becomes what the host sees. `ESTALE` reaches nobody.

mod editor;
mod observation;

use anyhow::{Context, Result, ensure};

use observation::Plan;

/// Kernels of guests. In short runs the first: what is found there is most likely the daemons' fault.
const KERNELS: [&str; 3] = ["7.2", "6.12", "6.1"];

fn follow(watch: &'static str, changes: usize, seed: u64) -> Result<()> {
    Plan { watch, kernel: KERNELS[0], changes, seed }.run()
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
    let error =
        follow("off", 200, 53).err().context("nothing was found, and there must be much")?;
    println!("{error:#}");
    ensure!(format!("{error:#}").contains("the guest does not come to see"), "another error");
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

/// 50,000 changes, with new guests after some, of one kernel after the other.
fn for_long(watch: &'static str, seed: u64) -> Result<()> {
    let mut parts = (seed..).zip(KERNELS.into_iter().cycle()).take(5);
    parts.try_for_each(|(seed, kernel)| Plan { watch, kernel, changes: 10_000, seed }.run())
}

/// `SAMEPAGE_HOST_CHANGES='fanotify 6.1 5000 65'`: source, kernel, changes, seed.
#[test]
#[ignore = "long"]
fn guests_follow_the_host_as_the_environment_says() -> Result<()> {
    let Ok(text) = std::env::var("SAMEPAGE_HOST_CHANGES") else { return Ok(()) };
    let words: Vec<&str> = text.split_whitespace().collect();
    let [watch, kernel, changes, seed] = words[..] else { anyhow::bail!("four words") };
    let (watch, kernel) = (watch.to_owned().leak(), kernel.to_owned().leak());
    Plan { watch, kernel, changes: changes.parse()?, seed: seed.parse()? }.run()
}
