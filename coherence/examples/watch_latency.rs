//! How long it takes from the end of a system call on the host until no guest uses what it changed:
//! `cargo run --release -p coherence --example watch_latency -- PICTURE.svg`
//!
//! The change is made by another process, which notes the time when its system call has returned; this one spins until
//! the slot's word has moved. Both clocks are `CLOCK_MONOTONIC`. A word that moved before the call returned counts as 0.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use coherence::watch::{FileId, Mode, Watcher};
use coherence::{Clock, Engine, Options, SystemClock, View};
use hdrhistogram::Histogram;
use plotters::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SAMPLES: usize = 4000;
/// Changes of the background load in each millisecond.
const LOAD: usize = 10;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("change") => change(Path::new(&arguments[2])),
        Some("load") => load(Path::new(&arguments[2])),
        other => measure(Path::new(other.unwrap_or("watch-latency.svg"))),
    }
}

/// The process that makes a change for each byte that it is sent, and answers with the time.
fn change(file: &Path) -> Result<()> {
    let (mut orders, mut times) = (std::io::stdin(), std::io::stdout());
    let mut order = [0];
    while orders.read(&mut order)? == 1 {
        fs::set_permissions(file, PermissionsExt::from_mode(0o600 | u32::from(order[0])))?;
        times.write_all(&now().to_ne_bytes())?;
        times.flush()?;
    }
    Ok(())
}

/// The process that changes other files all the time.
fn load(dir: &Path) -> Result<()> {
    let files: Vec<_> = (0..100).map(|i| dir.join(format!("load-{i}"))).collect();
    for file in &files {
        fs::write(file, "")?;
    }
    let begun = now();
    for round in 0_u64.. {
        for i in 0..LOAD {
            let mode = 0o600 | (round as u32 & 0o77);
            fs::set_permissions(
                &files[(round as usize * LOAD + i) % files.len()],
                PermissionsExt::from_mode(mode),
            )?;
        }
        let next = begun + (round + 1) * 1_000_000;
        std::thread::sleep(Duration::from_nanos(next.saturating_sub(now())));
    }
    Ok(())
}

fn now() -> u64 {
    SystemClock.now().as_nanos() as u64
}

fn measure(picture: &Path) -> Result<()> {
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
    let (table, share) = (tempfile::tempdir_in("/dev/shm")?, tempfile::tempdir_in(".")?);
    let path = table.path().join("table");
    let engine = Engine::attach(Options::new(&path))?;
    let view = View::open(&path)?;
    let watcher = Watcher::start(&engine, mode, &[share.path().to_owned()])?;
    let name = share.path().join("file");
    fs::write(&name, "")?;
    let file = fs::File::open(&name)?;
    let key = engine.inode(&FileId::of(file.as_fd())?.identity());
    let system = watcher.file_system(file.as_fd())?;
    let _pin = system.pin(key, file.as_fd())?;
    let slot = engine.inode_slots(key)?.attr;

    let mut changer = Process::start(&["change".as_ref(), name.as_os_str()])?;
    let _load =
        busy.then(|| Process::start(&["load".as_ref(), share.path().as_os_str()])).transpose()?;
    let mut histogram = Histogram::new(3)?;
    for i in 0..SAMPLES {
        let ((), [stamp]) = engine.observe([slot]).then(|| ());
        let (orders, times) = changer.pipes()?;
        orders.write_all(&[(i % 64) as u8])?;
        orders.flush()?;
        while view.is_current(stamp) {
            std::hint::spin_loop();
        }
        let moved = now();
        let mut returned = [0; 8];
        times.read_exact(&mut returned)?;
        histogram.record(moved.saturating_sub(u64::from_ne_bytes(returned)).max(1))?;
    }
    drop((watcher, Arc::clone(&engine)));
    Ok(histogram)
}

/// A child that ends with this value.
struct Process(Child);

impl Process {
    fn start(arguments: &[&std::ffi::OsStr]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self(command.spawn()?))
    }

    fn pipes(&mut self) -> Result<(&mut impl Write, &mut impl Read)> {
        let orders = self.0.stdin.as_mut().ok_or("no pipe")?;
        Ok((orders, self.0.stdout.as_mut().ok_or("no pipe")?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
