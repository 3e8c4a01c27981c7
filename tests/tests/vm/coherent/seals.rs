//! Tables that nobody on the host can cut under a VM.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use rustix::fs::{IFlags, ioctl_setflags};
use samepage_tests::framework::{Command, Lab};

use super::tables::{costs_requests, gone};
use super::{assert_calm, driver_log};

#[test]
fn nobody_cuts_a_table_that_the_operator_named_under_running_guests() -> Result<()> {
    nobody_cuts_the_table(false)
}

#[test]
fn nobody_cuts_a_table_that_daemons_found_under_running_guests() -> Result<()> {
    nobody_cuts_the_table(true)
}

/// Changes that need slots on pages of the table which are not there yet, while the other guest looks on.
const WORK: &str =
    "cd /mnt; for i in $(seq 200); do echo $i > f$i; mv f$i g$i; echo $i > count; done";

fn nobody_cuts_the_table(auto: bool) -> Result<()> {
    if !files_can_be_immutable()? {
        return Ok(());
    }
    let builder = Lab::builder().guests(2).coherent();
    let mut lab = if auto { builder.auto_table() } else { builder }.boot()?;
    let table = lab.table().context("a coherent lab has a table")?.to_owned();
    let whole = fs::metadata(&table)?.len();
    lab[0].sh("echo text > /mnt/f")?.ok()?;
    let works = lab[0].start(Command::sh(WORK))?;
    // All of them while the guest works, the last of them after it.
    for _ in 0..20 {
        every_way_to_cut_is_refused(&table)?;
    }
    works.wait(Instant::now() + Duration::from_mins(2))?.ok()?;
    assert_eq!(lab[1].sh("cat /mnt/count; ls /mnt | wc -l")?.ok()?.text(), "200\n202\n");

    // A daemon that comes later has the table, and keeps it so.
    lab.crash(0);
    lab.restart(0)?;
    every_way_to_cut_is_refused(&table)?;
    lab[1].sh("echo other > /mnt/f; rm /mnt/g*")?.ok()?;
    assert_eq!(lab[0].sh("cat /mnt/f; ls /mnt | wc -l")?.ok()?.text(), "other\n2\n");
    assert_eq!(fs::metadata(&table)?.len(), whole);
    for guest in lab.guests() {
        assert!(guest.sh("grep ' /mnt ' /proc/mounts")?.ok()?.text().contains("table="));
        assert!(!costs_requests(guest)?, "copies are kept: {:#?}", driver_log(guest)?);
        assert_eq!(gone(guest)?, 0);
        assert_calm(guest)?;
    }
    lab.power_off()
}

/// Root, with the right to do so, on a kernel whose tmpfs has the flag.
fn files_can_be_immutable() -> Result<bool> {
    let file = tempfile::tempfile_in("/dev/shm")?;
    let set = ioctl_setflags(&file, IFlags::IMMUTABLE);
    if let Err(error) = set {
        println!("skipped: a file cannot be made immutable here: {error}");
        return Ok(false);
    }
    ioctl_setflags(&file, IFlags::empty())?;
    Ok(true)
}

fn every_way_to_cut_is_refused(table: &Path) -> Result<()> {
    let other = table.with_extension("other");
    let open = || File::options().clone();
    let ways: [(&str, Option<i32>); 8] = [
        ("truncate(2)", nix::unistd::truncate(table, 4096).err().map(|errno| errno as i32)),
        ("O_TRUNC", code(open().write(true).truncate(true).open(table))),
        ("open to write", code(open().write(true).open(table))),
        ("open to append", code(open().append(true).open(table))),
        ("unlink", code(fs::remove_file(table))),
        ("rename", code(fs::rename(table, &other))),
        ("rename over it", {
            fs::write(&other, "no table")?;
            let renamed = code(fs::rename(&other, table));
            fs::remove_file(&other)?;
            renamed
        }),
        (
            "chmod",
            code(fs::set_permissions(table, std::os::unix::fs::PermissionsExt::from_mode(0o666))),
        ),
    ];
    for (way, refused) in ways {
        ensure!(refused == Some(Errno::EPERM as i32), "{way}: {refused:?}");
    }
    Ok(())
}

fn code<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}
