//! Many processes on one table.
//!
//! Costs are processor time, so that having fewer cores than processes does not count.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use coherence::{Engine, Identity, Options, SlotSet, View};
use shm_layout::{FIRST_SLOT, SlotWord, Snapshot};

use crate::measure::scattered;

/// Operations that each process does.
const OPERATIONS: u32 = 2_000_000;
const ROUNDS: usize = 5;
/// The argument that makes this program one of the crowd.
pub(crate) const MEMBER: &str = "--member";

pub(crate) fn measure() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().join("table");
    let _engine = Engine::attach(Options::new(&path)).unwrap();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("\n### Many processes on one table ({cores} cores)\n");
    println!("Processor time for each operation; ratios to one process, round by round.\n");
    println!("| what | processes | best, ns | ratio [extremes] |\n| --- | ---: | ---: | ---: |");
    let crowds = [
        ("change", "3 slots announced and published, others in each", &[1, 2, 4, 8][..]),
        ("check", "a check, random over 8 MiB", &[1, 2, 4, 8, 16, 32, 64]),
    ];
    for (what, title, counts) in crowds {
        // Round by round, all the counts in each: what the machine does meanwhile is done to all.
        let rounds: Vec<Vec<f64>> = (0..ROUNDS)
            .map(|_| counts.iter().map(|&count| crowd(what, &path, count)).collect())
            .collect();
        for (i, count) in counts.iter().enumerate() {
            let best = rounds.iter().map(|costs| costs[i]).fold(f64::MAX, f64::min);
            let mut ratios: Vec<f64> = rounds.iter().map(|costs| costs[i] / costs[0]).collect();
            ratios.sort_by(f64::total_cmp);
            let [low, median, high] = [0, ROUNDS / 2, ROUNDS - 1].map(|at| ratios[at]);
            println!("| {title} | {count} | {best:.1} | {median:.2} [{low:.2} – {high:.2}] |");
        }
    }
}

/// The mean cost for each of `processes` at once.
fn crowd(what: &str, path: &Path, processes: u64) -> f64 {
    let mut members: Vec<_> = (0..processes).map(|number| start(what, path, number)).collect();
    for (_, output) in &mut members {
        assert_eq!(line(output), "ready");
    }
    for (child, _) in &mut members {
        writeln!(child.stdin.as_mut().unwrap(), "go").unwrap();
    }
    let total: f64 = members.iter_mut().map(|(_, o)| line(o).parse::<f64>().unwrap()).sum();
    for (mut child, _) in members {
        child.wait().unwrap();
    }
    total / processes as f64
}

fn start(what: &str, path: &Path, number: u64) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([MEMBER, what, path.to_str().unwrap(), &number.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// One process of a crowd: prints nanoseconds of processor time for each operation.
pub(crate) fn join(what: &str, path: &str, number: u64) {
    let path = Path::new(path);
    if what == "change" {
        let options = Options { sweep_interval: Duration::ZERO, ..Options::new(path) };
        let engine = Engine::attach(options).unwrap();
        let mut worker = engine.worker().unwrap();
        let inode = engine.inode(&Identity::Inode { dev: number, ino: 1 });
        let of = engine.inode_slots(inode).unwrap();
        let set = SlotSet::from([of.attr, of.data, of.perm]);
        return time(|| drop(worker.announce(black_box(set)).unwrap()));
    }
    let view = View::open(path).unwrap();
    let mut at = scattered(view.header().words as usize - FIRST_SLOT as usize);
    let word = SlotWord::new(1, 0).0;
    time(|| {
        let slot = FIRST_SLOT + at.next().unwrap_or(0) as u32;
        black_box(view.is_current(Snapshot { slot, word }));
    });
}

/// Waits until everybody is there, then times.
fn time(mut operation: impl FnMut()) {
    println!("ready");
    line(&mut std::io::stdin().lock());
    // The first round makes pages.
    (0..OPERATIONS / 10).for_each(|_| operation());
    let began = processor_time();
    (0..OPERATIONS).for_each(|_| operation());
    println!(
        "{}",
        processor_time().saturating_sub(began).as_secs_f64() * 1e9 / f64::from(OPERATIONS)
    );
}

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
