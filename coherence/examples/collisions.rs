//! How much of what guests have cached is lost to collisions, measured with the real placement, by table size:
//! `cargo xtask bench collisions`. It prints the tables of
//! docs/adr/0004-slot-placement.md and draws docs/images/false-invalidation.svg.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::path::Path;

use coherence::hash::{BUCKET_SLOTS, Placement};
use coherence::{Identity, InodeKey, SlotIndex};
use plotters::prelude::*;

/// log2 of the tables' words: 2 to 128 MiB.
const TABLES: std::ops::RangeInclusive<u32> = 18..=24;

/// A table's slots in use.
struct Use {
    placement: Placement,
    /// Inodes by bucket.
    inodes: Vec<u32>,
    /// Names by bucket.
    names: Vec<u32>,
}

/// What is cached of file number `n` of a tree: its inode and its name in one of many directories.
fn file(placement: &Placement, tree: u64, n: u64) -> (usize, usize) {
    let inode = placement.inode(&Identity::Inode { dev: tree, ino: n });
    let parent = InodeKey((tree << 32) | (n / 100));
    let bucket = |slot: SlotIndex| (slot.get() / BUCKET_SLOTS) as usize;
    let name = placement.entry(parent, format!("file{n}.c").as_bytes());
    (bucket(placement.inode_slots(inode).attr), bucket(name))
}

impl Use {
    /// Tree number `tree`, of so many files, in a table of `1 << log` words.
    fn of(log: u32, tree: u64, files: u64) -> Self {
        let words = 1_u64 << log;
        let placement = Placement::new(*b"not a secret key", words);
        let buckets = (words / u64::from(BUCKET_SLOTS)) as usize;
        let mut used = Self { placement, inodes: vec![0; buckets], names: vec![0; buckets] };
        for n in 0..files {
            let (inode, name) = file(&used.placement, tree, n);
            used.inodes[inode] += 1;
            used.names[name] += 1;
        }
        used
    }

    /// Shares of another tree's `files` that this tree's making invalidates: of the inodes, of the names, and of the
    /// files of which either is.
    fn losses(&self, tree: u64, files: u64) -> [f64; 3] {
        let mut lost = [0_u64; 3];
        for n in 0..files {
            let (inode, name) = file(&self.placement, tree, n);
            let (inode, name) = (self.inodes[inode] > 0, self.names[name] > 0);
            for (count, is_lost) in lost.iter_mut().zip([inode, name, inode || name]) {
                *count += u64::from(is_lost);
            }
        }
        lost.map(|count| count as f64 / files as f64)
    }

    /// Live inodes that a change of one of the others hits, on average.
    fn neighbours(&self) -> f64 {
        let pairs: u64 =
            self.inodes.iter().map(|&n| u64::from(n) * u64::from(n.saturating_sub(1))).sum();
        let all: u64 = self.inodes.iter().map(|&n| u64::from(n)).sum();
        pairs as f64 / all as f64
    }
}

fn size(log: u32) -> String {
    format!("{} MiB", (8_u64 << log) >> 20)
}

fn heading(first: &str) {
    let sizes: Vec<String> = TABLES.map(size).collect();
    println!("| {first} | {} |\n| --- |{}", sizes.join(" | "), " ---: |".repeat(sizes.len()));
}

/// Other inodes invalidated by one change, for each number of live identities.
fn neighbours() {
    println!("\nCached inodes that one changed file invalidates besides its own:\n");
    heading("live inodes");
    for files in [10_000, 100_000, 1_000_000, 10_000_000] {
        let cells: Vec<String> =
            TABLES.map(|log| format!("{:.4}", Use::of(log, 1, files).neighbours())).collect();
        println!("| {files} | {} |", cells.join(" | "));
    }
}

/// Share of cached files lost while so many others are made.
fn churn() -> Vec<(u64, Vec<f64>)> {
    const CACHED: u64 = 200_000;
    println!("\nShare of cached files (name or attributes) that making other files invalidates:\n");
    heading("files made");
    let mut rows = Vec::new();
    for made in [1_000, 10_000, 80_000, 1_000_000] {
        let losses: Vec<[f64; 3]> =
            TABLES.map(|log| Use::of(log, 2, made).losses(1, CACHED)).collect();
        let cells: Vec<String> = losses.iter().map(|l| format!("{:.1} %", l[2] * 100.0)).collect();
        println!("| {made} | {} |", cells.join(" | "));
        if made == 80_000 {
            let one = |at: usize| -> Vec<String> {
                losses.iter().map(|l| format!("{:.1} %", l[at] * 100.0)).collect()
            };
            println!("| 80000: attributes alone | {} |", one(0).join(" | "));
            println!("| 80000: names alone | {} |", one(1).join(" | "));
        }
        rows.push((made, losses.iter().map(|l| l[2] * 100.0).collect()));
    }
    rows
}

fn draw(rows: &[(u64, Vec<f64>)], path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(path, (720, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let (first, last) = (f64::from(*TABLES.start()), f64::from(*TABLES.end()));
    let mut chart = ChartBuilder::on(&root)
        .caption("Cached files lost while other files are made", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(52)
        .build_cartesian_2d(first..last, 0.0..100.0)?;
    chart
        .configure_mesh()
        .x_labels(TABLES.count())
        .x_label_formatter(&|log| size(log.round() as u32))
        .x_desc("size of the table")
        .y_desc("lost, percent")
        .draw()?;
    for (i, (made, lost)) in rows.iter().enumerate() {
        let color = Palette99::pick(i).mix(1.0);
        let points = || TABLES.map(f64::from).zip(lost.iter().copied());
        chart
            .draw_series(LineSeries::new(points(), color.stroke_width(2)))?
            .label(format!("{made} files made"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        chart.draw_series(points().map(|point| Circle::new(point, 3, color.filled())))?;
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.9)).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    neighbours();
    let rows = churn();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    std::fs::create_dir_all(&directory)?;
    draw(&rows, &directory.join("false-invalidation.svg"))
}
