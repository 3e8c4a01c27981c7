//! What must be so in the end, whoever has worked on a share (`samepage_history::soak`).

use std::fs;
use std::path::Path;
use std::process::Command as HostCommand;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use samepage_history::soak::{COUNTERS, Report};
use samepage_tests::framework::artifact::tools;
use samepage_tests::framework::lab::MOUNT_POINT;
use samepage_tests::framework::{Command, Guest};

/// Prints what can be known of every file in the working directory, whatever it is called.
const MANIFEST: &str = "
    list() { find . \"$@\" -print0 | sort -z; }
    list | xargs -0 stat -c '%n %f %u %g %s %h %Y'
    list -type f | xargs -0 md5sum
    list -type l | xargs -0 -n 1 readlink";

/// No count was lost, and everybody has heard from others.
pub(crate) fn of_counters(share: &Path, reports: &[(String, Report)]) -> Result<()> {
    for (name, report) in reports {
        let hears = report.letters > report.rounds;
        ensure!(hears, "{name} has heard from nobody but itself: {report:?}");
    }
    for number in 0..COUNTERS {
        let word = fs::read(share.join(format!("counters/{number}")))?;
        let word: [u8; 8] = word.as_slice().try_into().context("a counter is a word")?;
        let is = u64::from_le_bytes(word);
        let sum: u64 = reports.iter().map(|(_, report)| report.counted[number]).sum();
        ensure!(is == sum, "counter {number} is {is}, and was counted up {sum} times");
    }
    Ok(())
}

/// Names, attributes and contents are the same for the host and all these guests.
pub(crate) fn of_trees<'a>(
    share: &Path,
    guests: impl Iterator<Item = (&'a str, &'a Guest)>,
) -> Result<()> {
    let mut shell = HostCommand::new(tools::busybox()?);
    shell.args(["sh", "-c", MANIFEST]).env("LC_ALL", "C").current_dir(share);
    let output = shell.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let host: Vec<_> = output.stdout.split(|byte| *byte == b'\n').collect();
    // Whoever promises nothing is given time to forget.
    thread::sleep(Duration::from_secs(2));
    for (name, guest) in guests {
        let output = guest.run(Command::sh(MANIFEST).directory(MOUNT_POINT))?.ok()?;
        let seen: Vec<_> = output.stdout.split(|byte| *byte == b'\n').collect();
        let differences: Vec<_> = host
            .iter()
            .zip(&seen)
            .filter(|(host, guest)| host != guest)
            .map(|(host, guest)| [host, guest].map(|line| String::from_utf8_lossy(line)))
            .take(5)
            .collect();
        ensure!(
            differences.is_empty() && host.len() == seen.len(),
            "{name} sees other files than the host, {} lines for {}: {differences:?}",
            seen.len(),
            host.len()
        );
    }
    Ok(())
}
