//! How long a mapping for writing keeps others from caching, and what they may cache meanwhile.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use samepage_tests::framework::daemon::Counters;
use samepage_tests::framework::{Command, Guest, Lab, Running, cargo};

use super::lab;

const PAGE: u64 = 4096;
const LOOKS: u64 = 200;

/// What so many looks at the one file cost, when it has been looked at before.
fn looks(guest: &Guest, how: &str) -> Result<Counters> {
    guest.sh(&format!("probe {how} /mnt/files 1"))?.ok()?;
    let (_, requests) = guest.requests_of(&format!("probe {how} /mnt/files {LOOKS}"))?;
    Ok(requests)
}

fn asks_each_time(requests: &Counters) -> bool {
    requests.requests("GETATTR") >= LOOKS
}

/// Once for the file, and a few times for finding it.
fn rarely_asks(requests: &Counters) -> bool {
    requests.requests_but(&[]) < LOOKS / 10
}

fn wait_for(lab: &Lab, name: &str) {
    while !lab.host(name).exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn finish(running: Running) -> Result<String> {
    Ok(running.wait(Instant::now() + Duration::from_mins(2))?.ok()?.text().trim().to_owned())
}

fn mapped_and_let_go(kernel: &str, mount: &str) -> Result<()> {
    let lab = lab(mount)?.kernel(kernel).program(cargo::probe()?, "/bin/probe");
    let lab = lab.daemon_args(["--dax", "always"]).coherent().guests(2).boot()?;
    fs::create_dir(lab.host("files"))?;
    fs::write(lab.host("files/file"), vec![0; 4 * PAGE as usize])?;
    let writer = lab[0].start(Command::sh("exec mapper hold /mnt/files /mnt/ready /mnt/go"))?;
    wait_for(&lab, "ready");
    let stat = looks(&lab[1], "stat")?;
    ensure!(asks_each_time(&stat), "each store changes the times: {stat}");
    for guest in &[&lab[0], &lab[1]] {
        let read = looks(guest, "read-each")?;
        ensure!(rarely_asks(&read), "no store changes the size: {read}");
    }
    let write = looks(&lab[0], "write-each")?;
    ensure!(rarely_asks(&write), "{write}");
    sizes_are_seen(&lab)?;
    fs::write(lab.host("go"), "")?;
    finish(writer)?;
    let stat = looks(&lab[1], "stat")?;
    ensure!(rarely_asks(&stat), "nobody stores any more: {stat}");
    // The mapping is still there, and is used again.
    let again = "exec mapper hold /mnt/files /mnt/ready2 /mnt/go2";
    let (writer, before) = (lab[0].start(Command::sh(again))?, lab[0].counters()?);
    wait_for(&lab, "ready2");
    let requests = lab[0].counters()?.since(&before);
    ensure!(requests.requests("SETUPMAPPING") == 0, "{requests}");
    let stat = looks(&lab[1], "stat")?;
    ensure!(asks_each_time(&stat), "it is stored into again: {stat}");
    fs::write(lab.host("go2"), "")?;
    finish(writer)?;
    lab.power_off()
}

/// While the file is mapped for writing: a guest that has it open reads as far as it now is.
fn sizes_are_seen(lab: &Lab) -> Result<()> {
    let reader = lab[1].start(Command::sh(
        "exec 3< /mnt/files/file; head -c 4096 <&3 > /dev/null; : > /mnt/open; \
         until test -e /mnt/longer; do usleep 20000; done; wc -c <&3; : > /mnt/read; \
         until test -e /mnt/shorter; do usleep 20000; done; wc -c < /mnt/files/file",
    ))?;
    wait_for(lab, "open");
    lab[0].sh("truncate -s 32768 /mnt/files/file && : > /mnt/longer")?.ok()?;
    wait_for(lab, "read");
    lab[0].sh("truncate -s 8192 /mnt/files/file && : > /mnt/shorter")?.ok()?;
    let sizes = finish(reader)?;
    let wanted = format!("{}\n8192", 32768 - PAGE);
    ensure!(sizes == wanted, "read {sizes:?} bytes");
    Ok(())
}

#[test]
fn what_is_mapped_for_writing_is_cached_when_it_is_closed() -> Result<()> {
    mapped_and_let_go("6.12", "inode")
}

#[test]
#[ignore = "long"]
fn what_is_mapped_for_writing_is_cached_when_it_is_closed_on_linux_6_1() -> Result<()> {
    mapped_and_let_go("6.1", "always")
}

#[test]
#[ignore = "long"]
fn what_is_mapped_for_writing_is_cached_when_it_is_closed_on_linux_7_2() -> Result<()> {
    mapped_and_let_go("7.2", "inode")
}
