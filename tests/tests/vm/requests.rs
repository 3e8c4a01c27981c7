//! What a coherent guest asks its daemon for: nothing, as long as nobody changes anything.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::cargo::{self, find_in_path};
use samepage_tests::framework::daemon::{Counters, Program};
use samepage_tests::framework::lab::{Builder, Root};
use samepage_tests::framework::{Guest, Lab};

/// Opening and closing files, which the host has to know of: it keeps what is open alive, whoever removes it.
const OPENING: [&str; 2] = ["OPEN", "RELEASE"];

fn coherent() -> Builder {
    // Counted exactly: where fanotify watches, whatever else happens on the host's file system may cost a question now and
    // then, by slots that fall together.
    let daemon = Lab::builder().coherent().daemon(Program::Samepaged);
    daemon.daemon_args(["--watch", "off"])
}

/// A thousand files in ten directories.
fn plant(share: &Path) -> Result<()> {
    for directory in 0..10 {
        let directory = share.join(format!("d{directory}"));
        fs::create_dir(&directory)?;
        for file in 0..100 {
            fs::write(directory.join(format!("f{file}")), "contents\n")?;
        }
    }
    Ok(())
}

fn planted(builder: Builder) -> Result<Lab> {
    let lab = builder.program(cargo::probe()?, "/bin/samepage-probe").boot()?;
    plant(lab.share())?;
    Ok(lab)
}

/// The first run may ask for everything, the second for what the first has changed by reading (the
/// time of access of a directory), the third for these operations only.
fn costs_only(guest: &Guest, script: &str, allowed: &[&str]) -> Result<Counters> {
    let (_, cold) = guest.requests_of(script)?;
    let (_, second) = guest.requests_of(script)?;
    let (_, warm) = guest.requests_of(script)?;
    println!("{script}\n  first: {cold}\n  second: {second}\n  third: {warm}");
    ensure!(warm.requests_but(allowed) == 0, "`{script}` costs {warm} when it is run again");
    Ok(warm)
}

/// The same, where so many files are opened.
fn only_opens(guest: &Guest, script: &str, files: u64) -> Result<()> {
    let warm = costs_only(guest, script, &OPENING)?;
    let opened = OPENING.map(|opcode| warm.requests(opcode));
    ensure!(opened == [files; 2], "`{script}` opens {files} files, and costs {warm}");
    Ok(())
}

#[test]
fn looking_at_an_unchanged_tree_asks_for_nothing() -> Result<()> {
    looks(50)
}

#[test]
#[ignore = "long"]
fn a_million_looks_ask_for_nothing() -> Result<()> {
    looks(1000)
}

/// Find, ask for what is missing, and look at each of the thousand files so many times.
fn looks(rounds: u32) -> Result<()> {
    let lab = planted(coherent().command_limit(Duration::from_mins(10)))?;
    costs_only(&lab[0], "find /mnt | wc -l", &[])?;
    costs_only(&lab[0], "samepage-probe missing /mnt/d3 3", &[])?;
    // The probe asks for the time of birth, which no LOOKUP brings: once for each file.
    lab[0].sh("samepage-probe stat /mnt 1")?.ok()?;
    let (output, cost) = lab[0].requests_of(&format!("samepage-probe stat /mnt {rounds}"))?;
    println!("{} looks: {cost}", rounds * 1000);
    ensure!(output.text().starts_with(&format!("{} ", rounds * 1000)), "{}", output.text());
    ensure!(cost.requests_but(&[]) == 0, "the looks cost {cost}");
    lab.power_off()
}

/// What a listing has brought is not looked up again, and directories of forty files are listed in one piece.
fn a_cold_walk_looks_up_nothing(kernel: &str) -> Result<()> {
    const DIRECTORIES: u64 = 20;
    let lab = coherent().kernel(kernel).boot()?;
    for directory in 0..DIRECTORIES {
        let directory = lab.share().join(format!("directory-{directory}"));
        fs::create_dir(&directory)?;
        for file in 0..40 {
            fs::write(directory.join(format!("file-{file:02}")), "contents\n")?;
        }
    }
    let (output, cost) = lab[0].requests_of("find /mnt -type f -size -2 | wc -l")?;
    println!("a cold walk on {kernel}: {cost}");
    ensure!(output.text().trim() == (40 * DIRECTORIES).to_string(), "{}", output.text());
    ensure!(cost.requests("LOOKUP") == 0, "what listings brought is looked up again: {cost}");
    // Each listing in one piece, and a reply that says that there is no more.
    let listings = 2 * (1 + DIRECTORIES);
    ensure!(cost.requests("READDIRPLUS") == listings, "listings come in pieces: {cost}");
    lab.power_off()
}

#[test]
fn a_cold_walk_takes_what_listings_bring() -> Result<()> {
    a_cold_walk_looks_up_nothing("6.12")
}

#[test]
#[ignore = "long"]
fn a_cold_walk_takes_what_listings_bring_on_6_1() -> Result<()> {
    a_cold_walk_looks_up_nothing("6.1")
}

#[test]
#[ignore = "long"]
fn a_cold_walk_takes_what_listings_bring_on_7_2() -> Result<()> {
    a_cold_walk_looks_up_nothing("7.2")
}

#[test]
fn a_warm_git_status_only_opens() -> Result<()> {
    find_in_path("git").context("this test needs git on the host")?;
    let lab = planted(coherent().root(Root::Host).memory(1024))?;
    let git = "cd /mnt && git -c user.name=x -c user.email=x@example.org";
    lab[0].sh(&format!("{git} init -q . && {git} add . && {git} commit -qm all"))?.ok()?;
    // Files as young as the index are read again, so let git look once more when they are not.
    let status = "cd /mnt && touch -d '1 hour ago' d*/f* && git update-index -q --refresh";
    lab[0].sh(status)?.ok()?;
    let status = "cd /mnt && git --no-optional-locks status --porcelain";
    let warm = costs_only(&lab[0], status, &OPENING)?;
    // The index and what is in .git: how many files that are is the business of git.
    let [opened, closed] = OPENING.map(|opcode| warm.requests(opcode));
    ensure!(opened == closed && (1..100).contains(&opened), "it costs {warm}");
    lab.power_off()
}

#[test]
fn cached_pages_are_dropped_when_another_guest_writes_and_only_then() -> Result<()> {
    let lab = coherent().guests(2).boot()?;
    lab[0].sh("echo 0000 > /mnt/f")?.ok()?;
    only_opens(&lab[1], "cat /mnt/f", 1)?;
    for round in 1..=40 {
        // The size stays, and so may the time: 40 rounds do not take 40 ticks of the host's clock.
        let text = format!("{round:04}\n");
        let write = format!("printf '{round:04}\\n' | dd of=/mnt/f conv=notrunc 2> /dev/null");
        lab[0].sh(&write)?.ok()?;
        let seen = lab[1].sh("cat /mnt/f")?.ok()?.text();
        ensure!(seen == text, "{seen:?} was read after {text:?} had been written");
    }
    only_opens(&lab[1], "cat /mnt/f", 1)?;
    lab.power_off()
}

#[test]
fn a_guests_own_writes_leave_its_cache_alone() -> Result<()> {
    let lab = coherent().boot()?;
    lab[0].sh("dd if=/dev/zero of=/mnt/own bs=64k count=16 2> /dev/null")?.ok()?;
    only_opens(&lab[0], "cat /mnt/own > /dev/null", 1)?;
    let script = "i=0; while [ $i -lt 20 ]; do i=$((i+1)); \
                  echo $i | dd of=/mnt/own bs=4k seek=$i conv=notrunc 2> /dev/null; \
                  cat /mnt/own > /dev/null; done";
    let (_, cost) = lab[0].requests_of(script)?;
    println!("20 writes and 20 reads of everything: {cost}");
    ensure!(cost.requests("READ") == 0, "own writes cost the own cache: {cost}");
    ensure!(cost.requests("WRITE") >= 20, "nothing was written: {cost}");
    // dd opens once and has two descriptors of it, one after the other; cat only reads.
    ensure!(cost.requests("FLUSH") == 40, "what is only read is flushed: {cost}");
    lab.power_off()
}
