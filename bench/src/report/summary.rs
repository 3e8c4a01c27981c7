//! Medians and ratios.

use samepage_bench::Spread;

use crate::rounds::Row;
use crate::subject::Sample;

/// The median of one figure over all rounds.
pub(super) fn median(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    Spread::of(samples.iter().map(figure).collect()).median
}

/// Ours divided by theirs, round by round.
pub(super) fn ratio(row: &Row, figure: impl Fn(&Sample) -> f64) -> Spread {
    let pairs = row.ours.iter().zip(&row.theirs);
    Spread::of(pairs.map(|(ours, theirs)| figure(ours) / figure(theirs)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(p50: f64) -> Sample {
        Sample { rate: 1.0, p50, p99: 0.0, p999: 0.0, cpu: 0.0, switches: 0.0 }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let row = Row {
            job: "job",
            front_ends: 1,
            queues: 1,
            depth: 1,
            known: 0,
            axis: None,
            // A machine that becomes ten times slower changes nothing.
            ours: vec![sample(1.0), sample(10.0), sample(3.0)],
            theirs: vec![sample(2.0), sample(20.0), sample(3.0)],
            syscalls: [None; 2],
            floor: None,
        };
        let spread = ratio(&row, |sample| sample.p50);
        assert_eq!(spread, Spread { least: 0.5, median: 0.5, most: 1.0 });
        assert_eq!(spread.to_string(), "0.50 [0.50–1.00]");
        assert!((median(&row.theirs, |sample| sample.p50) - 3.0).abs() < 1e-9);
    }
}
