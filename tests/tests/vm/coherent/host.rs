//! What is changed on the host itself, and what guests with the driver see of it.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// What applications may be told of while the host saves files over and over: never of `ESTALE`. Linux looks a path up once
/// more when it is told of that, and by then the file may have been replaced again.
const READS: &str = "
    for i in $(seq 60); do cat /mnt/file > /dev/null || exit 1; done
    for i in $(seq 30); do stat /mnt/file > /dev/null && readlink /mnt/link > /dev/null || exit 1; done";

#[test]
fn a_file_that_is_saved_again_and_again_is_never_stale_to_an_application() -> Result<()> {
    is_never_stale_to_an_application("fanotify")
}

#[test]
#[ignore = "long"]
fn nor_is_it_where_inodes_are_watched_one_by_one() -> Result<()> {
    is_never_stale_to_an_application("inotify")
}

fn is_never_stale_to_an_application(watch: &str) -> Result<()> {
    let lab = Lab::builder().guests(3).coherent().stock_guests(1).cache("auto");
    let lab = lab.daemon_args(["--watch", watch]).boot()?;
    let (file, link) = (lab.host("file"), lab.host("link"));
    let replace = |i: u64| -> Result<()> {
        save(&file, &i.to_string())?;
        let new = lab.host("link.new");
        std::os::unix::fs::symlink(i.to_string(), &new)?;
        Ok(fs::rename(&new, &link)?)
    };
    replace(0)?;
    let running: Vec<_> =
        lab.guests().iter().map(|guest| guest.start(Command::sh(READS))).collect::<Result<_>>()?;
    let stop = AtomicBool::new(false);
    let saved = std::thread::scope(|scope| -> Result<u64> {
        let saving = scope.spawn(|| -> Result<u64> {
            let mut saves = 1;
            // Relaxed: nothing hangs on the moment.
            while !stop.load(Ordering::Relaxed) {
                replace(saves)?;
                saves += 1;
            }
            Ok(saves)
        });
        let far = Instant::now() + Duration::from_mins(2);
        let ended = running.into_iter().try_for_each(|read| read.wait(far)?.ok().map(drop));
        // Relaxed: as above.
        stop.store(true, Ordering::Relaxed);
        let saved = saving.join().expect("no panic");
        ended.and(saved)
    })?;
    println!("{watch}: {saved} saves");
    for guest in lab.guests() {
        guest.sh(&until("cat /mnt/file", &(saved - 1).to_string()))?.ok()?;
    }
    lab.power_off()
}
