//! A B A B: whatever else the machine does meanwhile, it does to both.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::floor;
use crate::inodes::{self, Inodes};
use crate::jobs::{self, Fixture, Job, Lanes};
use crate::options::Options;
use crate::plan::{self, Axis, Setting};
use crate::report;
use crate::subject::{Sample, Size, Subject};

/// A job at a depth, with so many queues: what both daemons came to, round by round.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) job: &'static str,
    pub(crate) front_ends: usize,
    pub(crate) queues: usize,
    pub(crate) depth: usize,
    /// Inodes that each guest knew beforehand.
    pub(crate) known: usize,
    /// What grows from row to row.
    pub(crate) axis: Option<Axis>,
    /// Ours.
    pub(crate) ours: Vec<Sample>,
    /// The other's.
    pub(crate) theirs: Vec<Sample>,
    /// System calls of the daemon, an operation; none where they cannot be counted.
    pub(crate) syscalls: [Option<f64>; 2],
    /// Microseconds that the same system calls take in a loop, where that means something.
    pub(crate) floor: Option<f64>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) ours: String,
    pub(crate) theirs: String,
    pub(crate) cache: String,
    /// The machine's load average at the start and at the end.
    pub(crate) load: [String; 2],
    /// Most resident memory in KiB, ours and theirs.
    pub(crate) peak_kib: [u64; 2],
    pub(crate) rows: Vec<Row>,
    /// Milliseconds from the first word of the handshake until INIT is answered, by daemons that were just started.
    pub(crate) mounts: [Vec<f64>; 2],
    /// What inodes cost that a guest knows, where that was asked for.
    pub(crate) inodes: Option<[Inodes; 2]>,
}

/// # Errors
/// A daemon does not start, or answers what it should not, or the two do not answer the same.
pub(crate) fn run(options: &Options) -> Result<()> {
    let jobs: Vec<Job> = jobs::all().into_iter().filter(|job| is_wanted(options, job)).collect();
    ensure!(!jobs.is_empty(), "no job has such a name");
    let fixture = Fixture::new()?;
    for job in &jobs {
        fixture.directory_for(job.name)?;
    }
    let begun = load_average();
    let mut results = Results {
        ours: options.daemon.to_string_lossy().into_owned(),
        theirs: options.against.to_string_lossy().into_owned(),
        cache: options.cache.clone(),
        load: [begun, String::new()],
        peak_kib: [0; 2],
        rows: Vec::new(),
        mounts: starts(options, &fixture)?,
        inodes: options
            .inodes
            .map(|count| inodes::measure(options, &fixture, count))
            .transpose()?,
    };
    report::extras(&results);
    for setting in plan::settings(options) {
        of_setting(options, &jobs, &fixture, &setting, &mut results)?;
    }
    results.load[1] = load_average();
    report::write(&results, &options.out)
}

/// Starts each daemon in turn, as often as there are rounds, and lets a guest mount.
fn starts(options: &Options, fixture: &Fixture) -> Result<[Vec<f64>; 2]> {
    let size = Size { guests: 1, queues: 1, depth: 1 };
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..options.rounds {
        for (number, command) in [&options.daemon, &options.against].into_iter().enumerate() {
            let subject = Subject::start(command, fixture, number, size, &options.cache)?;
            times[number].push(subject.mounted_in());
        }
    }
    Ok(times)
}

fn is_wanted(options: &Options, job: &Job) -> bool {
    options.jobs.is_empty() || options.jobs.iter().any(|name| job.name.contains(name.as_str()))
}

fn of_setting(
    options: &Options,
    jobs: &[Job],
    fixture: &Fixture,
    setting: &Setting,
    results: &mut Results,
) -> Result<()> {
    let (guests, queues) = (setting.front_ends, setting.queues);
    let depth = setting.depths.iter().copied().max().unwrap_or(1);
    let size = Size { guests, queues, depth: depth.div_ceil(queues) };
    let mut ours = Subject::start(&options.daemon, fixture, 0, size, &options.cache)?;
    let mut theirs = match Subject::start(&options.against, fixture, 1, size, &options.cache) {
        Ok(subject) => subject,
        Err(error) if queues > 1 => {
            // virtiofsd has one request queue: its best with one is what there is to compare with.
            println!("{error:#}; it is driven over one queue");
            let size = Size { guests, queues: 1, depth };
            Subject::start(&options.against, fixture, 1, size, &options.cache)?
        }
        Err(error) => return Err(error),
    };
    inodes::introduce(fixture, [&mut ours, &mut theirs], setting.known)?;
    for job in jobs {
        let lanes = [ours.prepare(job)?, theirs.prepare(job)?];
        let answers = [ours.answers(&lanes[0])?, theirs.answers(&lanes[1])?];
        ensure!(answers[0] == answers[1], "{}: the daemons answer differently", job.name);
        for &depth in &setting.depths {
            let mut row = row(options, job, depth, &mut ours, &mut theirs, &lanes)?;
            (row.front_ends, row.queues) = (guests, queues);
            (row.known, row.axis) = (setting.known, setting.axis);
            row.floor = floor::of(job.name, fixture)?;
            report::line(&row);
            results.rows.push(row);
        }
    }
    for (peak, subject) in results.peak_kib.iter_mut().zip([&ours, &theirs]) {
        *peak = subject.peak_kib()?.max(*peak);
    }
    Ok(())
}

fn row(
    options: &Options,
    job: &Job,
    depth: usize,
    ours: &mut Subject,
    theirs: &mut Subject,
    lanes: &[Vec<Lanes>; 2],
) -> Result<Row> {
    let time = Duration::from_millis(options.time);
    let mut row = Row {
        job: job.name,
        front_ends: 1,
        queues: 1,
        depth,
        known: 0,
        axis: None,
        ours: Vec::new(),
        theirs: Vec::new(),
        syscalls: [None; 2],
        floor: None,
    };
    for _ in 0..options.rounds {
        row.ours.push(ours.load(&lanes[0], depth, time)?);
        row.theirs.push(theirs.load(&lanes[1], depth, time)?);
    }
    for (count, (subject, lanes)) in
        row.syscalls.iter_mut().zip([(ours, &lanes[0]), (theirs, &lanes[1])])
    {
        *count = report::unless_uncounted(subject.syscalls(lanes, depth, time / 4));
    }
    Ok(row)
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
