//! Guests that do random things on one share and write them down, and are killed at times.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use samepage_history::generate::Mix;
use samepage_history::{Call, Entry, Shared, check, execute};
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::guest::Running;
use samepage_tests::framework::lab::{Builder, MOUNT_POINT};
use samepage_tests::framework::{Command, Lab, cargo, paths};

/// Threads of each guest.
const THREADS: u32 = 2;
/// Operations that a thread surely cannot do while a guest boots.
const DURING_A_BOOT: usize = 50_000;
/// How long nobody may get further.
const PATIENCE: Duration = Duration::from_mins(2);

/// What is to be recorded.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Guests that promise never to use what is stale.
    pub(super) coherent: usize,
    /// Guests, the last ones, that promise nothing.
    pub(super) stock: usize,
    /// Operations in all.
    pub(super) operations: usize,
    /// How often one of the promising guests is killed, with its daemon, and started again.
    pub(super) kills: usize,
    /// Where the random operations begin.
    pub(super) seed: u64,
    /// What they are about.
    pub(super) mix: Mix,
}

/// A log's number and its writer's end.
struct Log {
    number: u32,
    trusted: bool,
    dead_at: u64,
}

struct Recording<'a> {
    plan: &'a Plan,
    lab: Lab,
    shared: Shared,
    logs: Vec<Log>,
    /// By guest: the recorder, and its first log.
    recorders: Vec<(Running, u32)>,
}

impl Plan {
    fn guests(&self) -> usize {
        self.coherent + self.stock
    }

    fn logs(&self) -> usize {
        (self.guests() + self.kills) * THREADS as usize
    }

    /// Boot the guests in a lab like this one, let them work, and gather what they wrote.
    pub(super) fn record(&self, builder: Builder) -> Result<Vec<Entry>> {
        let share = prepared_share()?;
        // Any thread may turn out to be the fastest, and all go on while one guest boots again.
        let room = self.operations + self.kills * DURING_A_BOOT;
        let size = Shared::bytes(self.logs(), room).next_power_of_two() as u64;
        let lab = builder
            .daemon_args(["--xattr"])
            .guests(self.guests())
            .share(share.path())
            .shared_memory(size)
            .program(cargo::recorder()?, "/bin/samepage-recorder")
            .boot()?;
        let shared = Shared::open(lab.shared_memory().context("the lab has shared memory")?)?;
        shared.prepare(room);
        let (logs, recorders) = (Vec::new(), Vec::new());
        let mut recording = Recording { plan: self, lab, shared, logs, recorders };
        for guest in 0..self.guests() {
            let recorder = recording.start(guest)?;
            recording.recorders.push(recorder);
        }
        recording.shared.go();
        recording.follow()?;
        recording.gather()
    }

    /// Check what was recorded.
    pub(super) fn verify(&self, entries: &[Entry]) -> Result<()> {
        let begun = Instant::now();
        let verdict = check(entries)?;
        let unknown = entries.iter().filter(|entry| entry.outcome.is_none()).count();
        println!(
            "{} operations of {}+{} guests, {unknown} of them cut off: 0 violations ({} worlds at \
             most, {:.1} s)",
            verdict.operations,
            self.coherent,
            self.stock,
            verdict.most_worlds,
            begun.elapsed().as_secs_f64()
        );
        Ok(())
    }
}

fn prepared_share() -> Result<Scratch> {
    let share = Scratch::new_in(&paths::rig().join("shares"))?;
    fs::set_permissions(share.path(), Permissions::from_mode(0o755))?;
    execute::prepare(share.path())?;
    for entry in fs::read_dir(share.path())? {
        fs::set_permissions(entry?.path(), Permissions::from_mode(0o755))?;
    }
    Ok(share)
}

impl Recording<'_> {
    /// Start the recorder in a guest, with new logs.
    fn start(&mut self, guest: usize) -> Result<(Running, u32)> {
        let first = self.logs.len() as u32;
        let trusted = guest < self.plan.coherent;
        for number in first..first + THREADS {
            self.logs.push(Log { number, trusted, dead_at: u64::MAX });
        }
        let command = Command::new("samepage-recorder")
            .arg(MOUNT_POINT)
            .arg(self.plan.seed.to_string())
            .arg(first.to_string())
            .arg(THREADS.to_string())
            .arg(if trusted { "coherent" } else { "stock" })
            .args((self.plan.mix == Mix::Contents).then_some("contents"));
        Ok((self.lab[guest].start(command)?, first))
    }

    /// Let them work and kill some of them, until enough is done.
    fn follow(&mut self) -> Result<()> {
        let ticks = 2 * self.plan.operations as u64;
        let mut random = fastrand::Rng::with_seed(self.plan.seed);
        for _ in 0..self.plan.kills {
            let part = ticks / self.plan.kills as u64;
            let moment = self.shared.now() + random.u64(part / 4..part);
            self.wait_until(|recording| recording.shared.now() >= moment)?;
            self.kill_and_restart(random.usize(0..self.plan.coherent))?;
        }
        self.wait_until(|recording| recording.shared.now() >= ticks)?;
        self.shared.stop();
        for (guest, (running, _)) in self.recorders.drain(..).enumerate() {
            let ended = running.wait(Instant::now() + PATIENCE);
            ended.map_err(|error| explain(&self.lab, guest, &error))?.ok()?;
        }
        Ok(())
    }

    /// Until something is so. What the recorders would say meanwhile is that they failed.
    fn wait_until(&self, is_so: impl Fn(&Self) -> bool) -> Result<()> {
        let (mut last, mut since) = (0, Instant::now());
        while !is_so(self) {
            for (guest, (running, _)) in self.recorders.iter().enumerate() {
                let moment = Instant::now() + Duration::from_millis(5);
                let event =
                    running.next(moment).map_err(|error| explain(&self.lab, guest, &error))?;
                ensure!(event.is_none(), "the recorder of guest {guest}: {event:?}");
            }
            if self.shared.now() > last {
                (last, since) = (self.shared.now(), Instant::now());
            }
            ensure!(since.elapsed() < PATIENCE, "nobody gets further than {last} ticks");
        }
        Ok(())
    }

    fn kill_and_restart(&mut self, victim: usize) -> Result<()> {
        self.lab.crash(victim);
        let dead_at = self.shared.tick();
        println!("guest {victim} and its daemon killed at {dead_at}");
        let (_, first) = self.recorders[victim];
        for log in self.logs.iter_mut().filter(|log| log.number >= first).take(THREADS as usize) {
            log.dead_at = dead_at;
        }
        self.lab.restart(victim)?;
        self.recorders[victim] = self.start(victim)?;
        let (_, first) = self.recorders[victim];
        let logs = first..first + THREADS;
        self.wait_until(|recording| logs.clone().all(|log| recording.shared.has_begun(log)))
    }

    fn gather(self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for log in &self.logs {
            let written = self.shared.read(log.number, log.trusted, log.dead_at);
            ensure!(!written.is_empty(), "log {} is empty", log.number);
            entries.extend(written);
        }
        let all = entries.len();
        let refused = |entry: &Entry| entry.outcome.is_some_and(|outcome| outcome.errno != 0);
        let is =
            |entry: &Entry, errno| entry.outcome.is_some_and(|outcome| outcome.is_error(errno));
        let coherent = self.lab.table().is_some();
        // With Linux's own driver a name that moves while it is looked up may end in ESTALE, before anything is done.
        let refused_as_stale = |entry: &Entry| is(entry, Errno::STALE);
        let found =
            entries.iter().find(|entry| coherent && entry.trusted && refused_as_stale(entry));
        ensure!(found.is_none(), "ESTALE in a coherent guest: {found:?}");
        entries.retain(|entry| !refused_as_stale(entry));
        let stale = all - entries.len();
        ensure!(stale <= all / 50, "{stale} of {all} operations end with ESTALE");
        // A daemon looks at the directory or link that it has just made, which others may have
        // removed by then; only the name locks of daemons with a table keep them from it.
        let makes = |call| matches!(call, Call::Mkdir | Call::Symlink);
        for entry in entries
            .iter_mut()
            .filter(|entry| !coherent && makes(entry.operation.call) && is(entry, Errno::NOENT))
        {
            entry.outcome = None;
        }
        // What a guest without promises is refused may rest on what it remembers.
        entries.retain(|entry| entry.trusted || !refused(entry));
        entries.sort_unstable_by_key(|entry| entry.invoked);
        println!("{all} operations, {stale} of them ended with ESTALE");
        self.lab.power_off()?;
        Ok(entries)
    }
}

fn explain(lab: &Lab, guest: usize, error: &anyhow::Error) -> anyhow::Error {
    match lab[guest].vm() {
        Ok(vm) => vm.explain(error),
        Err(error) => error,
    }
}
