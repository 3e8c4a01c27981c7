//! How long it takes from the end of a system call on the host until no guest uses what it changed.
//!
//! The change is made by another process, which notes the time when its system call has returned; this one spins until
//! the slot's word has moved. Both clocks are `CLOCK_MONOTONIC`. A word that moved before the call returned counts as 0.
//! Between two changes there is a pause: the watcher's thread sleeps by then, unless the load keeps it busy.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use coherence::watch::Mode;
use hdrhistogram::Histogram;

use crate::Result;
use crate::host::{LOADED, Process, loaded, now};
use crate::picture::{Curve, draw};
use crate::watched::Watched;

const SAMPLES: usize = 10_000;
/// The longest pause between two changes. The shortest is half of it, and all between are as likely: no rhythm is the
/// load's.
const PAUSE: Duration = Duration::from_micros(800);

pub(crate) fn measure(picture: &Path) -> Result<()> {
    let mut curves = Vec::new();
    println!("{:<28} {:>9} {:>9} {:>9} {:>9} {:>9}", "µs", "p50", "p90", "p99", "p99.9", "max");
    for (mode, name) in [(Mode::Fanotify, "fanotify"), (Mode::Inotify, "inotify")] {
        for (busy, what) in [(false, "idle"), (true, "10,000 changes/s")] {
            let histogram = latencies(mode, busy)?;
            let title = format!("{name}, {what}");
            let at = |q| histogram.value_at_quantile(q) as f64 / 1000.0;
            let max = histogram.max() as f64 / 1000.0;
            println!(
                "{title:<28} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {max:>9.1}",
                at(0.5),
                at(0.9),
                at(0.99),
                at(0.999)
            );
            curves.push(Curve { title, histogram });
        }
    }
    draw(picture, &curves)?;
    println!("{}", picture.display());
    Ok(())
}

fn latencies(mode: Mode, busy: bool) -> Result<Histogram<u64>> {
    // Nobody else changes anything there: fanotify tells of the whole file system.
    let share = tempfile::tempdir_in("/dev/shm")?;
    let watched = Watched::new(share.path(), mode)?;
    let name = share.path().join("file");
    fs::write(&name, "")?;
    let (key, _pin) = watched.meet(&name)?;
    let slot = watched.engine.inode_slots(key)?.attr;
    // The guest knows all that is changed, and the directory.
    let mut others = vec![watched.meet(share.path())?];
    for path in (0..LOADED).map(|number| loaded(share.path(), number)) {
        fs::write(&path, "")?;
        others.push(watched.meet(&path)?);
    }
    let mut changer = Process::start(&["change".as_ref(), name.as_os_str()])?;
    let load = || Process::start(&["load".as_ref(), share.path().as_os_str()]);
    let _load = busy.then(load).transpose()?;
    let mut histogram = Histogram::new(3)?;
    for i in 0..SAMPLES {
        let pause = fastrand::u64(PAUSE.as_nanos() as u64 / 2..PAUSE.as_nanos() as u64);
        std::thread::sleep(Duration::from_nanos(pause));
        let ((), [stamp]) = watched.engine.observe([slot]).then(|| ());
        let (orders, times) = changer.pipes()?;
        orders.write_all(&[(i % 64) as u8])?;
        orders.flush()?;
        while watched.view.is_current(stamp) {
            std::hint::spin_loop();
        }
        let moved = now();
        let mut returned = [0; 8];
        times.read_exact(&mut returned)?;
        histogram.record(moved.saturating_sub(u64::from_ne_bytes(returned)).max(1))?;
    }
    Ok(histogram)
}
