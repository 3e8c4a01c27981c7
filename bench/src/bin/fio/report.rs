//! What is shown and what is kept.

use std::path::Path;

use anyhow::Result;
use samepage_bench::Spread;
use samepage_bench::record::{keep, load_average};
use serde::Serialize;

use crate::chart;
use crate::jobs::Size;

/// Which way is held against which.
const PAIRS: [[&str; 2]; 5] = [
    ["virtiofsd none", "9p none"],
    ["none", "virtiofsd none"],
    ["none + DAX", "none"],
    ["coherent", "virtiofsd none"],
    ["coherent + DAX", "coherent"],
];
/// What cannot be done, or not be compared.
const NOTHING: &str = "–";

/// A job, and what came of it over each of the ways, in the order of [`Results::ways`].
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) job: String,
    /// Round by round; of no rounds where the job cannot be done.
    pub(crate) mib_per_second: Vec<Vec<f64>>,
    /// Of the last round, by operation.
    pub(crate) requests: Vec<String>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    kernel: String,
    size: Size,
    pub(crate) ways: Vec<&'static str>,
    /// Of the machine, before and after.
    load: [String; 2],
    pub(crate) rows: Vec<Row>,
}

impl Row {
    pub(crate) fn new(job: String, ways: usize) -> Self {
        Self { job, mib_per_second: vec![Vec::new(); ways], requests: vec![String::new(); ways] }
    }

    /// Nothing where the job cannot be done.
    pub(crate) fn speed(&self, way: usize) -> Option<Spread> {
        let rounds = &self.mib_per_second[way];
        (!rounds.is_empty()).then(|| Spread::of(rounds.clone()))
    }

    /// Round by round, and nothing where one of them cannot be done.
    fn ratio(&self, way: usize, base: usize) -> Option<Spread> {
        let (ours, theirs) = (&self.mib_per_second[way], &self.mib_per_second[base]);
        let both = !ours.is_empty() && !theirs.is_empty();
        both.then(|| Spread::of_ratios(ours, theirs))
    }
}

impl Results {
    pub(crate) fn new(kernel: &str, size: &Size, ways: Vec<&'static str>) -> Result<Self> {
        let load = [load_average()?, String::new()];
        head("MiB/s", ways.iter().map(|way| (*way).to_owned()));
        Ok(Self { kernel: kernel.to_owned(), size: size.clone(), ways, load, rows: Vec::new() })
    }

    /// Another line of the table.
    pub(crate) fn add(&mut self, row: Row) {
        let figures = (0..self.ways.len()).map(|way| row.speed(way).map(megabytes));
        line(&row.job, figures);
        self.rows.push(row);
    }

    /// The other table, `fio.json` and `fio.svg`.
    pub(crate) fn end(&mut self, directory: &Path) -> Result<()> {
        self.load[1] = load_average()?;
        println!();
        let at = |name: &str| self.ways.iter().position(|way| *way == name);
        let pairs = PAIRS.iter().filter_map(|[way, base]| Some((at(way)?, at(base)?)));
        let pairs: Vec<(usize, usize)> = pairs.collect();
        let names = pairs.iter().map(|(way, base)| [self.ways[*way], self.ways[*base]].join(" / "));
        head("times", names);
        for row in &self.rows {
            let ratios = pairs.iter().map(|(way, base)| row.ratio(*way, *base));
            line(&row.job, ratios.map(|ratio| ratio.map(|ratio| ratio.to_string())));
        }
        keep(self, directory, "fio.json")?;
        chart::draw(self, &directory.join("fio.svg"))?;
        let [before, after] = &self.load;
        println!("\nload average {before} … {after}; {}/fio.json, fio.svg", directory.display());
        Ok(())
    }
}

fn head(corner: &str, names: impl Iterator<Item = String>) {
    let names: Vec<String> = names.collect();
    println!("| {corner} | {} |", names.join(" | "));
    println!("| --- |{}", " ---: |".repeat(names.len()));
}

fn line(name: &str, figures: impl Iterator<Item = Option<String>>) {
    let figures = figures.map(|figure| figure.unwrap_or_else(|| NOTHING.to_owned()));
    println!("| {name} | {} |", figures.collect::<Vec<_>>().join(" | "));
}

/// With as many digits as mean something.
fn megabytes(spread: Spread) -> String {
    let places = usize::from(spread.median < 10.0);
    let Spread { least, median, most } = spread;
    format!("{median:.places$} [{least:.places$}–{most:.places$}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round_and_of_nothing_there_are_none() {
        let mut row = Row::new("job".to_owned(), 3);
        // A machine that becomes ten times slower changes nothing.
        row.mib_per_second[0] = vec![20.0, 2.0, 20.0];
        row.mib_per_second[1] = vec![40.0, 4.0, 60.0];
        let ratio = row.ratio(1, 0).unwrap();
        assert_eq!(ratio, Spread { least: 2.0, median: 2.0, most: 3.0 });
        assert!(row.ratio(2, 0).is_none() && row.ratio(0, 2).is_none() && row.speed(2).is_none());
        assert_eq!(megabytes(row.speed(0).unwrap()), "20 [2–20]");
    }
}
