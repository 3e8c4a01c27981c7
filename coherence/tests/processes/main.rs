//! Real processes on one table: daemons that change real files at random and are killed at random, and a checker that
//! caches as a guest does and compares every hit with the host's file system.

mod checker;
mod daemon;
mod random;
mod share;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use coherence::{Engine, Options, View};
use parking_lot::{Mutex, MutexGuard};
use shm_layout::{FIRST_SLOT, Snapshot};

use self::random::Random;

/// What the processes are told, by environment.
const ROLE: &str = "SAMEPAGE_TEST_ROLE";
const PLACE: &str = "SAMEPAGE_TEST_PLACE";
const SEED: &str = "SAMEPAGE_TEST_SEED";
const CHECKS: &str = "SAMEPAGE_TEST_CHECKS";

/// What a checker has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Findings {
    checks: u64,
    hits: u64,
    /// Hits that could be compared: nothing moved while the host was asked.
    compared: u64,
    stale: u64,
}

fn options(place: &Path) -> Options {
    Options {
        // Small, so that there are collisions.
        words: Some(1 << 12),
        // No long holds: they would hide everything else. They have tests of their own.
        sweep_interval: Duration::ZERO,
        ..Options::new(place.join("table"))
    }
}

/// Not a test: what the processes that the tests start run.
#[test]
#[ignore = "the other processes of the other tests"]
fn process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let place = std::path::PathBuf::from(std::env::var_os(PLACE).unwrap());
    let number = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    match role.as_str() {
        "daemon" => daemon::run(&place, number(SEED), daemon::Manners::Good),
        "rude daemon" => daemon::run(&place, number(SEED), daemon::Manners::DoesNotAnnounce),
        "busybody" => daemon::announce_for_ever(&place),
        "checker" => {
            let found = checker::run(&place, number(SEED), number(CHECKS));
            println!("\nFOUND {} {} {} {}", found.checks, found.hits, found.compared, found.stale);
        }
        role => panic!("no role {role:?}"),
    }
}

/// Starts this program again in another role. It ends when its standard input does.
fn start(role: &str, place: &Path, seed: u64, checks: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["process", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(PLACE, place)
        .env(SEED, seed.to_string())
        .env(CHECKS, checks.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads until end of file in a thread of its own, then sets what it returned.
fn ends_with_stdin() -> std::sync::mpsc::Receiver<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        drop(sender);
    });
    receiver
}

/// Daemons that are told to go when the test ends, however it ends.
struct Crowd {
    place: tempfile::TempDir,
    daemons: Vec<Child>,
    random: Random,
    /// Dropped last.
    _alone: MutexGuard<'static, ()>,
}

/// One crowd at a time. What another test's thread forks has, until it is executed, copies of this test's descriptors,
/// and the locks with them: a daemon that has gone would seem to be there.
static ONE_CROWD: Mutex<()> = Mutex::new(());

impl Crowd {
    fn new(seed: u64) -> Self {
        let alone = ONE_CROWD.lock();
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        share::furnish(place.path());
        Self { place, daemons: Vec::new(), random: Random::new(seed), _alone: alone }
    }

    fn add(&mut self, role: &str) {
        let daemon = start(role, self.place.path(), self.random.next(), 0);
        self.daemons.push(daemon);
    }

    /// Runs a checker to its end; meanwhile daemons are killed, each replaced at once.
    fn check(&mut self, checks: u64, kill: bool) -> (Findings, u64) {
        let mut checker = start("checker", self.place.path(), self.random.next(), checks);
        let output = BufReader::new(checker.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            // To the end: the checker must not find its output closed.
            let lines: Vec<String> = output.lines().map_while(Result::ok).collect();
            lines.into_iter().find(|l| l.starts_with("FOUND ")).unwrap_or_default()
        });
        let mut killed = 0;
        while !reader.is_finished() {
            // Not a condition of anything: it spreads the deaths over the run.
            std::thread::sleep(Duration::from_millis(self.random.below(20)));
            if kill {
                self.replace("daemon");
                killed += 1;
            }
        }
        let line = reader.join().unwrap();
        assert!(checker.wait().unwrap().success(), "the checker did not end well");
        let mut numbers = line.split_whitespace().skip(1).map(|n| n.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        (Findings { checks: next(), hits: next(), compared: next(), stale: next() }, killed)
    }

    /// Kills one of the daemons and starts another in its place.
    fn replace(&mut self, role: &str) {
        let victim = self.random.below(self.daemons.len() as u64) as usize;
        let mut daemon = self.daemons.swap_remove(victim);
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        self.add(role);
    }

    fn dismiss(&mut self) {
        for mut daemon in self.daemons.drain(..) {
            drop(daemon.stdin.take());
            assert!(daemon.wait().unwrap().success(), "a daemon did not end well");
        }
    }

    fn busy_slots(&self) -> Vec<u32> {
        let bytes = std::fs::read(self.place.path().join("table")).unwrap();
        let words = bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w));
        let slots = (0_u32..).zip(words).skip(FIRST_SLOT as usize);
        slots.filter(|(_, word)| word & 0xffff != 0).map(|(slot, _)| slot).collect()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// `daemons` daemons, `checks` checks, death all the while: no hit is stale, and each mark that is left is counted.
fn coherent(daemons: u64, checks: u64) {
    let mut crowd = Crowd::new(daemons);
    for _ in 0..daemons {
        crowd.add("daemon");
    }
    let (found, killed) = crowd.check(checks, true);
    println!("{daemons} daemons, {killed} killed: {found:?}");
    assert_eq!(found.stale, 0, "{found:?}");
    assert_eq!(found.checks, checks);
    assert!(found.compared > checks / 100, "hardly anything was ever cached: {found:?}");
    crowd.dismiss();
    every_mark_is_accounted_for(&crowd);
}

/// When everybody has gone in peace, what is busy is what was counted as leaked, and a rebuild makes an end of it.
fn every_mark_is_accounted_for(crowd: &Crowd) {
    // One that joins before the last has gone reaps and does not rebuild; here the last has gone, so look first.
    let busy = crowd.busy_slots();
    let seen = coherence::inspect::inspect(&crowd.place.path().join("table")).unwrap();
    let leaked = seen.host.unwrap().leaked;
    for slot in &busy {
        assert!(leaked.contains(slot), "slot {slot} is busy, but not counted: {leaked:?}");
    }
    println!("{} slots left busy, all counted", busy.len());
    let engine = Engine::attach(options(crowd.place.path())).unwrap();
    assert_eq!(crowd.busy_slots(), []);
    assert_eq!(engine.leaked_slots(), []);
    let view = View::open(&crowd.place.path().join("table")).unwrap();
    assert!(!view.is_current(Snapshot::NOT_COVERED));
}

#[test]
fn three_daemons_that_die_at_random_are_coherent() {
    coherent(3, 50_000);
}

#[test]
#[ignore = "long"]
fn two_to_eight_daemons_that_die_at_random_are_coherent_over_a_million_checks() {
    for daemons in 2..=8 {
        coherent(daemons, 150_000);
    }
}

/// The checker would notice: one daemon that does not announce is enough.
#[test]
fn a_daemon_that_does_not_announce_is_found_out() {
    let mut crowd = Crowd::new(0);
    crowd.add("daemon");
    crowd.add("rude daemon");
    let (found, _) = crowd.check(50_000, false);
    assert!(found.stale > 0, "{found:?}");
}

/// Daemons that do nothing but announce and publish die in the middle of that, `deaths` times.
fn killed_in_the_act(deaths: u64) {
    let mut crowd = Crowd::new(deaths);
    // One that stays: nobody is ever alone, so nothing is rebuilt.
    let stays = Engine::attach(options(crowd.place.path())).unwrap();
    for _ in 0..2 {
        crowd.add("busybody");
    }
    for _ in 0..deaths {
        std::thread::sleep(Duration::from_millis(10 + crowd.random.below(20)));
        crowd.replace("busybody");
    }
    crowd.dismiss();
    stays.tick();
    drop(stays);
    every_mark_is_accounted_for(&crowd);
}

#[test]
fn daemons_that_die_while_they_announce_leave_only_counted_marks() {
    killed_in_the_act(50);
}

#[test]
#[ignore = "long"]
fn a_thousand_daemons_that_die_while_they_announce_leave_only_counted_marks() {
    killed_in_the_act(1000);
}
