//! Whether what was measured is flat: a straight line is fitted to what came after a warm-up, and its rise over that time
//! must stay below a limit. What goes up and down around one level does not rise; what leaks does, however slowly, when
//! the time is long enough.

use anyhow::{Result, ensure};

use super::record::{Record, Sample};

/// Fewer samples say nothing.
const SAMPLES: usize = 8;
/// The part of the time that caches and allocators are given to fill.
const WARM_UP: f64 = 0.25;

/// Something that must not grow.
pub(super) struct Measure {
    pub(super) name: &'static str,
    pub(super) of: fn(&Sample) -> f64,
    /// The most that it may rise, in its unit.
    limit: f64,
}

pub(super) const MEASURES: [Measure; 4] = [
    Measure { name: "descriptors", of: |sample| sample.descriptors as f64, limit: 32.0 },
    Measure { name: "threads", of: |sample| sample.threads as f64, limit: 2.0 },
    Measure {
        name: "daemon's own memory, KiB",
        of: |sample| sample.anonymous_kib as f64,
        limit: 2048.0,
    },
    Measure {
        name: "guest kernel's memory, KiB",
        of: |sample| sample.kernel_kib as f64,
        limit: 4096.0,
    },
];

/// How far each measure of each guest rose, one line each.
///
/// # Errors
/// One of them rose too far, or was hardly ever looked at.
pub(super) fn judge(record: &Record) -> Result<String> {
    let few = record.guests.iter().find(|series| series.samples.len() < SAMPLES);
    ensure!(few.is_none(), "fewer than {SAMPLES} samples are no series");
    let mut lines = Vec::new();
    let mut bad = Vec::new();
    for series in &record.guests {
        for measure in &MEASURES {
            let rise = rise(&series.samples, measure.of);
            let line = format!("{}: {} {rise:+.1}", series.name, measure.name);
            if rise > measure.limit {
                bad.push(format!("{line}, more than {}", measure.limit));
            }
            lines.push(line);
        }
    }
    ensure!(bad.is_empty(), "it grows:\n{}", bad.join("\n"));
    Ok(lines.join("\n"))
}

/// How far the straight line through what came after the warm-up rises (least squares).
fn rise(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let end = samples.last().map_or(0.0, |sample| sample.seconds);
    let settled: Vec<_> = samples
        .iter()
        .filter(|sample| sample.seconds >= WARM_UP * end)
        .map(|sample| (sample.seconds, of(sample)))
        .collect();
    let count = settled.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| settled.iter().map(value).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = settled.iter().map(|point| (point.0 - x).powi(2)).sum();
    let common: f64 = settled.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    if spread > 0.0 { common / spread * (1.0 - WARM_UP) * end } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::record::Series;

    /// Two hours of samples, with so many descriptors.
    fn soak(descriptors: impl Fn(usize) -> usize) -> Record {
        let sample = |number: usize| Sample {
            seconds: 10.0 * number as f64,
            descriptors: descriptors(number),
            threads: 10,
            anonymous_kib: 3000,
            resident_kib: 9000,
            kernel_kib: 20_000,
            cache_kib: 30_000,
            inodes: 500,
        };
        let samples = (0..720).map(sample).collect();
        Record { guests: vec![Series { name: "one".into(), samples }] }
    }

    #[test]
    fn what_goes_up_and_down_is_flat() {
        judge(&soak(|number| 40 + number * 7 % 23)).unwrap();
    }

    #[test]
    fn what_fills_up_in_the_beginning_is_flat() {
        judge(&soak(|number| 40 + number.min(170))).unwrap();
    }

    #[test]
    fn a_few_samples_are_no_verdict() {
        let mut record = soak(|_| 40);
        record.guests[0].samples.truncate(SAMPLES - 1);
        assert!(judge(&record).is_err());
    }

    #[test]
    fn a_descriptor_lost_every_other_minute_is_found_among_noise() {
        let error = judge(&soak(|number| 40 + number * 7 % 23 + number / 12)).unwrap_err();
        assert!(error.to_string().contains("one: descriptors +45"), "{error}");
    }
}
