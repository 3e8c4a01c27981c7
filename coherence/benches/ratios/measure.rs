//! Measuring things against each other on a machine that does other things meanwhile.

use std::hint::black_box;
use std::time::Instant;

/// Each gives one ratio.
const ROUNDS: usize = 15;
/// Of each subject in a round, taking turns. The best counts: whatever else the machine does only ever adds.
const TRIES: usize = 9;

/// What one subject took.
#[derive(Clone, Debug)]
pub(crate) struct Took {
    /// Nanoseconds for each operation, in the best try of all.
    pub(crate) ns: f64,
    /// Its cost in units of the first subject's, for each round, ascending.
    ratios: Vec<f64>,
}

/// Times subjects that do `count` operations each. Ratios are to the first one.
pub(crate) fn compare<const N: usize>(
    count: usize,
    mut subjects: [&mut dyn FnMut(); N],
) -> [Took; N] {
    let mut took = [(); N].map(|()| Took { ns: f64::MAX, ratios: Vec::new() });
    for _ in 0..ROUNDS {
        let best = round(count, &mut subjects);
        for (took, ns) in took.iter_mut().zip(best) {
            took.ns = took.ns.min(ns);
            took.ratios.push(ns / best[0]);
        }
    }
    for took in &mut took {
        took.ratios.sort_by(f64::total_cmp);
    }
    took
}

fn round<const N: usize>(count: usize, subjects: &mut [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut best = [f64::MAX; N];
    for _ in 0..TRIES {
        for (best, run) in best.iter_mut().zip(subjects.iter_mut()) {
            let began = Instant::now();
            run();
            *best = best.min(began.elapsed().as_secs_f64() * 1e9 / count as f64);
        }
    }
    best
}

impl Took {
    /// The ratio: the median of the rounds, and their extremes.
    pub(crate) fn spread(&self) -> String {
        let [low, median, high] = [0, 1, 2].map(|half| self.ratios[(ROUNDS - 1) * half / 2]);
        format!("{median:.2} [{low:.2} – {high:.2}]")
    }
}

pub(crate) fn heading(title: &str, floor: &str) {
    println!("\n### {title}\n\n| what | {floor}, ns | engine, ns | ratio [extremes] | wanted |");
    println!("| --- | ---: | ---: | ---: | ---: |");
}

pub(crate) fn row(what: &str, floor: &Took, ours: &Took, wanted: &str) {
    println!("| {what} | {:.2} | {:.2} | {} | {wanted} |", floor.ns, ours.ns, ours.spread());
}

/// Numbers below `below` that look random and are the same every time.
pub(crate) fn scattered(below: usize) -> impl Iterator<Item = usize> {
    let mut state = 1_u64;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    })
}

/// What the compiler may not see through, taken one at a time.
pub(crate) fn each<T: Copy>(things: &[T], mut act: impl FnMut(T)) {
    for &thing in black_box(things) {
        act(thing);
    }
}
