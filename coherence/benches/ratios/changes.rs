//! What a daemon does around each change, and a sweep.

use std::hint::black_box;
use std::time::Duration;

use coherence::{
    Change, Engine, Identity, InodeSlots, Options, Pending, SlotSet, Unrecorded, Words,
};
use shm_layout::word::Ordering::{Relaxed, Release, SeqCst};
use shm_layout::word::fence;
use shm_layout::{FIRST_SLOT, GENERATION_ONE, SharedU64};

use crate::WORDS;
use crate::measure::{compare, heading, row};

const CHANGES: usize = 1 << 14;

/// What announcing and publishing cannot do without: two adds a slot, and a fence.
fn bare(slots: &[SharedU64], at: &[usize], between: impl Fn()) {
    for &n in at {
        // Relaxed: the fence orders.
        black_box(slots[n].fetch_add(1, Relaxed));
    }
    between();
    for &n in at {
        // Release: as a publish.
        black_box(slots[n].fetch_add(GENERATION_ONE - 1, Release));
    }
}

/// What WRITE and RENAME announce, and a single slot.
fn sets(engine: &Engine) -> [(&'static str, SlotSet); 3] {
    let of = |ino| engine.inode_slots(engine.inode(&Identity::Inode { dev: 1, ino })).unwrap();
    let InodeSlots { perm, attr, data } = of(1);
    let (parent, other) = (of(2).attr, of(3).attr);
    let directory = engine.inode(&Identity::Inode { dev: 1, ino: 2 });
    let name = engine.entry_slot(directory, b"name").unwrap();
    [
        ("1 slot", [attr].into()),
        ("3 slots", [attr, data, perm].into()),
        ("6 slots", [attr, data, perm, parent, other, name].into()),
    ]
}

pub(crate) fn measure() {
    heading("Announce + publish, uncontended", "two adds a slot + a fence");
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let engine = Engine::attach(Options::new(directory.path().join("table"))).unwrap();
    let mut worker = engine.worker().unwrap();
    let watching = tempfile::tempdir_in("/dev/shm").unwrap();
    let watcher = Engine::attach(Options::new(watching.path().join("table"))).unwrap();
    watcher.answer_for_stamps().unwrap();
    let mut watcher = watcher.worker().unwrap();
    let slots: Vec<SharedU64> =
        (0..engine.table_words()).map(|_| SharedU64::new(GENERATION_ONE)).collect();
    let (seat, mut pending) = (Unrecorded(Words::new(&slots)), Pending::default());
    for (what, set) in sets(&engine) {
        let at: Vec<usize> =
            set.as_slice().iter().map(|s| (s.get() - FIRST_SLOT) as usize).collect();
        let [floor, unfenced, plain, ledger, promised] = compare(
            CHANGES,
            [
                // SeqCst: the fence that costs something on x86-64, too.
                &mut || (0..CHANGES).for_each(|_| bare(&slots, black_box(&at), || fence(SeqCst))),
                &mut || (0..CHANGES).for_each(|_| bare(&slots, black_box(&at), || ())),
                &mut || {
                    for _ in 0..CHANGES {
                        drop(Change::unrecorded(&seat, &mut pending, *black_box(&set)));
                    }
                },
                &mut || {
                    for _ in 0..CHANGES {
                        drop(worker.announce(*black_box(&set)).unwrap());
                    }
                },
                &mut || {
                    for _ in 0..CHANGES {
                        drop(watcher.announce(*black_box(&set)).unwrap());
                    }
                },
            ],
        );
        row(what, &floor, &plain, "1.5");
        row(&format!("{what}, with the ledger"), &floor, &ledger, "3");
        row(&format!("{what}, with the ledger and promises"), &floor, &promised, "");
        row(&format!("{what}: the adds alone, for comparison"), &floor, &unfenced, "");
    }
}

pub(crate) fn measure_sweep() {
    heading("A sweep of 8 MiB", "pass of adds");
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let options = Options {
        words: Some(WORDS),
        sweep_interval: Duration::ZERO,
        ..Options::new(directory.path().join("table"))
    };
    let engine = Engine::attach(options).unwrap();
    let slots: Vec<SharedU64> = (0..WORDS).map(SharedU64::new).collect();
    // Every page is there and was touched, as on a table that has been in use for long.
    for ino in 0..WORDS {
        let of = engine.inode_slots(engine.inode(&Identity::Inode { dev: 1, ino })).unwrap();
        let _ = engine.observe([of.attr]).then(|| ());
    }
    let [floor, ours] = compare(
        1,
        [
            &mut || {
                for word in &slots {
                    // Release: as a sweep's.
                    black_box(word.fetch_add(GENERATION_ONE, Release));
                }
            },
            &mut || engine.sweep(),
        ],
    );
    row("1,048,576 words", &floor, &ours, "3");
}
