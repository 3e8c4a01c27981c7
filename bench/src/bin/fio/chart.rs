//! A group of bars for each job, a colour for each way.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;
use samepage_bench::record::undrawn;

use crate::report::{Results, Row};

const WIDTH: u32 = 900;
const BAR: u32 = 8;
/// The smallest speed that is drawn, in MiB/s.
const LEAST: f64 = 0.1;
const COLORS: [RGBColor; 6] = [
    RGBColor(150, 150, 150),
    RGBColor(230, 160, 60),
    RGBColor(120, 170, 225),
    RGBColor(35, 90, 170),
    RGBColor(135, 200, 135),
    RGBColor(25, 115, 55),
];

/// On a scale on which each step is ten times as much.
pub(crate) fn draw(results: &Results, path: &Path) -> Result<()> {
    let ways = results.ways.len();
    let medians =
        |row: &Row| (0..ways).filter_map(|way| row.speed(way)).map(|s| s.median).collect();
    let most =
        results.rows.iter().flat_map(|row| -> Vec<f64> { medians(row) }).fold(10.0, f64::max);
    // Between groups there is room for a bar.
    let group = i32::try_from(ways + 1)?;
    let rows = i32::try_from(results.rows.len())? * group;
    let root = SVGBackend::new(path, (WIDTH, BAR * rows.unsigned_abs() + 120)).into_drawing_area();
    root.fill(&WHITE).map_err(undrawn)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("MiB/s in a guest (4 KiB at a time); more is better", ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(25)
        .y_label_area_size(160)
        .build_cartesian_2d((LEAST..most * 8.0).log_scale(), (0..rows).into_segmented())
        .map_err(undrawn)?;
    let job = |at: &SegmentValue<i32>| match at {
        // The label stands at the middle bar of its group.
        SegmentValue::CenterOf(row) if (rows - 1 - row) % group == group / 2 - 1 => {
            let number = usize::try_from((rows - 1 - row) / group).ok();
            let row = number.and_then(|at| results.rows.get(at));
            row.map_or_else(String::new, |row| format!("{} ", row.job))
        }
        _ => String::new(),
    };
    let labels = usize::try_from(rows)? + 1;
    let mesh = &mut chart.configure_mesh();
    let mesh = mesh.disable_y_mesh().y_labels(labels).y_label_formatter(&job);
    mesh.set_tick_mark_size(LabelAreaPosition::Left, 0).draw().map_err(undrawn)?;
    for (way, name) in results.ways.iter().enumerate() {
        let color = COLORS[way % COLORS.len()];
        let bar = |(number, row): (i32, &Row)| {
            let place = rows - 1 - number * group - i32::try_from(way).unwrap_or(0);
            let end = row.speed(way).map_or(LEAST, |speed| speed.median.max(LEAST));
            let (from, to) = (SegmentValue::Exact(place), SegmentValue::Exact(place + 1));
            Rectangle::new([(LEAST, from), (end, to)], color.filled())
        };
        let bars = (0..).zip(&results.rows).map(bar);
        let legend = move |(x, y)| Rectangle::new([(x, y - 4), (x + 12, y + 4)], color.filled());
        chart.draw_series(bars).map_err(undrawn)?.label(*name).legend(legend);
    }
    let legend = &mut chart.configure_series_labels();
    let legend = legend.position(SeriesLabelPosition::UpperRight);
    legend.background_style(WHITE).border_style(BLACK.mix(0.3)).draw().map_err(undrawn)?;
    root.present().map_err(undrawn)
}
