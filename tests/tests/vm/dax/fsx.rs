//! fsx on mapped files: it compares every read, and every load from a mapping, with what it remembers to have written.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use samepage_tests::framework::artifact::tools;
use samepage_tests::framework::{Command, Lab};

use super::{lab, md5};

/// Files of whole pages only: fsx aligns what it reads and writes, but neither where it truncates to nor what it allocates.
const WHOLE_PAGES: &str = "flen = 1048576\n[opsize]\nmax = 65536\nalign = 4096\n[weights]\n\
                           close_open = 1.0\ninvalidate = 0.0\nmapread = 10.0\nmapwrite = 10.0\n\
                           read = 5.0\nwrite = 5.0\ntruncate = 0.0\nfsync = 0.5\nfdatasync = 0.5\n\
                           posix_fallocate = 0.0\npunch_hole = 1.0\nsendfile = 0.0\n\
                           copy_file_range = 1.0\n";

fn fsx_lab(kernel: &str, mount: &str) -> Result<Lab> {
    let lab = lab(mount)?.kernel(kernel).daemon_args(["--dax", "always"]).coherent().guests(2);
    let lab = lab.program(tools::fsx()?, "/bin/fsx").command_limit(Duration::from_mins(10));
    let lab = lab.boot()?;
    let any_size = WHOLE_PAGES.replace("truncate = 0.0", "truncate = 5.0");
    for guest in 0..2 {
        lab[guest].run(Command::sh("cat > /pages.toml").stdin(WHOLE_PAGES))?.ok()?;
        lab[guest].run(Command::sh("cat > /any.toml").stdin(any_size.as_str()))?.ok()?;
    }
    Ok(lab)
}

fn fsx(config: &str, file: &str, operations: u32, seed: u32) -> String {
    format!("exec fsx -f /{config}.toml -N {operations} -S {seed} -P /tmp /mnt/{file}")
}

/// In two guests on files of their own at the same time, then by turns on one.
fn two_guests(kernel: &str, mount: &str) -> Result<()> {
    let lab = fsx_lab(kernel, mount)?;
    let deadline = Instant::now() + Duration::from_mins(10);
    // With this seed the fourth operation makes the file as long as it ever gets, and it stays mapped as far as that.
    // Within that it may end anywhere; beyond, inside a page, is EIO (docs/dax.md).
    let own = |guest: usize| {
        lab[guest].start(Command::sh(fsx("any", &format!("own{guest}"), 600, 20261)))
    };
    for running in [own(0)?, own(1)?] {
        let output = running.wait(deadline)?.ok()?;
        ensure!(output.text().contains("All operations completed"), "{}", output.text());
    }
    for turn in 0..4 {
        // Each begins by cutting to nothing what the other has mapped.
        let output = lab[turn % 2].sh(&fsx("pages", "both", 150, 20262 + turn as u32))?.ok()?;
        ensure!(output.text().contains("All operations completed"), "{}", output.text());
        // What one has left is what the other finds, and the host.
        let found = lab[(turn + 1) % 2].sh("md5sum < /mnt/both")?.ok()?.text();
        ensure!(found == md5(&lab.host("both"))?, "turn {turn}: {found}");
    }
    lab.power_off()
}

#[test]
#[ignore = "long"]
fn fsx_in_two_guests() -> Result<()> {
    two_guests("6.12", "inode")
}

#[test]
#[ignore = "long"]
fn fsx_in_two_guests_on_linux_7_2() -> Result<()> {
    two_guests("7.2", "inode")
}

#[test]
#[ignore = "long"]
fn fsx_in_two_guests_on_linux_6_1() -> Result<()> {
    two_guests("6.1", "always")
}
