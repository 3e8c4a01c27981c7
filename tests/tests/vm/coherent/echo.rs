//! What events cost that tell a daemon nothing new: of what its own guest has changed, and of what other daemons of the
//! table have heard of as well.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::{Guest, Lab};

/// Files that a guest changes.
const FILES: u64 = 40;
/// Changes that the host makes.
const CHANGES: u64 = 10;
/// How long what must come may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// On a file system on which little else happens, so that events are of what the test does.
fn share() -> Result<Scratch> {
    let share = Scratch::new_in(Path::new("/dev/shm"))?;
    fs::set_permissions(share.path(), Permissions::from_mode(0o755))?;
    Ok(share)
}

fn lab(guests: usize, watch: &str, share: &Scratch) -> Result<Lab> {
    let lab = Lab::builder().guests(guests).coherent().share(share.path());
    lab.daemon_args(["--watch", watch]).boot()
}

/// A figure of the watcher's.
fn figure(guest: &Guest, name: &str) -> Result<u64> {
    Ok(guest.counters()?.sample(&format!("samepaged_watch_{name}_total")))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let far = Instant::now() + PATIENCE;
    while !is_so()? {
        ensure!(Instant::now() < far, "{what}: in vain");
        std::thread::yield_now();
    }
    Ok(())
}

/// What looking asks the host.
fn asked(guest: &Guest, script: &str) -> Result<u64> {
    let (_, cost) = guest.requests_of(script)?;
    Ok(["LOOKUP", "GETATTR", "STATX"].map(|opcode| cost.requests(opcode)).iter().sum())
}

/// A guest makes files, writes, changes modes, renames some, and looks at the others: how many slots its own events moved,
/// and what the look asked.
fn own_changes(watch: &str) -> Result<(u64, u64)> {
    let share = share()?;
    let lab = lab(1, watch, &share)?;
    let all = format!("for i in $(seq {FILES})");
    let change =
        "echo x > /mnt/new && mv /mnt/new /mnt/moved$i && echo x > /mnt/f$i && chmod 640 /mnt/f$i";
    let change = format!("{all}; do {change} || exit 1; done");
    lab[0].sh(&change)?.ok()?;
    // Each file is at least made, written, changed and renamed.
    wait_until("the events", || Ok(figure(&lab[0], "events")? >= 4 * FILES))?;
    let moved = figure(&lab[0], "moved_slots")?;
    let look = format!("{all}; do stat /mnt/f$i > /dev/null || exit 1; done");
    let cost = asked(&lab[0], &look)?;
    println!("{watch}: of {FILES} files, {moved} slots moved; looking at them asked {cost} times");
    lab.power_off()?;
    Ok((moved, cost))
}

#[test]
#[ignore = "long"]
fn a_guest_s_own_changes_cost_it_nothing_with_fanotify() -> Result<()> {
    let (moved, _) = own_changes("fanotify")?;
    ensure!(moved == 0, "{moved} slots were moved");
    Ok(())
}

#[test]
#[ignore = "long"]
fn a_guest_s_own_changes_cost_it_a_question_with_inotify() -> Result<()> {
    let (moved, cost) = own_changes("inotify")?;
    ensure!(moved > 0, "inotify does not say who made a change");
    ensure!(cost <= 2 * FILES, "{cost} questions");
    Ok(())
}

#[test]
#[ignore = "long"]
fn one_change_on_the_host_costs_each_guest_one_question_however_many_daemons_hear_of_it()
-> Result<()> {
    for watch in ["fanotify", "inotify"] {
        let share = share()?;
        let lab = lab(3, watch, &share)?;
        let file = lab.host("file");
        fs::write(&file, "")?;
        let look = "stat -c %a /mnt/file";
        let figures = |name: &str| -> Result<Vec<u64>> {
            lab.guests().iter().map(|guest| figure(guest, name)).collect()
        };
        for guest in lab.guests() {
            guest.sh(&format!("{look}; {look}"))?.ok()?;
            ensure!(asked(guest, look)? == 0, "it is cached");
        }
        let before = figures("moved_slots")?;
        for number in 0..CHANGES {
            let heard = figures("events")?;
            fs::set_permissions(&file, Permissions::from_mode(0o600 | number as u32))?;
            wait_until("the event", || {
                Ok(figures("events")?.iter().zip(&heard).all(|(now, before)| now > before))
            })?;
            for guest in lab.guests() {
                ensure!(asked(guest, look)? == 1, "one question");
                ensure!(asked(guest, look)? == 0, "and no more");
            }
        }
        let after = figures("moved_slots")?;
        let moved: u64 = after.iter().zip(&before).map(|(after, before)| after - before).sum();
        println!("{watch}: {CHANGES} changes, 3 daemons, {moved} slots moved");
        // The permissions' and the attributes'.
        ensure!(moved == 2 * CHANGES, "{moved} slots were moved");
        lab.power_off()?;
    }
    Ok(())
}

/// Guests that look all the time ask as soon as the first daemon has moved the slot, maybe before the second has heard
/// of the change: then that one moves it again. How often is only told.
#[test]
#[ignore = "long"]
fn guests_that_look_all_the_time_see_every_change() -> Result<()> {
    for watch in ["fanotify", "inotify"] {
        let share = share()?;
        let lab = lab(3, watch, &share)?;
        let file = lab.host("file");
        fs::write(&file, "")?;
        let script = "for i in $(seq 200); do stat -c %a /mnt/file > /dev/null; done";
        for guest in lab.guests() {
            guest.sh("stat /mnt/file")?.ok()?;
        }
        let mut questions = 0;
        for number in 0..CHANGES {
            let before: Vec<_> = lab.guests().iter().map(Guest::counters).collect::<Result<_>>()?;
            let running: Vec<_> = lab
                .guests()
                .iter()
                .map(|guest| guest.start(samepage_tests::framework::Command::sh(script)))
                .collect::<Result<_>>()?;
            fs::set_permissions(&file, Permissions::from_mode(0o600 | number as u32))?;
            for command in running {
                command.wait(Instant::now() + PATIENCE)?.ok()?;
            }
            for (guest, before) in lab.guests().iter().zip(&before) {
                let cost = guest.counters()?.since(before);
                questions += cost.requests("LOOKUP") + cost.requests("GETATTR");
                let seen = guest.sh("stat -c %a /mnt/file")?.ok()?.text();
                ensure!(seen.trim() == format!("{:o}", 0o600 | number), "{seen}");
            }
        }
        println!(
            "{watch}: {CHANGES} changes cost 3 guests that look all the time {questions} questions"
        );
        lab.power_off()?;
    }
    Ok(())
}
