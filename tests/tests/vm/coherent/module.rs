//! The driver's life: loaded, bound, mounted, used, unmounted, unbound and unloaded, over and over.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use samepage_tests::framework::Guest;

use super::{assert_calm, driver_log, with_driver};

/// One life. The share is a virtiofs device before and after.
const LIFE: &str = "
insmod /driver/samepage.ko
/driver/mount.samepage share /mnt
cd /mnt
mkdir d; i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo $i > d/f$i; done
ls -l d > /dev/null; ls d > /dev/null; cat d/* > /dev/null; [ ! -e d/missing ]
mv d/f1 d/g1; ln d/f2 d/h2; ln -s f3 d/s3; chmod 600 d/f4; cat d/s3 > /dev/null
echo more >> d/f5; rm -r d
cd /
umount /mnt
/driver/mount.samepage --release share
rmmod samepage
";

/// Cycles that fill the kernel's own caches before anything is counted.
const WARM_UP: u32 = 3;

#[test]
fn some_lives_leave_nothing_behind() -> Result<()> {
    lives("6.12", 4)
}

#[test]
fn some_lives_on_6_1() -> Result<()> {
    lives("6.1", 2)
}

#[test]
fn some_lives_on_7_2() -> Result<()> {
    lives("7.2", 2)
}

#[test]
#[ignore = "long"]
fn a_hundred_lives_leave_nothing_behind() -> Result<()> {
    lives("6.12", 100)
}

#[test]
#[ignore = "long"]
fn a_hundred_lives_on_6_1() -> Result<()> {
    lives("6.1", 100)
}

#[test]
#[ignore = "long"]
fn a_hundred_lives_on_7_2() -> Result<()> {
    lives("7.2", 100)
}

fn lives(kernel: &str, count: u32) -> Result<()> {
    // Caches of the same size are one otherwise, and its name stays.
    let lab = with_driver(kernel)?.kernel_args(["slab_nomerge"]).boot()?;
    let guest = &lab[0];
    guest.sh("umount /mnt")?.ok()?;
    let live = |count: u32| -> Result<()> {
        for cycle in 0..count {
            let ended = guest.sh(&format!("set -e\n{LIFE}"))?;
            ended.ok().with_context(|| format!("life {cycle}"))?;
        }
        Ok(())
    };
    live(WARM_UP)?;
    let before = objects(guest)?;
    live(count)?;
    let after = objects(guest)?;

    // A leak loses at least one object in each life. Less than that is an allocator's business.
    let grown: Vec<_> = after
        .iter()
        .map(|(cache, now)| (cache, *now - before.get(cache).copied().unwrap_or(0)))
        .filter(|(_, growth)| *growth >= i64::from(count))
        .collect();
    println!("{kernel}, {count} lives: caches that grew by an object for each: {grown:?}");
    assert!(count < 50 || grown.is_empty(), "{grown:?}");
    // All of its own caches and mappings are gone.
    let left = "ls -d /sys/kernel/slab/samepage* /sys/module/samepage /sys/fs/samepage \
                /sys/bus/virtio/drivers/samepage /sys/kernel/debug/samepage 2> /dev/null || :";
    assert_eq!(guest.sh(left)?.ok()?.text(), "");
    assert_eq!(guest.sh("grep samepage /proc/iomem /proc/slabinfo || :")?.ok()?.text(), "");
    assert_calm(guest)?;

    // The built-in driver has its device back, and it works.
    guest.sh("mount -t virtiofs share /mnt && echo done > /mnt/done")?.ok()?;
    let log = driver_log(guest)?;
    assert!(log.iter().any(|line| line.contains("no version table")), "{log:?}");
    lab.power_off()
}

/// Objects in use, by cache. What the kernel can drop it drops first.
fn objects(guest: &Guest) -> Result<BTreeMap<String, i64>> {
    let script = "sync; echo 3 > /proc/sys/vm/drop_caches; echo 3 > /proc/sys/vm/drop_caches
                  for cache in /sys/kernel/slab/*; do echo 1 > $cache/shrink; done 2> /dev/null
                  sed 1,2d /proc/slabinfo";
    let text = guest.sh(script)?.ok()?.text();
    let parse = |line: &str| -> Option<(String, i64)> {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    text.lines().map(|line| parse(line).with_context(|| line.to_owned())).collect()
}
