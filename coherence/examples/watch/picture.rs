//! How latencies are distributed, as a picture.

use std::path::Path;

use hdrhistogram::Histogram;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Result;

/// Classes of latencies to a power of ten.
const CLASSES: u32 = 10;
/// The axis, in powers of ten of a microsecond.
const DECADES: std::ops::Range<i32> = 0..5;
/// The smallest share that is drawn of those that took longer: one of the 10,000.
const ONE: f64 = 0.0001;

/// What was measured in one place.
pub(crate) struct Curve {
    pub(crate) title: String,
    /// In nanoseconds.
    pub(crate) histogram: Histogram<u64>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Above, how many changes took how long; below, how many took longer.
pub(crate) fn draw(picture: &Path, curves: &[Curve]) -> Result<()> {
    let root = SVGBackend::new(picture, (900, 760)).into_drawing_area();
    root.fill(&WHITE)?;
    let (above, below) = root.split_vertically(360);
    draw_shares(&above, curves)?;
    draw_longer(&below, curves)?;
    root.present()?;
    Ok(())
}

/// Where class `number` of the axis begins, in microseconds.
fn beginning(number: u32) -> f64 {
    10_f64.powf(f64::from(DECADES.start) + f64::from(number) / f64::from(CLASSES))
}

/// For each class of latencies, the percentage of changes that fall in it.
fn draw_shares(area: &Area<'_>, curves: &[Curve]) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .caption("From the system call's return to the slot's move", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(axis().log_scale(), 0.0..100.0_f64)?;
    chart.configure_mesh().x_desc("µs").y_desc("% of the changes").draw()?;
    for (i, curve) in curves.iter().enumerate() {
        let style = Palette99::pick(i).to_rgba().stroke_width(2);
        let total = curve.histogram.len() as f64;
        let classes = (DECADES.end - DECADES.start).unsigned_abs() * CLASSES;
        let steps = (0..classes).flat_map(|class| {
            let (from, to) = (beginning(class), beginning(class + 1));
            // What is below the axis is in the first class.
            let lowest = if class == 0 { 0 } else { nanoseconds(from) };
            let count = curve.histogram.count_between(lowest, nanoseconds(to) - 1);
            let share = 100.0 * count as f64 / total;
            [(from, share), (to, share)]
        });
        chart
            .draw_series(LineSeries::new(steps, style))?
            .label(&curve.title)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    Ok(())
}

/// For each latency, the share of changes that took longer; both axes logarithmic.
fn draw_longer(area: &Area<'_>, curves: &[Curve]) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(axis().log_scale(), (ONE..1.0_f64).log_scale())?;
    chart.configure_mesh().x_desc("µs").y_desc("share of changes that took longer").draw()?;
    for (i, curve) in curves.iter().enumerate() {
        let style = Palette99::pick(i).to_rgba().stroke_width(2);
        let total = curve.histogram.len() as f64;
        let mut below = 0;
        let points = curve.histogram.iter_recorded().map(|bucket| {
            below += bucket.count_since_last_iteration();
            let longer = (total - below as f64) / total;
            (bucket.value_iterated_to() as f64 / 1000.0, longer.max(ONE))
        });
        chart.draw_series(LineSeries::new(points, style))?;
    }
    Ok(())
}

fn axis() -> std::ops::Range<f64> {
    10_f64.powi(DECADES.start)..10_f64.powi(DECADES.end)
}

fn nanoseconds(microseconds: f64) -> u64 {
    (microseconds * 1000.0) as u64
}
