//! Real guests at work on the files and the table that a hostile front end uses as well (`daemon/tests/binary/hostile`).
//!
//! The hostile one has a daemon of its own, for a directory in the guests' share: what it may do there it does, and the
//! guests see it. What they do elsewhere must come to no harm, and in the end they see all as it is.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command as HostCommand, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use samepage_history::soak::{self, Report, STOP};
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::daemon::{Program, Table};
use samepage_tests::framework::guest::Running;
use samepage_tests::framework::lab::MOUNT_POINT;
use samepage_tests::framework::process::Process;
use samepage_tests::framework::{Command, Lab, cargo, paths};

use crate::soak::agreement;

const NAMES: [&str; 2] = ["first", "second"];
/// How much of its time each guest works, in percent.
const PERCENT: &str = "20";
/// The test of the daemon's that is hostile for so many seconds.
const HOSTILE: &str = "hostile::hostile_at_every_layer_for_a_minute";
const PATIENCE: Duration = Duration::from_mins(5);
/// Looks at all that the hostile one makes, and makes no more of it than that.
const LOOK: &str = "until [ -e /mnt/stop ]; do
    find /mnt/share -exec stat {} + > /dev/null 2>&1; find /mnt/share -type f -exec cat {} + > /dev/null 2>&1; sleep 1; done";

#[test]
#[ignore = "long"]
fn real_guests_come_to_no_harm_for_an_hour() -> Result<()> {
    let seconds = std::env::var("SAMEPAGE_HOSTILE_SECONDS").unwrap_or_else(|_| "3600".into());
    beside_a_hostile_one(seconds.parse().context("SAMEPAGE_HOSTILE_SECONDS is a number")?)
}

fn beside_a_hostile_one(seconds: u64) -> Result<()> {
    let house = Scratch::new_in(&paths::rig().join("shares"))?;
    fs::set_permissions(house.path(), Permissions::from_mode(0o755))?;
    soak::prepare(house.path(), &NAMES)?;
    let tables = Scratch::in_memory()?;
    let table = tables.path().join("table");
    let lab = Lab::builder()
        .guests(NAMES.len())
        .coherent()
        .daemon(Program::Samepaged)
        .cache("auto")
        .share(house.path())
        .table(Table::named(&table))
        .daemon_args(["--slots", "65536", "--xattr"])
        .program(cargo::soaker()?, "/bin/samepage-soaker")
        .command_limit(PATIENCE)
        .boot()?;
    let mut running = Vec::new();
    for (number, name) in NAMES.into_iter().enumerate() {
        let words = [MOUNT_POINT, name, &number.to_string(), PERCENT, "coherent"];
        running.push(lab[number].start(Command::new("samepage-soaker").args(words))?);
        running.push(lab[number].start(Command::sh(LOOK))?);
    }
    let log = lab.logs().join("hostile.log");
    let mut hostile = HostCommand::new(cargo::daemon_tests()?);
    hostile.args(["--exact", HOSTILE, "--nocapture"]);
    hostile.env("SAMEPAGE_HOSTILE_HOUSE", house.path()).env("SAMEPAGE_HOSTILE_TABLE", &table);
    hostile.env("SAMEPAGE_HOSTILE_SECONDS", seconds.to_string());
    hostile.stdout(Stdio::null()).stderr(File::create(&log)?);
    let mut hostile = Process::spawn("the hostile one", &mut hostile)?;
    let deadline = Instant::now() + Duration::from_secs(seconds) + PATIENCE;
    while hostile.wait_until(Instant::now() + Duration::from_secs(1))?.is_none() {
        ensure!(Instant::now() < deadline, "the hostile one does not end");
        are_at_work(&running)?;
    }
    let status = hostile.status()?.context("it has ended")?;
    let said = fs::read_to_string(&log)?;
    ensure!(status.success(), "the hostile one: {status}\n{said}");
    println!("{said}");
    finish(&house, lab, running)
}

fn are_at_work(running: &[Running]) -> Result<()> {
    for (number, running) in running.iter().enumerate() {
        if let Some(event) = running.next(Instant::now())? {
            bail!("number {number} of those at work: {event:?}");
        }
    }
    Ok(())
}

fn finish(house: &Scratch, lab: Lab, running: Vec<Running>) -> Result<()> {
    fs::write(house.path().join(STOP), "")?;
    let deadline = Instant::now() + PATIENCE;
    let mut reports = Vec::new();
    for (number, running) in running.into_iter().enumerate() {
        let text = running.wait(deadline)?.ok()?.text();
        // The others only look.
        if number % 2 == 0 {
            reports.push((NAMES[number / 2].to_owned(), Report::parse(&text)?));
        }
    }
    println!("{reports:?}");
    agreement::of_counters(house.path(), &reports)?;
    agreement::of_trees(house.path(), NAMES.into_iter().zip(lab.guests()))?;
    lab.power_off()
}
