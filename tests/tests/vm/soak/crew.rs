//! Guests of several kernels and the host, who all work on one share.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command as HostCommand, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use samepage_history::soak::{self, Report, STOP};
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::daemon::{Program, Table};
use samepage_tests::framework::guest::Running;
use samepage_tests::framework::lab::MOUNT_POINT;
use samepage_tests::framework::process::Process;
use samepage_tests::framework::{Command, Lab, cargo, paths};

use super::agreement;
use super::record::{Record, Sample};

/// A kernel, and whether the guest has the driver that checks the table.
const GUESTS: [(&str, bool); 4] = [("7.2", true), ("6.12", true), ("6.1", true), ("6.12", false)];
const HOST: &str = "host";
/// How much of its time each works, in percent: others use this machine, too.
const PERCENT: &str = "10";
const MEMORY_MIB: u32 = 256;
/// How long a round may take, and whatever is asked of a guest meanwhile.
const PATIENCE: Duration = Duration::from_mins(5);

struct Member {
    name: String,
    lab: Lab,
    running: Running,
}

/// Everybody.
pub(super) struct Crew {
    // In this order they end: guests before the directories that they use.
    members: Vec<Member>,
    host: Process,
    share: Scratch,
    _tables: Scratch,
    logs: Scratch,
}

impl Crew {
    /// Boot the guests, one lab each, and let all begin.
    pub(super) fn start() -> Result<Self> {
        let share = Scratch::new_in(&paths::rig().join("shares"))?;
        fs::set_permissions(share.path(), Permissions::from_mode(0o755))?;
        let (tables, logs) = (Scratch::in_memory()?, Scratch::new()?);
        let table = Table::named(tables.path().join("table"));
        let names: Vec<_> = GUESTS.iter().map(|(kernel, is)| name(kernel, *is)).collect();
        let all: Vec<_> = names.iter().map(String::as_str).chain([HOST]).collect();
        soak::prepare(share.path(), &all)?;
        let mut labs = Vec::new();
        for (name, (kernel, coherent)) in names.iter().zip(GUESTS) {
            labs.push(boot(name, kernel, coherent, share.path(), &table)?);
        }
        let mut members = Vec::new();
        for ((number, lab), name) in labs.into_iter().enumerate().zip(names) {
            let promise = if GUESTS[number].1 { "coherent" } else { "stock" };
            let words = [MOUNT_POINT, &name, &number.to_string(), PERCENT, promise];
            let running = lab[0].start(Command::new("samepage-soaker").args(words))?;
            members.push(Member { name, lab, running });
        }
        let mut command = HostCommand::new(cargo::soaker()?);
        command.arg(share.path()).args([HOST, "99", PERCENT, "coherent"]);
        command.stdout(File::create(logs.path().join("report"))?).stderr(Stdio::inherit());
        let host = Process::spawn("the host's worker", &mut command)?;
        Ok(Self { members, host, share, _tables: tables, logs })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.members.iter().map(|member| member.name.clone())
    }

    /// Look at everybody, who must all be at work.
    pub(super) fn sample(&mut self, record: &mut Record, since: Duration) -> Result<()> {
        ensure!(self.host.status()?.is_none(), "the host's worker has ended");
        for (member, series) in self.members.iter_mut().zip(&mut record.guests) {
            let name = &member.name;
            let event = member.running.next(Instant::now()).context(name.clone())?;
            ensure!(event.is_none(), "the worker of {name}: {event:?}");
            series.samples.push(Sample::take(&mut member.lab[0], since).context(name.clone())?);
        }
        Ok(())
    }

    /// Let all come to an end, and compare what they have done and what they see.
    pub(super) fn finish(mut self) -> Result<String> {
        fs::write(self.share.path().join(STOP), "")?;
        let deadline = Instant::now() + PATIENCE;
        let mut reports = Vec::new();
        let mut labs = Vec::new();
        for Member { name, lab, running } in self.members.drain(..) {
            let text = running.wait(deadline).context(name.clone())?.ok()?.text();
            reports.push((name.clone(), Report::parse(&text)?));
            labs.push((name, lab));
        }
        let status = self.host.wait_until(deadline)?.context("the host's worker does not end")?;
        ensure!(status.success(), "the host's worker: {status}");
        let text = fs::read_to_string(self.logs.path().join("report"))?;
        reports.push((HOST.into(), Report::parse(&text)?));
        agreement::of_counters(self.share.path(), &reports)?;
        let guests = labs.iter().map(|(name, lab)| (name.as_str(), &lab[0]));
        agreement::of_trees(self.share.path(), guests)?;
        labs.into_iter().try_for_each(|(_, lab)| lab.power_off())?;
        let lines: Vec<_> =
            reports.iter().map(|(name, report)| format!("{name}: {report:?}")).collect();
        Ok(lines.join("\n"))
    }
}

fn name(kernel: &str, coherent: bool) -> String {
    format!("{}-{kernel}", if coherent { "coherent" } else { "stock" })
}

fn boot(name: &str, kernel: &str, coherent: bool, share: &Path, table: &Table) -> Result<Lab> {
    Lab::builder()
        .kernel(kernel)
        .coherent()
        .stock_guests(usize::from(!coherent))
        .daemon(Program::Samepaged)
        .cache("auto")
        .share(share)
        .table(table.clone())
        .memory(MEMORY_MIB)
        .program(cargo::soaker()?, "/bin/samepage-soaker")
        .command_limit(PATIENCE)
        .logs(paths::logs().join("soak").join(name))
        .boot()
}
