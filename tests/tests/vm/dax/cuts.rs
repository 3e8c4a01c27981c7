//! Files that are cut while guests have them mapped and touch them.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use samepage_tests::framework::{Command, Lab, Running};

use super::{lab, md5};

const FILE_BYTES: usize = 1 << 20;

/// Touches the file's pages in a guest until `stop` exists. SIGBUS ends a process, never the loop.
fn touching(lab: &Lab, guest: usize) -> Result<Running> {
    lab[guest].start(Command::sh(
        "n=0; until test -e /mnt/stop; do mapper touch /mnt/file 2000 /mnt/stop 2>/dev/null; n=$((n + 1)); \
         test $n -gt 3 && : > /mnt/busy; done; echo done",
    ))
}

fn wait_for(lab: &Lab, name: &str) {
    while !lab.host(name).exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `cut` cuts the file, one round after the other, while guest `toucher` touches it.
fn cut_while_touched(
    lab: &Lab,
    toucher: usize,
    rounds: usize,
    cut: impl Fn() -> Result<()>,
) -> Result<()> {
    fs::write(lab.host("file"), vec![7; FILE_BYTES])?;
    let touching = touching(lab, toucher)?;
    wait_for(lab, "busy");
    for _ in 0..rounds {
        cut()?;
    }
    fs::write(lab.host("stop"), "")?;
    let end = touching.wait(Instant::now() + Duration::from_mins(5))?.ok()?;
    ensure!(end.text().trim() == "done", "{end:?}");
    ensure!(lab[toucher].sh("echo alive")?.ok()?.text().trim() == "alive");
    Ok(())
}

/// All sizes that a cut can leave: nothing, whole pages, a part of a page, a later stretch; and longer again each time.
const CUTS: &str = "for size in 0 4096 12288 5000 600000; do
    truncate -s $size /mnt/file && truncate -s 1M /mnt/file || exit 1
    : > /mnt/file && truncate -s 2M /mnt/file && truncate -s 1M /mnt/file || exit 1
done";

#[test]
fn another_guest_cuts_what_is_being_touched() -> Result<()> {
    // The one that cuts knows nothing of the table; its daemon does.
    let lab = lab("inode")?.coherent().guests(2).stock_guests(1).boot()?;
    cut_while_touched(&lab, 0, 4, || lab[1].sh(CUTS)?.ok().map(drop))?;
    // What was cut and has grown again is the same for all.
    let write = "dd if=/dev/urandom of=/mnt/file bs=64k count=16 conv=notrunc 2>&1";
    lab[1].sh(write)?.ok()?;
    let sums: Vec<_> = (0..2)
        .map(|guest| Ok(lab[guest].sh("md5sum < /mnt/file")?.ok()?.text()))
        .collect::<Result<_>>()?;
    let host = md5(&lab.host("file"))?;
    ensure!(sums.iter().all(|sum| *sum == host), "{sums:?}");
    lab.power_off()
}

#[test]
fn the_same_guest_cuts_what_is_being_touched() -> Result<()> {
    let lab = lab("inode")?.cpus(2).boot()?;
    cut_while_touched(&lab, 0, 4, || lab[0].sh(CUTS)?.ok().map(drop))?;
    lab.power_off()
}

#[test]
fn what_the_host_has_cut_is_zeroes_for_who_touches_it_later() -> Result<()> {
    let lab = lab("inode")?.boot()?;
    for (round, size) in [0, 4096 * 3, 5000].into_iter().enumerate() {
        let name = format!("file{round}");
        fs::write(lab.host(&name), vec![7; FILE_BYTES])?;
        let script = format!("exec mapper later /mnt/{name} /mnt/ready{round} /mnt/go{round}");
        let later = lab[0].start(Command::sh(script))?;
        wait_for(&lab, &format!("ready{round}"));
        File::options().write(true).open(lab.host(&name))?.set_len(size)?;
        // The daemon hears of it in a moment.
        std::thread::sleep(Duration::from_secs(2));
        fs::write(lab.host(&format!("go{round}")), "")?;
        let end = later.wait(Instant::now() + Duration::from_mins(2))?;
        // Until the guest has heard of the new size; then it ends its own program.
        let whole = size / 4096;
        let left = u64::from_ne_bytes([7; 8]).wrapping_mul(whole);
        let sums = [left, left.wrapping_add(u64::from_ne_bytes([7; 8]))].map(|sum| sum.to_string());
        let sigbus = 128 + 7;
        ensure!(end.status == sigbus || sums.contains(&end.text().trim().to_owned()), "{end:?}");
        ensure!(lab[0].sh("echo alive")?.ok()?.text().trim() == "alive");
    }
    lab.power_off()
}
