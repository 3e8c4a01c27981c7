//! What a large tree costs: to set up, to keep, and for each event.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coherence::watch::{Mode, Pin};

use crate::Result;
use crate::host::Process;
use crate::watched::Watched;

pub(crate) const FILES_OF_A_DIRECTORY: u64 = 10;
/// Changes for each measurement of events: fewer than an event queue holds.
pub(crate) const CHANGES: u64 = 10_000;
/// A guest that knows one directory in so many, with all that is in it, knows one percent.
const ONE_PERCENT: u64 = 100;

/// The path of a file of the tree.
pub(crate) fn file(tree: &Path, number: u64) -> PathBuf {
    directory(tree, number / FILES_OF_A_DIRECTORY).join(format!("f{number}"))
}

fn directory(tree: &Path, number: u64) -> PathBuf {
    tree.join(format!("{}/{number}", number / 1000))
}

pub(crate) fn measure(files: u64) -> Result<()> {
    let tree = tempfile::tempdir_in("/dev/shm")?;
    build(tree.path(), files)?;
    println!("{files} files in {} directories on tmpfs", files / FILES_OF_A_DIRECTORY);
    println!("a change that nobody watches: {} ns\n", touch(tree.path(), 1)?);
    for mode in [Mode::Fanotify, Mode::Inotify] {
        costs(tree.path(), files, mode)?;
    }
    Ok(())
}

pub(crate) fn build(tree: &Path, files: u64) -> Result<()> {
    fs::write(tree.join("files"), files.to_string())?;
    for number in 0..files / FILES_OF_A_DIRECTORY {
        fs::create_dir_all(directory(tree, number))?;
    }
    (0..files).try_for_each(|number| Ok(fs::write(file(tree, number), "")?))
}

fn costs(tree: &Path, files: u64, mode: Mode) -> Result<()> {
    let begun = Instant::now();
    let watched = Watched::new(tree, mode)?;
    println!("{}: set up in {:?}", watched.watcher.figures().source, begun.elapsed());
    events(&watched, tree, "of files that the guest does not know", 1)?;
    let mut pins = Vec::new();
    let directories = files / FILES_OF_A_DIRECTORY;
    for (what, step) in [("1 %", ONE_PERCENT), ("all", 1)] {
        let (before, begun, known) = (Memory::now()?, Instant::now(), pins.len());
        let refused = watched.watcher.figures().refused_inodes;
        for number in (0..directories).step_by(step as usize) {
            meet(&watched, tree, number, &mut pins)?;
        }
        let (met, took) = (pins.len() - known, begun.elapsed());
        println!(
            "a guest that knows {what}: {met} inodes more, {} ns each; {} watches; {}",
            took.as_nanos() / met as u128,
            watched.watcher.figures().watches,
            Memory::now()?.since(&before).each(met),
        );
        let refused = watched.watcher.figures().refused_inodes - refused;
        if refused > 0 {
            println!("{refused} of them without a watch (fs.inotify.max_user_watches)");
        }
        if step > 1 {
            events(&watched, tree, "of files that it knows", ONE_PERCENT * FILES_OF_A_DIRECTORY)?;
        }
    }
    let begun = Instant::now();
    let count = pins.len();
    drop(pins);
    println!("forgotten in {} ns each\n", begun.elapsed().as_nanos() / count as u128);
    Ok(())
}

/// The guest is told of a directory and all that is in it.
fn meet(watched: &Watched, tree: &Path, number: u64, pins: &mut Vec<Option<Pin>>) -> Result<()> {
    pins.push(watched.meet(&directory(tree, number))?.1);
    for number in number * FILES_OF_A_DIRECTORY..(number + 1) * FILES_OF_A_DIRECTORY {
        pins.push(watched.meet(&file(tree, number))?.1);
    }
    Ok(())
}

/// Another process changes files, the watcher deals with the events.
fn events(watched: &Watched, tree: &Path, what: &str, stride: u64) -> Result<()> {
    let (before, time) = (watched.watcher.figures(), thread_time()?);
    let change = touch(tree, stride)?;
    settle(watched);
    let (after, time) = (watched.watcher.figures(), thread_time()?.saturating_sub(time));
    let (events, sweeps) = (after.events - before.events, after.sweeps - before.sweeps);
    let each = time.as_nanos().checked_div(events.into()).unwrap_or(0);
    println!(
        "{CHANGES} changes {what}: {change} ns each to whoever makes them; {events} events, {each} ns of the \
         watcher's time each, {sweeps} sweeps",
    );
    Ok(())
}

/// Nanoseconds that one change takes. Changes the mode of files, `stride` apart.
pub(crate) fn touch(tree: &Path, stride: u64) -> Result<u64> {
    let (stride, count) = (stride.to_string(), CHANGES.to_string());
    let words = ["touch".as_ref(), tree.as_os_str(), stride.as_ref(), count.as_ref()];
    Ok(Process::start(&words)?.line()?.parse()?)
}

/// Until nothing more comes.
pub(crate) fn settle(watched: &Watched) {
    let mut last = None;
    while last != Some(watched.watcher.figures().events) {
        last = Some(watched.watcher.figures().events);
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Processor time of all watchers' threads, which may not have begun yet.
pub(crate) fn thread_time() -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim() == "samepage-watch" {
            let text = fs::read_to_string(task.join("schedstat"))?;
            nanoseconds += text.split_whitespace().next().ok_or("no time")?.parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Memory in use, in KiB.
struct Memory {
    own: i64,
    /// Of the whole kernel, what it cannot give back.
    kernel: i64,
}

impl Memory {
    fn now() -> Result<Self> {
        let field = |file: &str, name: &str| -> Result<i64> {
            let text = fs::read_to_string(file)?;
            let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no field")?;
            Ok(line.trim_matches(|c: char| !c.is_ascii_digit()).parse()?)
        };
        Ok(Self {
            own: field("/proc/self/status", "VmRSS:")?,
            kernel: field("/proc/meminfo", "SUnreclaim:")?,
        })
    }

    fn since(&self, before: &Self) -> Self {
        Self { own: self.own - before.own, kernel: self.kernel - before.kernel }
    }

    fn each(&self, count: usize) -> String {
        let each = |kib: i64| kib * 1024 / count as i64;
        format!(
            "{} bytes of the process and {} of the kernel each",
            each(self.own),
            each(self.kernel)
        )
    }
}
