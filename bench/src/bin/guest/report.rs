//! What is shown and what is kept.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use samepage_bench::Spread;
use serde::Serialize;

use crate::jobs::Job;

const WIDTH: u32 = 760;
const BAR: u32 = 16;

/// A job, and what it took each of the guests, in the order of [`Results::subjects`].
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    job: &'static str,
    of: &'static str,
    pub(crate) nanoseconds: Vec<Vec<f64>>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    kernel: String,
    files: usize,
    subjects: Vec<&'static str>,
    /// Of the machine, before and after.
    load: [String; 2],
    pub(crate) rows: Vec<Row>,
}

impl Row {
    pub(crate) fn new(job: &Job, subjects: usize) -> Self {
        Self { job: job.name, of: job.of, nanoseconds: vec![Vec::new(); subjects] }
    }

    /// Another guest's time divided by the first one's, round by round.
    fn ratio(&self, other: usize) -> Spread {
        let pairs = self.nanoseconds[other].iter().zip(&self.nanoseconds[0]);
        Spread::of(pairs.map(|(theirs, ours)| theirs / ours).collect())
    }

    fn micros(&self, subject: usize) -> f64 {
        Spread::of(self.nanoseconds[subject].clone()).median / 1000.0
    }
}

impl Results {
    pub(crate) fn new(kernel: &str, files: usize, subjects: Vec<&'static str>) -> Result<Self> {
        let load = [load()?, String::new()];
        Ok(Self { kernel: kernel.to_owned(), files, subjects, load, rows: Vec::new() })
    }

    /// Write `guest.json` and `guest.svg`.
    pub(crate) fn end(&mut self, directory: &Path) -> Result<()> {
        let problem = || format!("cannot write to {}", directory.display());
        self.load[1] = load()?;
        fs::create_dir_all(directory).with_context(problem)?;
        let json = serde_json::to_string_pretty(self)? + "\n";
        fs::write(directory.join("guest.json"), json).with_context(problem)?;
        draw(self, &directory.join("guest.svg"))?;
        let [before, after] = &self.load;
        println!("load average {before} … {after}; {}/guest.json, guest.svg", directory.display());
        Ok(())
    }
}

/// One line of the table, as soon as it is known; the first one brings the head.
pub(crate) fn line(results: &Results, row: &Row) {
    let others = 1..results.subjects.len();
    if results.rows.is_empty() {
        let times = results.subjects.iter().map(|name| format!(" {:>12}", format!("{name} µs")));
        let ratios = others.clone().map(|other| format!(" {:>22}", ratio_name(results, other)));
        println!("{:24} {:7}{}{}", "job", "of", text(times), text(ratios));
    }
    let times = (0..results.subjects.len()).map(|at| format!(" {:>12.1}", row.micros(at)));
    let ratios = others.map(|other| format!(" {:>22}", row.ratio(other).to_string()));
    println!("{:24} {:7}{}{}", row.job, row.of, text(times), text(ratios));
}

fn ratio_name(results: &Results, other: usize) -> String {
    format!("{} / {}", results.subjects[other], results.subjects[0])
}

fn text(parts: impl Iterator<Item = String>) -> String {
    parts.collect()
}

fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Times as bars, on a scale on which each step is ten times as much.
fn draw(results: &Results, path: &Path) -> Result<()> {
    let bars: Vec<(String, usize, f64)> = (results.rows.iter())
        .flat_map(|row| {
            let name = |at: usize| format!("{}: {}", row.job, results.subjects[at]);
            (0..results.subjects.len()).map(move |at| (name(at), at, row.micros(at)))
        })
        .collect();
    let most = bars.iter().map(|bar| bar.2).fold(10.0, f64::max) * 1.5;
    let count = i32::try_from(bars.len())?;
    let root = SVGBackend::new(path, (WIDTH, BAR * bars.len() as u32 + 80)).into_drawing_area();
    root.fill(&WHITE).map_err(problem)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("microseconds in a guest, less is better", ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(25)
        .y_label_area_size(220)
        .build_cartesian_2d((1.0..most).log_scale(), 0..count.max(1))
        .map_err(problem)?;
    let place = |row: i32| usize::try_from(count - 1 - row).ok();
    let name =
        |row: &i32| place(*row).and_then(|at| bars.get(at)).map_or("", |bar| &bar.0).to_owned();
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(bars.len() + 1)
        .y_label_formatter(&name)
        .draw()
        .map_err(problem)?;
    let bar = |(row, (_, subject, micros)): (i32, &(String, usize, f64))| {
        let color = if *subject == 0 { BLUE.mix(0.6) } else { BLACK.mix(0.3) };
        Rectangle::new([(1.0, count - 1 - row), (micros.max(1.0), count - row)], color.filled())
    };
    chart.draw_series((0..count).zip(&bars).map(bar)).map_err(problem)?;
    root.present().map_err(problem)
}

fn problem(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        // A machine that becomes ten times slower changes nothing.
        let nanoseconds = vec![vec![1000.0, 10_000.0, 2000.0], vec![2000.0, 20_000.0, 2000.0]];
        let row = Row { job: "job", of: "all", nanoseconds };
        assert_eq!(row.ratio(1), Spread { least: 1.0, median: 2.0, most: 2.0 });
        assert!((row.micros(0) - 2.0).abs() < 1e-9);
    }
}
