//! How long it takes from the end of a system call on the host until no guest uses what it changed.
//!
//! The change is made by another process, which notes the time when its system call has returned; this one spins until
//! the slot's word has moved. Both clocks are `CLOCK_MONOTONIC`. A word that moved before the call returned counts as 0.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use coherence::watch::Mode;
use hdrhistogram::Histogram;
use plotters::prelude::*;

use crate::Result;
use crate::host::{LOADED, Process, loaded, now};
use crate::watched::Watched;

const SAMPLES: usize = 10_000;

pub(crate) fn measure(picture: &Path) -> Result<()> {
    let mut curves = Vec::new();
    println!("{:<28} {:>9} {:>9} {:>9} {:>9}", "µs", "p50", "p90", "p99", "max");
    for (mode, name) in [(Mode::Fanotify, "fanotify"), (Mode::Inotify, "inotify")] {
        for (busy, what) in [(false, "idle"), (true, "10,000 changes/s")] {
            let histogram = latencies(mode, busy)?;
            let title = format!("{name}, {what}");
            let at = |q| histogram.value_at_quantile(q) as f64 / 1000.0;
            let max = histogram.max() as f64 / 1000.0;
            println!("{title:<28} {:>9.1} {:>9.1} {:>9.1} {max:>9.1}", at(0.5), at(0.9), at(0.99));
            curves.push((title, histogram));
        }
    }
    draw(picture, &curves)?;
    println!("{}", picture.display());
    Ok(())
}

fn latencies(mode: Mode, busy: bool) -> Result<Histogram<u64>> {
    let share = tempfile::tempdir_in(".")?;
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

/// For each latency, the share of changes that took longer; both axes logarithmic.
fn draw(picture: &Path, curves: &[(String, Histogram<u64>)]) -> Result<()> {
    let root = SVGBackend::new(picture, (900, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("From the system call's return to the slot's move", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((1.0..100_000.0_f64).log_scale(), (0.0001..1.0_f64).log_scale())?;
    chart.configure_mesh().x_desc("µs").y_desc("share of changes that took longer").draw()?;
    for (i, (title, histogram)) in curves.iter().enumerate() {
        let colour = Palette99::pick(i).to_rgba();
        let total = histogram.len() as f64;
        let mut below = 0;
        let points = histogram.iter_recorded().map(|bucket| {
            below += bucket.count_since_last_iteration();
            let longer = (total - below as f64) / total;
            (bucket.value_iterated_to() as f64 / 1000.0, longer.max(0.0001))
        });
        let points: Vec<_> = points.collect();
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(title)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}
