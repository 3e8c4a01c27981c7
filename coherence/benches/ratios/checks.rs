//! What a guest does before each use of what it has cached.

use std::hint::black_box;

use coherence::{Engine, Options, SlotIndex, Snapshot, View, Words};
use shm_layout::word::Ordering::Acquire;
use shm_layout::{FIRST_SLOT, SharedU64, SlotWord};

use crate::WORDS;
use crate::measure::{compare, each, heading, row, scattered};

const CHECKS: usize = 1 << 18;
const HOT: usize = 64;

pub(crate) fn measure() {
    heading("A guest's check", "acquire load");
    let slots: Vec<SharedU64> = (0..WORDS).map(|_| SharedU64::new(CURRENT.0)).collect();
    hot_and_cold(&slots);
    numbers_checked();
    by_size();
}

/// What a cached copy came with, whether or not it is current.
const CURRENT: SlotWord = SlotWord::new(1, 0);

/// Slots among the first `range` of the table. They are read in order, ahead of the words: what is measured is the
/// table's side.
fn some(range: usize) -> Vec<SlotIndex> {
    let slot = |n| SlotIndex::new(FIRST_SLOT + n as u32).unwrap();
    scattered(range).map(slot).take(CHECKS).collect()
}

fn plain_loads(words: &[SharedU64], at: &[SlotIndex]) {
    let mut sum = 0_u64;
    each(at, |slot| {
        // Acquire: the floor is a plain acquire load.
        sum = sum.wrapping_add(words[(slot.get() - FIRST_SLOT) as usize].load(Acquire));
    });
    black_box(sum);
}

fn hot_and_cold(slots: &[SharedU64]) {
    let words = Words::new(slots);
    for (what, range) in [("hot: 64 slots", HOT), ("cold: random over 8 MiB", slots.len() - 512)] {
        let at = some(range);
        let [floor, ours] = compare(
            CHECKS,
            [&mut || plain_loads(slots, &at), &mut || {
                let mut hits = 0_u64;
                each(&at, |slot| hits += u64::from(words.is_current(slot, CURRENT)));
                black_box(hits);
            }],
        );
        row(what, &floor, &ours, "1.5");
    }
}

/// A table and a guest's view of it.
fn view(words: u64) -> (tempfile::TempDir, View) {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().join("table");
    drop(Engine::attach(Options { words: Some(words), ..Options::new(&path) }).unwrap());
    (directory, View::open(&path).unwrap())
}

fn snapshot(slot: SlotIndex) -> Snapshot {
    Snapshot { slot: slot.get(), word: CURRENT.0 }
}

/// With numbers from replies, which a guest that has not checked them before must check now.
fn numbers_checked() {
    let slots: Vec<SharedU64> = (0..HOT).map(|_| SharedU64::new(CURRENT.0)).collect();
    let (_directory, view) = view(WORDS);
    let at = some(HOT);
    let [floor, ours] = compare(
        CHECKS,
        [&mut || plain_loads(&slots, &at), &mut || {
            let mut hits = 0_u64;
            each(&at, |slot| hits += u64::from(view.is_current(snapshot(slot))));
            black_box(hits);
        }],
    );
    row("hot, and the number is checked to be a slot's", &floor, &ours, "");
}

/// The price of a larger table for every hit: 10,000 files, whose 20,000 buckets are the same number of cache lines in
/// any table but lie in more pages of a larger one. Each check waits for the one before, as in a path walk.
fn by_size() {
    println!("\n### 20,000 slots, one check after the other, by size of the table\n");
    println!("| table | a check, ns | ratio to 8 MiB [extremes] |\n| --- | ---: | ---: |");
    let sizes = [20, 21, 22, 23];
    let views = sizes.map(|log| view(1 << log));
    let at = sizes.map(|log| {
        scattered((1 << log) - 512).take(20_000).map(|n| FIRST_SLOT + n as u32).collect::<Vec<_>>()
    });
    let walk = |size: usize| {
        let (view, never) = (&views[size].1, black_box(0));
        let mut last = false;
        each(&at[size], |slot| {
            last = view
                .is_current(Snapshot { slot: slot + (u32::from(last) & never), word: CURRENT.0 });
        });
        black_box(last);
    };
    let took =
        compare(20_000, [&mut || walk(0), &mut || walk(1), &mut || walk(2), &mut || walk(3)]);
    for (log, took) in sizes.iter().zip(&took) {
        println!("| {} MiB | {:.2} | {} |", (8_u64 << log) >> 20, took.ns, took.spread());
    }
}
