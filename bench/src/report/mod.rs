//! What is shown and what is kept.

mod chart;
mod growth;
mod summary;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::rounds::{Results, Row};
use samepage_bench::Spread;
use summary::{median, ratio};

/// One line of the table, as soon as it is known; the first one brings the head.
pub(crate) fn line(row: &Row) {
    static HEAD: std::sync::Once = std::sync::Once::new();
    HEAD.call_once(|| {
        println!(
            "{:<20} {:>2} {:>2} {:>3} | {:>9} {:>8} {:>8} {:>8} {:>7} {:>6} {:>6} | {:>9} {:>8} {:>7} {:>6} {:>6} | {:>18} {:>18} {:>18} | {:>8}",
            "job", "n", "q", "d", "ops/s", "p50 µs", "p99", "p99.9", "cpu µs", "switch", "calls", "its ops/s", "p50 µs", "cpu µs",
            "switch", "calls", "rate ratio", "p50 ratio", "cpu ratio", "floor µs"
        );
    });
    let (ours, theirs) = (&row.ours, &row.theirs);
    println!(
        "{:<20} {:>2} {:>2} {:>3} | {:>9.0} {:>8.1} {:>8.1} {:>8.1} {:>7.2} {:>6.2} {:>6} | {:>9.0} {:>8.1} {:>7.2} {:>6.2} {:>6} | {:>18} {:>18} {:>18} | {:>8}",
        row.job,
        row.front_ends,
        row.queues,
        row.depth,
        median(ours, |sample| sample.rate),
        median(ours, |sample| sample.p50),
        median(ours, |sample| sample.p99),
        median(ours, |sample| sample.p999),
        median(ours, |sample| sample.cpu),
        median(ours, |sample| sample.switches),
        figure(row.syscalls[0]),
        median(theirs, |sample| sample.rate),
        median(theirs, |sample| sample.p50),
        median(theirs, |sample| sample.cpu),
        median(theirs, |sample| sample.switches),
        figure(row.syscalls[1]),
        ratio(row, |sample| sample.rate).to_string(),
        ratio(row, |sample| sample.p50).to_string(),
        ratio(row, |sample| sample.cpu).to_string(),
        figure(row.floor),
    );
}

fn figure(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{value:.2}"))
}

/// A figure that cannot be had everywhere; the first time, why it is missing.
pub(crate) fn unless_uncounted(figure: Result<f64>) -> Option<f64> {
    static WHY: std::sync::Once = std::sync::Once::new();
    let said = figure.inspect_err(|error| {
        WHY.call_once(|| eprintln!("system calls cannot be counted: {error:#}"));
    });
    said.ok()
}

/// What is no row of the table.
pub(crate) fn extras(results: &Results) {
    let [ours, theirs] = &results.mounts;
    let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    println!(
        "a guest mounts: {:.2} ms, {:.2} ms, ratio {}",
        Spread::of(ours.clone()).median,
        Spread::of(theirs.clone()).median,
        Spread::of(ratios)
    );
    if let Some([ours, theirs]) = &results.inodes {
        println!(
            "{} inodes known: {} KiB resident and {} descriptors, {} KiB and {}; bytes an inode {:.0}, {:.0}; ratio {:.2}",
            ours.count,
            ours.resident_kib[1],
            ours.descriptors,
            theirs.resident_kib[1],
            theirs.descriptors,
            ours.bytes_each(),
            theirs.bytes_each(),
            ours.resident_kib[1] as f64 / theirs.resident_kib[1] as f64
        );
    }
}

/// Writes `bench.json`, `bench.svg`, and `growth.svg` where something grows.
///
/// # Errors
/// The directory cannot be written to.
pub(crate) fn write(results: &Results, directory: &Path) -> Result<()> {
    let problem = || format!("cannot write to {}", directory.display());
    fs::create_dir_all(directory).with_context(problem)?;
    let json = serde_json::to_string_pretty(results)?;
    fs::write(directory.join("bench.json"), json).with_context(problem)?;
    let figure = |of: fn(&crate::subject::Sample) -> f64| -> Vec<(String, Spread)> {
        let name = |row: &Row| {
            let Row { job, front_ends, queues, depth, known, .. } = row;
            let knows = if *known > 0 { format!(" i{known}") } else { String::new() };
            format!("{job} n{front_ends} q{queues} d{depth}{knows}")
        };
        results.rows.iter().map(|row| (name(row), ratio(row, of))).collect()
    };
    let title = format!("{} : {}, cache={}", results.ours, results.theirs, results.cache);
    let figures = [
        ("latency (p50)", figure(|sample| sample.p50)),
        ("processor time an operation", figure(|sample| sample.cpu)),
    ];
    chart::draw(&directory.join("bench.svg"), &title, &figures)?;
    growth::draw(&directory.join("growth.svg"), results)?;
    println!(
        "most memory: {} KiB, {} KiB; load average {} … {}; {}/bench.json, bench.svg",
        results.peak_kib[0],
        results.peak_kib[1],
        results.load[0],
        results.load[1],
        directory.display()
    );
    Ok(())
}
