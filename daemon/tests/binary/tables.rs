//! Version tables that a VM would die of, and what the operator is told.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::daemon::{Daemon, samepaged_without_seals};

/// A directory with a share in it, on tmpfs.
fn place() -> TempDir {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::create_dir(directory.path().join("share")).unwrap();
    directory
}

fn daemon(place: &Path, table: &Path) -> Command {
    let mut command = samepaged_without_seals();
    command.arg("--socket-path").arg(place.join("socket"));
    command.arg("--shared-dir").arg(place.join("share"));
    command.arg("--version-table").arg(table);
    command
}

/// Checks that the daemon does not start, and says all of this in one line.
fn is_refused(place: &Path, table: &Path, wanted: &[&str]) {
    let output = daemon(place, table).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("samepaged: ") && said.lines().count() == 1, "{said}");
    for text in [table.to_str().unwrap(), "--version-table"].iter().chain(wanted) {
        assert!(said.contains(text), "{text:?} in {said}");
    }
    assert!(!place.join("socket").exists(), "no VMM has anything to connect to");
}

#[test]
fn a_table_that_is_not_on_tmpfs_is_refused() {
    let place = place();
    is_refused(place.path(), Path::new("/proc/self/table"), &["tmpfs", "/dev/shm"]);
}

/// QEMU would say nothing of a file that was cut within its header's size, and die later.
#[test]
fn a_table_that_is_too_short_is_refused_before_a_vm_maps_it() {
    let place = place();
    let table = place.path().join("table");
    let running = Daemon::spawn(daemon(place.path(), &table), place);
    let log = running.log();
    assert!(log.contains("must not be cut short") && log.contains("CAP_LINUX_IMMUTABLE"), "{log}");
    let place = running.crash();
    fs::remove_file(place.path().join("socket")).unwrap();
    let whole = fs::metadata(&table).unwrap().len();
    for (len, why) in
        [(whole / 2, "its header says"), (whole - 4096, "cut short"), (0, "cut short")]
    {
        File::options().write(true).open(&table).unwrap().set_len(len).unwrap();
        is_refused(place.path(), &table, &[why, &format!("{len} bytes"), "delete it"]);
    }
    fs::remove_file(&table).unwrap();
    drop(Daemon::spawn(daemon(place.path(), &table), place));
}
