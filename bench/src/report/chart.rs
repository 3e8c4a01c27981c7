//! Ratios as bars: shorter is better, 1 is the other daemon.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use samepage_bench::Spread;

const WIDTH: u32 = 900;
const BAR: u32 = 18;
/// Ratios beyond this are drawn as if they were this.
const MOST: f64 = 2.0;

/// Draws one chart below the other.
pub(super) fn draw(
    path: &Path,
    title: &str,
    figures: &[(&str, Vec<(String, Spread)>)],
) -> Result<()> {
    let heights: Vec<u32> = figures.iter().map(|(_, bars)| BAR * bars.len() as u32 + 90).collect();
    let size = (WIDTH, heights.iter().sum::<u32>().max(100));
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE).map_err(problem)?;
    let mut rest = root.clone();
    for ((name, bars), height) in figures.iter().zip(heights) {
        let (area, below) = rest.split_vertically(height);
        chart(&area, &format!("{title}: {name}"), bars)?;
        rest = below;
    }
    root.present().map_err(problem)
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    bars: &[(String, Spread)],
) -> Result<()> {
    let count = bars.len() as i32;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(25)
        .y_label_area_size(190)
        .build_cartesian_2d(0.0..MOST, 0..count.max(1))
        .map_err(problem)?;
    let name = |row: &i32| {
        usize::try_from(count - 1 - row)
            .ok()
            .and_then(|row| bars.get(row))
            .map_or("", |bar| &bar.0)
            .to_owned()
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(bars.len() + 1)
        .y_label_formatter(&name)
        .draw()
        .map_err(problem)?;
    let bar = |(index, (_, spread)): (i32, &(String, Spread))| {
        let color = if spread.median <= 1.0 { BLUE.mix(0.5) } else { RED.mix(0.5) };
        let row = count - 1 - index;
        Rectangle::new([(0.0, row), (spread.median.min(MOST), row + 1)], color.filled())
    };
    chart.draw_series((0..count).zip(bars).map(bar)).map_err(problem)?;
    let one = [(1.0, 0), (1.0, count)];
    chart.draw_series(LineSeries::new(one, &BLACK)).map_err(problem)?;
    Ok(())
}

fn problem(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
