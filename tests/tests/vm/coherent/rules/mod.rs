//! Each rule for the driver, with a look that is wrong without it.
//!
//! One guest changes what another has cached. It must see the change; with the rule's check left
//! out it must not, or the test could not fail.

mod races;
mod table;

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::daemon::Program;
use samepage_tests::framework::lab::Builder;
use samepage_tests::framework::{Guest, Lab, cargo};

use super::assert_calm;
use races::RACES;
use table::{DAX, RULES};

/// Something that a guest caches and another one changes.
struct Rule {
    /// Whose driver has the check.
    kernels: &'static [&'static str],
    /// The check that makes it right, as the driver's parameter calls it.
    fault: &'static str,
    /// Sets the stage, in the other guest.
    stage: &'static str,
    /// Lets the guest cache it.
    warm: &'static str,
    /// Changes it, in the other guest.
    change: &'static str,
    /// What the guest sees.
    look: &'static str,
    /// What it must see.
    right: &'static str,
    /// What it sees without the check.
    wrong: &'static str,
}

/// What scripts find:
/// - whom a file may belong to but root, and how to be it;
/// - how to hold something open over a change: `hold` starts a command in the background, which does the first half, then
///   `$WAIT`s; `said` lets it go on and repeats the line that it ends with;
/// - how to have walks overtaken: `linger` makes each wait that long before what it has found is validated;
/// - how to have a task overtaken: `stand` sets where the first to come there stands (none of them: nowhere), `stands` waits
///   until one does; and in the other guest `when_told` does something to `f` when `go` appears, then makes `done`, for which
///   `tell` waits.
const PRELUDE: &str = r#"NOBODY='su -s /bin/sh nobody -c'
WAIT='echo ready; until [ -e /tmp/go ]; do sleep 0.1; done'
hold() {
    rm -f /tmp/go /tmp/said
    "$@" < /dev/null > /tmp/said 2> /dev/null &
    until grep -q ready /tmp/said; do sleep 0.1; done
}
said() {
    : > /tmp/go
    until [ "$(grep -c . /tmp/said)" = 2 ]; do sleep 0.1; done
    tail -n 1 /tmp/said
}
PARAMETERS=/sys/module/samepage/parameters
linger() { echo "$1" > $PARAMETERS/linger; }
places() {
    sum=0
    for place in "$@"; do
        case $place in cut) bit=1 ;; write) bit=2 ;; trunc) bit=4 ;; read) bit=8 ;; rmdir) bit=16 ;; esac
        sum=$((sum + bit))
    done
    echo $sum
}
stand() { places "$@" > $PARAMETERS/stand; }
stands() { until [ "$(cat $PARAMETERS/standing)" = "$(places "$@")" ]; do sleep 0.1; done; }
when_told() {
    (until [ -d go ]; do sleep 0.1; done; eval "$1"; : > done) < /dev/null > /dev/null 2>&1 &
}
tell() {
    mkdir go
    until [ -e done ]; do sleep 0.1; done
}"#;

/// How often a look may be right although its check was left out.
const ATTEMPTS: u32 = 6;

#[test]
fn every_check_is_missed_when_it_is_left_out() -> Result<()> {
    every_check_is_missed_on("6.12")
}

#[test]
#[ignore = "long"]
fn every_check_is_missed_on_6_1() -> Result<()> {
    every_check_is_missed_on("6.1")
}

#[test]
#[ignore = "long"]
fn every_check_is_missed_on_7_2() -> Result<()> {
    every_check_is_missed_on("7.2")
}

#[test]
fn whoever_is_overtaken_is_missed_when_that_is_left_out() -> Result<()> {
    every_race_is_missed_on("6.12")
}

#[test]
#[ignore = "long"]
fn whoever_is_overtaken_is_missed_on_6_1() -> Result<()> {
    every_race_is_missed_on("6.1")
}

#[test]
#[ignore = "long"]
fn whoever_is_overtaken_is_missed_on_7_2() -> Result<()> {
    every_race_is_missed_on("7.2")
}

fn every_race_is_missed_on(kernel: &str) -> Result<()> {
    let lab = lab(kernel)?.boot()?;
    is_missed_where_left_out(&lab, RACES)?;
    lab.power_off()
}

#[test]
fn the_size_that_dax_goes_by_is_missed_when_it_is_left_out() -> Result<()> {
    let lab = lab("6.12")?.dax("16M", "always").boot()?;
    is_missed_where_left_out(&lab, DAX)?;
    lab.power_off()
}

/// Every rule on this kernel, with its check and without.
pub(crate) fn every_check_is_missed_on(kernel: &str) -> Result<()> {
    let series = kernel.trim_end_matches("-checked");
    let lab = lab(kernel)?.boot()?;
    let rules = RULES.iter().filter(|rule| rule.kernels.contains(&series));
    is_missed_where_left_out(&lab, rules)?;
    lab.power_off()
}

fn lab(kernel: &str) -> Result<Builder> {
    // The host's own events for a change can end more than the change itself: then another check would notice it, too.
    let lab = Lab::builder().kernel(kernel).guests(2).coherent().daemon(Program::Samepaged);
    let lab = lab.daemon_args(["--watch", "off", "--posix-acl"]).module_fault("none");
    // So few that a daemon does not keep all that the guests know.
    let lab = lab.daemon_args(["--rlimit-nofile", "1024"]);
    let lab = lab.program(cargo::calls()?, "/bin/samepage-calls");
    Ok(lab.program(cargo::locker()?, "/bin/samepage-locker"))
}

fn is_missed_where_left_out<'a>(
    lab: &Lab,
    rules: impl IntoIterator<Item = &'a Rule>,
) -> Result<()> {
    let mut failures = Vec::new();
    for (number, rule) in rules.into_iter().enumerate() {
        for (fault, expected) in [("none", rule.right), (rule.fault, rule.wrong)] {
            // With the check it is right the first time. Without it there may be nothing in the cache to be wrong about.
            let attempts = if fault == "none" { 1 } else { ATTEMPTS };
            let mut seen = String::new();
            for attempt in 0..attempts {
                // A new directory each time: nothing is cached of it.
                let place = format!("/mnt/{number}-{fault}-{attempt}");
                seen = look(lab, rule, fault, &place).with_context(|| rule.fault)?;
                if seen == expected {
                    break;
                }
            }
            println!("{}, left out {fault}: {seen}", rule.fault);
            if seen != expected {
                failures.push(format!("{}: {fault}: {seen}, not {expected}", rule.fault));
            }
        }
    }
    for guest in lab.guests() {
        assert_calm(guest)?;
    }
    ensure!(failures.is_empty(), "{failures:#?}");
    Ok(())
}

fn look(lab: &Lab, rule: &Rule, fault: &str, place: &str) -> Result<String> {
    let (other, guest) = (&lab[0], &lab[1]);
    set_fault(guest, "none")?;
    let run = |guest: &Guest, script: &str| -> Result<String> {
        let output = guest.sh(&format!("{PRELUDE}\ncd {place} && {{ {script}\n}} 2> /dev/null"))?;
        Ok(output.ok().with_context(|| script.to_owned())?.text())
    };
    other.sh(&format!("chmod 755 /mnt; mkdir {place}"))?.ok()?;
    run(other, rule.stage)?;
    run(guest, rule.warm)?;
    set_fault(guest, fault)?;
    run(other, rule.change)?;
    let seen = run(guest, rule.look)?;
    set_fault(guest, "none")?;
    Ok(seen.trim().to_owned())
}

fn set_fault(guest: &Guest, fault: &str) -> Result<()> {
    let parameter = "/sys/module/samepage/parameters/fault";
    let set = guest.sh(&format!("echo {fault} > {parameter} && cat {parameter}"))?.ok()?;
    ensure!(set.text().trim() == fault, "the driver has no fault {fault}");
    Ok(())
}
