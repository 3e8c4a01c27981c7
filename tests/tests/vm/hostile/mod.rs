//! Real guests at work on the files and the table that a hostile front end uses as well (`daemon/tests/binary/hostile`).
//!
//! The hostile one has a daemon of its own, for a directory in the guests' share: what it may do there it does, and the
//! guests see it. What they do elsewhere must come to no harm, and in the end they see all as it is.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command as HostCommand, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use samepage_history::soak::{self, Report, STOP};
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::daemon::{Program, Table};
use samepage_tests::framework::guest::Running;
use samepage_tests::framework::lab::{Builder, MOUNT_POINT};
use samepage_tests::framework::process::Process;
use samepage_tests::framework::{Command, Lab, cargo, paths};

use crate::soak::agreement;

mod mappings;

const NAMES: [&str; 2] = ["first", "second"];
/// How much of its time each guest works, in percent.
const PERCENT: &str = "20";
/// The test of the daemon's that is hostile for so many seconds.
const AT_EVERY_LAYER: &str = "hostile::hostile_at_every_layer_for_a_minute";
const PATIENCE: Duration = Duration::from_mins(5);
/// Looks at all that the hostile one makes, and makes no more of it than that.
const LOOK: &str = "until [ -e /mnt/stop ]; do
    find /mnt/share -exec stat {} + > /dev/null 2>&1; find /mnt/share -type f -exec cat {} + > /dev/null 2>&1; sleep 1; done";

#[test]
#[ignore = "long"]
fn real_guests_come_to_no_harm_for_an_hour() -> Result<()> {
    beside_a_hostile_one(3600)
}

fn beside_a_hostile_one(seconds: u64) -> Result<()> {
    let place = Place::new()?;
    let lab = place.lab()?.boot()?;
    let mut soakers = Vec::new();
    let mut lookers = Vec::new();
    for number in 0..NAMES.len() {
        soakers.push(soaker(&lab, number)?);
        lookers.push(lab[number].start(Command::sh(LOOK))?);
    }
    place.be_hostile(AT_EVERY_LAYER, seconds, &lab, || {
        are_at_work(soakers.iter().chain(&lookers))
    })?;
    place.stop()?;
    let deadline = Instant::now() + PATIENCE;
    for looker in lookers {
        looker.wait(deadline)?.ok()?;
    }
    place.agree(lab, soakers)
}

/// Everyday work that checks what it can.
fn soaker(lab: &Lab, number: usize) -> Result<Running> {
    let words = [MOUNT_POINT, NAMES[number], &number.to_string(), PERCENT, "coherent"];
    lab[number].start(Command::new("samepage-soaker").args(words))
}

/// The directory that all share, and its table.
struct Place {
    house: Scratch,
    tables: Scratch,
}

impl Place {
    fn new() -> Result<Self> {
        let house = Scratch::new_in(&paths::rig().join("shares"))?;
        fs::set_permissions(house.path(), Permissions::from_mode(0o755))?;
        soak::prepare(house.path(), &NAMES)?;
        Ok(Self { house, tables: Scratch::in_memory()? })
    }

    fn table(&self) -> PathBuf {
        self.tables.path().join("table")
    }

    /// Guests at work here.
    fn lab(&self) -> Result<Builder> {
        let lab = Lab::builder().guests(NAMES.len()).coherent().daemon(Program::Samepaged);
        let lab = lab
            .cache("auto")
            .share(self.house.path())
            .table(Table::named(self.table()))
            .daemon_args(["--slots", "65536", "--xattr"])
            .program(cargo::soaker()?, "/bin/samepage-soaker")
            .command_limit(PATIENCE);
        Ok(lab)
    }

    /// Lets a test of the daemon's be hostile here for so long (`SAMEPAGE_HOSTILE_SECONDS`, if that is set), and looks all
    /// the time whether others are well.
    fn be_hostile(
        &self,
        test: &str,
        default_seconds: u64,
        lab: &Lab,
        are_well: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let given = std::env::var("SAMEPAGE_HOSTILE_SECONDS").ok().map(|given| given.parse());
        let seconds = given.transpose().context("SAMEPAGE_HOSTILE_SECONDS is a number")?;
        let seconds = seconds.unwrap_or(default_seconds);
        let log = lab.logs().join("hostile.log");
        let mut hostile = HostCommand::new(cargo::daemon_tests()?);
        hostile.args(["--exact", test, "--nocapture"]);
        hostile.env("SAMEPAGE_HOSTILE_HOUSE", self.house.path());
        hostile.env("SAMEPAGE_HOSTILE_TABLE", self.table());
        hostile.env("SAMEPAGE_HOSTILE_SECONDS", seconds.to_string());
        hostile.stdout(Stdio::null()).stderr(File::create(&log)?);
        let mut hostile = Process::spawn("the hostile one", &mut hostile)?;
        let deadline = Instant::now() + Duration::from_secs(seconds) + PATIENCE;
        while hostile.wait_until(Instant::now() + Duration::from_secs(1))?.is_none() {
            ensure!(Instant::now() < deadline, "the hostile one does not end");
            are_well()?;
        }
        let status = hostile.status()?.context("it has ended")?;
        let said = fs::read_to_string(&log)?;
        ensure!(status.success(), "the hostile one: {status}\n{said}");
        println!("{said}");
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        Ok(fs::write(self.house.path().join(STOP), "")?)
    }

    /// What the soakers have counted is there, and all see the same.
    fn agree(&self, lab: Lab, soakers: Vec<Running>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut reports = Vec::new();
        for (name, soaker) in NAMES.into_iter().zip(soakers) {
            let text = soaker.wait(deadline)?.ok()?.text();
            reports.push((name.to_owned(), Report::parse(&text)?));
        }
        println!("{reports:?}");
        agreement::of_counters(self.house.path(), &reports)?;
        agreement::of_trees(self.house.path(), NAMES.into_iter().zip(lab.guests()))?;
        lab.power_off()
    }
}

fn are_at_work<'a>(running: impl Iterator<Item = &'a Running>) -> Result<()> {
    for (number, running) in running.enumerate() {
        if let Some(event) = running.next(Instant::now())? {
            bail!("number {number} of those at work: {event:?}");
        }
    }
    Ok(())
}
