//! What one change on the host costs when many daemons of one table watch for it.

use std::path::Path;

use coherence::watch::{Mode, Pin};

use crate::Result;
use crate::tree::{CHANGES, build, file, settle, thread_time, touch};
use crate::watched::Watched;

/// Every guest knows all of them.
const FILES: u64 = 1000;
const DAEMONS: [usize; 4] = [0, 1, 4, 16];

/// A daemon, and the files that its guest knows.
struct Daemon {
    watched: Watched,
    _pins: Vec<Option<Pin>>,
}

pub(crate) fn measure() -> Result<()> {
    let tree = tempfile::tempdir_in("/dev/shm")?;
    build(tree.path(), FILES)?;
    println!(
        "{CHANGES} changes of mode, each of {FILES} files in turn, all of them stamped at the beginning"
    );
    for mode in [Mode::Fanotify, Mode::Inotify] {
        for count in DAEMONS {
            costs(tree.path(), mode, count)?;
        }
    }
    Ok(())
}

fn costs(tree: &Path, mode: Mode, count: usize) -> Result<()> {
    let daemons = start(tree, mode, count)?;
    let moved = || daemons.iter().map(|daemon| daemon.watched.watcher.figures().moved).sum::<u64>();
    let (before, time) = (moved(), thread_time()?);
    let change = touch(tree, 1)?;
    for daemon in &daemons {
        settle(&daemon.watched);
    }
    let time = thread_time()?.saturating_sub(time).as_nanos() / u128::from(CHANGES);
    println!(
        "{mode:?}, {count} daemons: {change} ns each to whoever makes them; {time} ns of all watchers' time each; {} slots moved",
        moved() - before
    );
    Ok(())
}

/// Daemons on one table, each of which has given stamps of every file.
fn start(tree: &Path, mode: Mode, count: usize) -> Result<Vec<Daemon>> {
    let mut daemons: Vec<Daemon> = Vec::new();
    for _ in 0..count {
        let watched = match daemons.first() {
            Some(first) => first.watched.another(tree, mode)?,
            None => Watched::new(tree, mode)?,
        };
        let mut pins = Vec::new();
        for number in 0..FILES {
            let (key, pin) = watched.meet(&file(tree, number))?;
            let slots = watched.engine.inode_slots(key)?;
            watched.engine.observe([slots.perm, slots.attr]).then(|| ());
            pins.push(pin);
        }
        daemons.push(Daemon { watched, _pins: pins });
    }
    Ok(daemons)
}
