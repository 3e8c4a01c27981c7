//! What is shown and what is kept.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;
use samepage_bench::Spread;
use samepage_bench::record::{keep, load_average, undrawn as problem};
use serde::Serialize;

use crate::jobs::Job;

const WIDTH: u32 = 760;
const BAR: u32 = 16;
/// The smallest ratio that is drawn.
const LEAST: f64 = 0.5;

/// A job, and what it took each of the guests, in the order of [`Results::subjects`].
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    job: &'static str,
    of: &'static str,
    pub(crate) nanoseconds: Vec<Vec<f64>>,
    /// Nothing for a daemon that does not count them.
    pub(crate) requests: Vec<Vec<u64>>,
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
        let (nanoseconds, requests) = (vec![Vec::new(); subjects], vec![Vec::new(); subjects]);
        Self { job: job.name, of: job.of, nanoseconds, requests }
    }

    /// Another guest's time divided by the first one's, round by round.
    fn ratio(&self, other: usize) -> Spread {
        Spread::of_ratios(&self.nanoseconds[other], &self.nanoseconds[0])
    }

    /// Those of the last round, when everything has settled.
    fn requests(&self, subject: usize) -> String {
        self.requests[subject].last().map_or_else(|| "–".to_owned(), u64::to_string)
    }

    fn micros(&self, subject: usize) -> f64 {
        Spread::of(self.nanoseconds[subject].clone()).median / 1000.0
    }
}

impl Results {
    pub(crate) fn new(kernel: &str, files: usize, subjects: Vec<&'static str>) -> Result<Self> {
        let load = [load_average()?, String::new()];
        Ok(Self { kernel: kernel.to_owned(), files, subjects, load, rows: Vec::new() })
    }

    /// Write `guest.json` and `guest.svg`.
    pub(crate) fn end(&mut self, directory: &Path) -> Result<()> {
        self.load[1] = load_average()?;
        keep(self, directory, "guest.json")?;
        draw(self, &directory.join("guest.svg"))?;
        let [before, after] = &self.load;
        println!("load average {before} … {after}; {}/guest.json, guest.svg", directory.display());
        Ok(())
    }
}

/// A part of the table, as soon as it is known; the first one brings the head.
pub(crate) fn part(results: &Results, row: &Row) {
    let first = results.subjects[0];
    if results.rows.is_empty() {
        let ratio = format!("times {first}");
        println!("{:24} {:18} {:>12} {ratio:>24} {:>9}", "job", "guest", "µs", "requests");
    }
    for (at, subject) in results.subjects.iter().enumerate() {
        let job = if at == 0 { format!("{} ({})", row.job, row.of) } else { String::new() };
        let ratio = if at == 0 { String::new() } else { row.ratio(at).to_string() };
        let (micros, requests) = (row.micros(at), row.requests(at));
        println!("{job:24} {subject:18} {micros:>12.1} {ratio:>24} {requests:>9}");
    }
}

/// How many times as long as in the first guest each job takes in the others, as bars on a scale on which each step is ten
/// times as much.
fn draw(results: &Results, path: &Path) -> Result<()> {
    let bars: Vec<(String, Spread)> = (results.rows.iter())
        .flat_map(|row| {
            let name = |at: usize| format!("{}: {}", row.job, results.subjects[at]);
            (1..results.subjects.len()).map(move |at| (name(at), row.ratio(at)))
        })
        .collect();
    let most = bars.iter().map(|bar| bar.1.most).fold(10.0, f64::max) * 1.5;
    let count = i32::try_from(bars.len())?;
    let root = SVGBackend::new(path, (WIDTH, BAR * bars.len() as u32 + 80)).into_drawing_area();
    root.fill(&WHITE).map_err(problem)?;
    let caption = format!("times as long as in a guest that is {}", results.subjects[0]);
    let mut chart = ChartBuilder::on(&root)
        .caption(caption, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(25)
        .y_label_area_size(270)
        .build_cartesian_2d((LEAST..most).log_scale(), 0..count.max(1))
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
    let bar = |(row, (_, ratio)): (i32, &(String, Spread))| {
        let color = if ratio.median > 1.0 { BLUE.mix(0.6) } else { RED.mix(0.5) };
        let (from, to) = (ratio.median.min(1.0), ratio.median.max(1.0));
        Rectangle::new([(from.max(LEAST), count - 1 - row), (to, count - row)], color.filled())
    };
    chart.draw_series((0..count).zip(&bars).map(bar)).map_err(problem)?;
    root.present().map_err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        // A machine that becomes ten times slower changes nothing.
        let nanoseconds = vec![vec![1000.0, 10_000.0, 2000.0], vec![2000.0, 20_000.0, 2000.0]];
        let requests = vec![vec![3, 2], Vec::new()];
        let row = Row { job: "job", of: "all", nanoseconds, requests };
        assert_eq!([row.requests(0), row.requests(1)], ["2", "–"]);
        assert_eq!(row.ratio(1), Spread { least: 1.0, median: 2.0, most: 2.0 });
        assert!((row.micros(0) - 2.0).abs() < 1e-9);
    }
}
