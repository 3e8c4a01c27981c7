//! What was measured, as a picture.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;

use super::record::{Record, Sample};

const WIDTH: u32 = 900;
const HEIGHT: u32 = 190;

/// A diagram: what it shows, and of what.
type Diagram = (&'static str, fn(&Sample) -> f64);

const DIAGRAMS: [Diagram; 6] = [
    ("daemon: descriptors", |sample| sample.descriptors as f64),
    ("daemon: threads", |sample| sample.threads as f64),
    ("daemon: memory of its own, MiB", |sample| sample.anonymous_kib as f64 / 1024.0),
    ("guest: kernel memory that cannot be dropped, MiB", |sample| {
        sample.kernel_kib as f64 / 1024.0
    }),
    ("guest: caches, MiB", |sample| sample.cache_kib as f64 / 1024.0),
    ("guest: inodes of the share", |sample| sample.inodes as f64),
];

/// Every diagram with a line for each guest, by the minute.
pub(super) fn draw(record: &Record, picture: &Path) -> Result<()> {
    let size = (WIDTH, HEIGHT * DIAGRAMS.len() as u32);
    let root = SVGBackend::new(picture, size).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, diagram) in root.split_evenly((DIAGRAMS.len(), 1)).iter().zip(DIAGRAMS) {
        draw_one(area, record, diagram)?;
    }
    root.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_one(area: &Area<'_>, record: &Record, (caption, of): Diagram) -> Result<()> {
    let samples = || record.guests.iter().flat_map(|guest| &guest.samples);
    let minutes = samples().map(|sample| sample.seconds / 60.0).fold(0.1, f64::max);
    let top = samples().map(of).fold(1.0, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..minutes, 0.0..top)?;
    chart.configure_mesh().x_desc("minutes").y_labels(5).light_line_style(WHITE).draw()?;
    for (number, guest) in record.guests.iter().enumerate() {
        let style = Palette99::pick(number).to_rgba().stroke_width(1);
        let points = guest.samples.iter().map(|sample| (sample.seconds / 60.0, of(sample)));
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(&guest.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .draw()?;
    Ok(())
}
