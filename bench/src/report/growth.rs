//! How processor time grows: a panel for each measure, a line for each job and daemon.

use std::path::Path;

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use samepage_bench::record::undrawn;

use super::summary::median;
use crate::plan::Axis;
use crate::rounds::{Results, Row};
use crate::subject::Sample;

const PANEL: (u32, u32) = (520, 340);
const AXES: [(Axis, &str); 4] = [
    (Axis::Depth, "operations in flight"),
    (Axis::Queues, "queues, 16 operations in flight"),
    (Axis::FrontEnds, "front ends, 4 operations in flight each"),
    (Axis::Inodes, "inodes that the guest knows (leftmost: those of the job)"),
];
const COLORS: [RGBColor; 6] = [
    RGBColor(35, 90, 170),
    RGBColor(200, 80, 40),
    RGBColor(25, 115, 55),
    RGBColor(150, 60, 150),
    RGBColor(120, 120, 120),
    RGBColor(190, 150, 20),
];

/// Nothing where nothing grows.
pub(super) fn draw(path: &Path, results: &Results) -> Result<()> {
    if results.rows.iter().all(|row| row.axis.is_none()) {
        return Ok(());
    }
    let root = SVGBackend::new(path, (2 * PANEL.0, 2 * PANEL.1 + 40)).into_drawing_area();
    root.fill(&WHITE).map_err(undrawn)?;
    let title = format!(
        "microseconds of processor time an operation: {} (strong), {} (pale)",
        results.ours, results.theirs
    );
    let rest = root.titled(&title, ("sans-serif", 16)).map_err(undrawn)?;
    for (area, (axis, name)) in rest.split_evenly((2, 2)).iter().zip(AXES) {
        let rows: Vec<&Row> = results.rows.iter().filter(|row| row.axis == Some(axis)).collect();
        panel(area, name, axis, &rows)?;
    }
    root.present().map_err(undrawn)
}

/// Where a row stands. What the guest knows anyway counts as one step before the smallest number.
fn place(axis: Axis, row: &Row) -> f64 {
    let place = match axis {
        Axis::Depth => row.depth,
        Axis::Queues => row.queues,
        Axis::FrontEnds => row.front_ends,
        Axis::Inodes => row.known.max(100),
    };
    place as f64
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    name: &str,
    axis: Axis,
    rows: &[&Row],
) -> Result<()> {
    let cost = |samples: &[Sample]| median(samples, |sample| sample.cpu);
    let costs: Vec<f64> =
        rows.iter().flat_map(|row| [cost(&row.ours), cost(&row.theirs)]).collect();
    // Room for the legend above the lines.
    let least = costs.iter().copied().fold(f64::MAX, f64::min).clamp(0.01, 1e6) * 0.7;
    let most = costs.iter().copied().fold(least, f64::max) * 8.0;
    let (from, to) = rows
        .iter()
        .map(|row| place(axis, row))
        .fold((f64::MAX, 1.0), |ends, at| (f64::min(ends.0, at), f64::max(ends.1, at)));
    let mut places: Vec<f64> = rows.iter().map(|row| place(axis, row)).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let mut chart = ChartBuilder::on(area)
        .caption(name, ("sans-serif", 13))
        .margin(10)
        .margin_right(25)
        .x_label_area_size(25)
        .y_label_area_size(45)
        .build_cartesian_2d(
            (from.min(to)..to * 1.05).log_scale().with_key_points(places),
            (least..most).log_scale(),
        )
        .map_err(undrawn)?;
    let number = |at: &f64| format!("{at:.0}");
    let mesh = &mut chart.configure_mesh();
    let mesh = mesh.light_line_style(TRANSPARENT).bold_line_style(BLACK.mix(0.15)).x_labels(6);
    mesh.x_label_formatter(&number).draw().map_err(undrawn)?;
    let mut jobs: Vec<&str> = rows.iter().map(|row| row.job).collect();
    jobs.dedup();
    jobs.sort_unstable();
    jobs.dedup();
    for (job, color) in jobs.iter().zip(COLORS.iter().cycle()) {
        let of_job = || rows.iter().filter(|row| row.job == *job);
        let ours = of_job().map(|row| (place(axis, row), cost(&row.ours)));
        let theirs = of_job().map(|row| (place(axis, row), cost(&row.theirs)));
        let (strong, pale) = (color.stroke_width(2), color.mix(0.4).stroke_width(2));
        chart.draw_series(LineSeries::new(theirs, pale)).map_err(undrawn)?;
        let line = LineSeries::new(ours, strong).point_size(2);
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 14, y)], strong);
        chart.draw_series(line).map_err(undrawn)?.label(*job).legend(legend);
    }
    let legend = &mut chart.configure_series_labels();
    let legend = legend.position(SeriesLabelPosition::UpperRight);
    legend.background_style(WHITE.mix(0.7)).draw().map_err(undrawn)
}
