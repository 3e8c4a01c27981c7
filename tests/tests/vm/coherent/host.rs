//! What is changed on the host itself, and what guests with the driver see of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use samepage_tests::framework::{Command, Lab};

/// How the daemons learn of changes, where they do.
const SOURCES: [&str; 2] = ["fanotify", "inotify"];

fn lab(watch: &str) -> Result<Lab> {
    Lab::builder().guests(2).coherent().cache("auto").daemon_args(["--watch", watch]).boot()
}

/// A script that ends when `test` prints `wanted`; a guest that never sees it runs into its time limit.
fn until(test: &str, wanted: &str) -> String {
    format!("until [ \"$({test} 2>&1)\" = '{wanted}' ]; do :; done")
}

/// Saves as editors do.
fn save(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    Ok(fs::rename(&new, path)?)
}

#[test]
#[ignore = "long"]
fn an_edit_on_the_host_appears_in_every_guest() -> Result<()> {
    for watch in SOURCES {
        let lab = lab(watch)?;
        fs::write(lab.host("file"), "1")?;
        fs::create_dir(lab.host("dir"))?;
        for guest in lab.guests() {
            guest.sh("stat /mnt/file; cat /mnt/file; ls /mnt/dir; ls /mnt/missing; true")?.ok()?;
        }
        fs::write(lab.host("file"), "12345")?;
        fs::write(lab.host("dir/new"), "")?;
        fs::write(lab.host("missing"), "")?;
        for guest in lab.guests() {
            guest
                .sh(&until("stat -c %s /mnt/file; cat /mnt/file; ls /mnt/dir", "5\n12345new"))?
                .ok()?;
            guest.sh(&until("ls /mnt/missing", "/mnt/missing"))?.ok()?;
        }
        fs::rename(lab.host("dir"), lab.host("moved"))?;
        save(&lab.host("file"), "saved")?;
        for guest in lab.guests() {
            guest.sh(&until("ls /mnt; cat /mnt/file", "file\nmissing\nmoved\nsaved"))?.ok()?;
        }
        lab.power_off()?;
    }
    Ok(())
}

#[test]
#[ignore = "long"]
fn without_a_watch_guests_keep_what_they_know() -> Result<()> {
    let lab = lab("off")?;
    fs::write(lab.host("file"), "1")?;
    let size = "stat -c %s /mnt/file";
    assert_eq!(lab[0].sh(size)?.ok()?.text(), "1\n");
    fs::write(lab.host("file"), "12345")?;
    // Longer than the timeouts of --cache auto last: it is the stamp that vouches for it.
    assert_eq!(lab[0].sh(&format!("sleep 2; {size}"))?.ok()?.text(), "1\n");
    lab.power_off()
}

#[test]
#[ignore = "long"]
fn a_file_that_is_saved_again_and_again_is_never_stale_to_an_application() -> Result<()> {
    for watch in SOURCES {
        let lab = lab(watch)?;
        let path = lab.host("file");
        save(&path, "0")?;
        let read = "while [ ! -e /mnt/stop ]; do cat /mnt/file > /dev/null || exit 1; done";
        let far = Instant::now() + Duration::from_mins(2);
        let running: Vec<_> = lab
            .guests()
            .iter()
            .map(|guest| guest.start(Command::sh(read)))
            .collect::<Result<_>>()?;
        for i in 0..2000 {
            save(&path, &i.to_string())?;
            std::thread::yield_now();
        }
        fs::write(lab.host("stop"), "")?;
        for command in running {
            command.wait(far)?.ok()?;
        }
        for guest in lab.guests() {
            guest.sh(&until("cat /mnt/file", "1999"))?.ok()?;
        }
        lab.power_off()?;
    }
    Ok(())
}
