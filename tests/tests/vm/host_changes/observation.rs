//! Guests that look at random while the host changes things.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use samepage_history::Shared;
use samepage_history::lag::{Changes, Lag};
use samepage_history::tree::describe;
use samepage_tests::framework::daemon::{Counters, Program};
use samepage_tests::framework::guest::Running;
use samepage_tests::framework::lab::MOUNT_POINT;
use samepage_tests::framework::{Command, Guest, Lab, cargo};

use super::editor::Editor;

const GUESTS: usize = 2;
/// Threads of each guest.
const THREADS: u32 = 2;
/// Looks for which a thread's log has room.
const ROOM: usize = 120_000;
/// Changes between two pauses.
const ROUND: usize = 200;
/// Looks, counted by their beginnings and ends, that are let pass between two changes, at most.
const LOOKS_BETWEEN: u64 = 8;
/// How long what must come may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long one look at everything may take, on a machine that is busy with other things.
const ONE_LOOK: Duration = Duration::from_mins(5);

/// What is to be done.
pub(super) struct Plan {
    /// How the daemons learn of changes.
    pub(super) watch: &'static str,
    /// The guests' kernel.
    pub(super) kernel: &'static str,
    /// How many changes the host makes.
    pub(super) changes: usize,
    /// Where the random numbers begin.
    pub(super) seed: u64,
}

impl Plan {
    pub(super) fn run(&self) -> Result<()> {
        let mut editor = Editor::new(self.seed)?;
        let logs = GUESTS * THREADS as usize;
        let lab = Lab::builder()
            .kernel(self.kernel)
            .guests(GUESTS)
            .coherent()
            .daemon(Program::Samepaged)
            .daemon_args(["--xattr", "--watch", self.watch])
            .share(editor.share())
            .shared_memory(Shared::bytes(logs, ROOM).next_power_of_two() as u64)
            .program(cargo::recorder()?, "/bin/samepage-recorder")
            .boot()?;
        let shared = Shared::open(lab.shared_memory().context("the lab has shared memory")?)?;
        shared.prepare(ROOM);
        let lookers = self.start(&lab)?;
        shared.go();
        wait_until_begun(&shared, &lookers)?;
        let changes = change_all(&lab, &shared, &mut editor, self.changes);
        shared.stop();
        let far = Instant::now() + PATIENCE;
        lookers.into_iter().try_for_each(|looker| looker.wait(far)?.ok().map(drop))?;
        let changes = changes?;
        for (number, guest) in lab.guests().iter().enumerate() {
            let lag = check(&changes, &shared, number)?;
            println!("{}, {}, guest {number}: {lag:?}", self.watch, self.kernel);
            ensure!(lag.looks > self.changes, "so few looks prove nothing");
            everything_is_cached(guest)?;
        }
        lab.power_off()
    }

    fn start(&self, lab: &Lab) -> Result<Vec<Running>> {
        let looker = |(number, guest): (u32, &Guest)| {
            let first = number * THREADS;
            let words = [self.seed.to_string(), first.to_string(), THREADS.to_string()];
            let command = Command::new("samepage-recorder").arg(MOUNT_POINT).args(words);
            guest.start(command.arg("looker"))
        };
        (0..).zip(lab.guests()).map(looker).collect()
    }
}

/// Until every thread has its directories open, which are still where it looks for them, and works.
fn wait_until_begun(shared: &Shared, lookers: &[Running]) -> Result<()> {
    let far = Instant::now() + PATIENCE;
    while !(0..lookers.len() as u32 * THREADS).all(|log| shared.has_begun(log)) {
        for looker in lookers {
            let event = looker.next(Instant::now() + Duration::from_millis(5))?;
            ensure!(event.is_none(), "a recorder: {event:?}");
        }
        ensure!(Instant::now() < far, "the recorders do not begin");
    }
    Ok(())
}

/// Makes all changes, with pauses in which guests must come to see what the host sees.
fn change_all(lab: &Lab, shared: &Shared, editor: &mut Editor, count: usize) -> Result<Changes> {
    let mut changes = Changes::from(editor.world());
    let begun = Instant::now();
    let mut paused = Duration::ZERO;
    let mut random = fastrand::Rng::with_seed(count as u64);
    for number in 0..count {
        if !editor.hurries() {
            wait_for_looks(shared, random.u64(0..LOOKS_BETWEEN))?;
        }
        let invoked = shared.tick();
        editor.change();
        let returned = shared.tick();
        changes.add(invoked, returned, editor.world());
        if (number + 1) % ROUND == 0 || number + 1 == count {
            let pause = Instant::now();
            wait_for_all(lab.guests(), &describe(&editor.share()))?;
            for guest in 0..lab.guests().len() {
                changes.delivered(guest, shared.tick());
            }
            paused += pause.elapsed();
        }
    }
    println!("{count} changes in {:?}, {paused:?} of them pauses", begun.elapsed());
    Ok(changes)
}

fn wait_for_looks(shared: &Shared, ticks: u64) -> Result<()> {
    let (until, far) = (shared.now() + ticks, Instant::now() + PATIENCE);
    while shared.now() < until {
        ensure!(Instant::now() < far, "nobody looks any more");
        std::thread::yield_now();
    }
    Ok(())
}

/// Until all guests see everything as it is. What is cached and never ends would be seen for a day.
fn wait_for_all(guests: &[Guest], expected: &str) -> Result<()> {
    let far = Instant::now() + PATIENCE;
    let mut late: Vec<_> = guests.iter().enumerate().collect();
    while !late.is_empty() {
        let trees: Vec<_> =
            late.iter().map(|(_, guest)| begin_tree(guest)).collect::<Result<_>>()?;
        let trees = late.iter().zip(trees).map(|((number, guest), tree)| {
            tree_of(tree).with_context(|| format!("guest {number} hangs\n{}", stacks(guest)))
        });
        let seen: Vec<_> = trees.collect::<Result<_>>()?;
        if let Some(((number, guest), seen)) =
            late.iter().zip(&seen).find(|(_, seen)| *seen != expected && Instant::now() > far)
        {
            let fault = whose_fault(guest, expected)?;
            bail!("guest {number}: {}\n{fault}", difference(expected, seen));
        }
        let mut seen = seen.iter();
        late.retain(|_| seen.next().is_some_and(|seen| seen != expected));
    }
    Ok(())
}

fn begin_tree(guest: &Guest) -> Result<Running> {
    guest.start(Command::new("samepage-recorder").args(["tree", MOUNT_POINT]))
}

fn tree_of(running: Running) -> Result<String> {
    Ok(running.wait(Instant::now() + ONE_LOOK)?.ok()?.text())
}

/// Where in its kernel each thread of the recorder is.
fn stacks(guest: &Guest) -> String {
    let script = "cd /proc; for task in [0-9]*/task/*; do
        grep -q samepage-rec $task/comm && echo $task && cat $task/stack; done; true";
    guest.sh(script).map_or_else(|error| format!("{error:#}"), |output| output.text())
}

fn tree(guest: &Guest) -> Result<String> {
    tree_of(begin_tree(guest)?)
}

fn difference(expected: &str, seen: &str) -> String {
    let pairs = expected.lines().zip(seen.lines());
    let lines: Vec<_> = pairs
        .filter(|(host, guest)| host != guest)
        .map(|(host, guest)| format!("host   {host}\nguest  {guest}"))
        .collect();
    format!("the guest does not come to see what the host sees:\n{}", lines.join("\n"))
}

/// Whether it is the guest's cache that differs, or what it is told.
fn whose_fault(guest: &Guest, expected: &str) -> Result<String> {
    let before = guest.counters()?;
    tree(guest)?;
    let cost = guest.counters()?.since(&before);
    guest.sh("echo 3 > /proc/sys/vm/drop_caches")?;
    let fresh = if tree(guest)? == expected { "right" } else { "wrong" };
    Ok(format!("a look at everything costs {cost}; with empty caches it is {fresh}"))
}

fn check(changes: &Changes, shared: &Shared, guest: usize) -> Result<Lag> {
    let mut all = Lag::default();
    let first = guest as u32 * THREADS;
    for log in first..first + THREADS {
        let lag = changes.check(guest, &shared.read(log, true, u64::MAX))?;
        all.looks += lag.looks;
        all.late += lag.late;
        all.most_behind = all.most_behind.max(lag.most_behind);
    }
    Ok(all)
}

/// Looks at everything after which a guest must have it cached. Events that were still under way may end what the first
/// looks had got.
const LOOKS_TO_SETTLE: usize = 20;

/// What was compared was what guests keep: looking once more asks for no name. Attributes are asked for at most where
/// something was read, since that moves the time of the last access, which nobody promises.
fn everything_is_cached(guest: &Guest) -> Result<()> {
    tree(guest)?;
    let mut cost = Counters::default();
    for _ in 0..LOOKS_TO_SETTLE {
        let before = guest.counters()?;
        tree(guest)?;
        cost = guest.counters()?.since(&before);
        println!("a look at everything: {cost}");
        let read = cost.requests("OPEN") + cost.requests("OPENDIR");
        if cost.requests("LOOKUP") == 0 && cost.requests("GETATTR") <= read {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("the host is asked for what is cached, again and again: {cost}")
}
