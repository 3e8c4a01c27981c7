//! The engine's operations one by one, with criterion: `cargo bench -p coherence --bench engine`.
//! `--bench ratios` compares them with the floor of the machine.

use std::hint::black_box;

use coherence::{Engine, Identity, InodeKey, InodeSlots, Options, SlotSet, View};
use criterion::{Criterion, criterion_group, criterion_main};

fn changes(c: &mut Criterion) {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let engine = Engine::attach(Options::new(directory.path().join("table"))).unwrap();
    let mut worker = engine.worker().unwrap();
    let of = |ino| engine.inode_slots(engine.inode(&Identity::Inode { dev: 1, ino })).unwrap();
    let [InodeSlots { perm, attr, data }, parent, other] = [1, 2, 3].map(of);
    let names = ["a", "b"].map(|n| engine.entry_slot(InodeKey(7), n.as_bytes()).unwrap());
    let sets = [
        ("1 slot", SlotSet::from([attr])),
        ("3 slots (WRITE)", SlotSet::from([attr, data, perm])),
        ("6 slots (RENAME)", [names[0], names[1], parent.attr, other.attr, attr, perm].into()),
    ];
    let mut group = c.benchmark_group("announce and publish");
    for (what, set) in sets {
        group.bench_function(what, |b| b.iter(|| drop(worker.announce(black_box(set)).unwrap())));
    }
    group.bench_function("RENAME with its name locks", |b| {
        b.iter(|| {
            let mut guard = worker.lock_names(black_box(names));
            drop(guard.announce(sets[2].1).unwrap());
        });
    });
    group.finish();
}

fn looks(c: &mut Criterion) {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().join("table");
    let engine = Engine::attach(Options::new(&path)).unwrap();
    let view = View::open(&path).unwrap();
    let inode = engine.inode(&Identity::Inode { dev: 1, ino: 1 });
    let InodeSlots { perm, attr, data } = engine.inode_slots(inode).unwrap();
    let ((), [snapshot, _, _]) = engine.observe([attr, perm, data]).then(|| ());
    let mut group = c.benchmark_group("looks");
    group.bench_function("a guest's check", |b| b.iter(|| view.is_current(black_box(snapshot))));
    group.bench_function("observe an inode", |b| {
        b.iter(|| engine.observe(black_box([perm, attr, data])).then(|| ()));
    });
    let handle = [7; 12];
    group.bench_function("slots of an inode, from its handle", |b| {
        b.iter(|| {
            let identity = Identity::Handle { fsid: [1, 2], kind: 1, handle: black_box(&handle) };
            engine.inode_slots(engine.inode(&identity)).unwrap()
        });
    });
    group.bench_function("slot of a name", |b| {
        b.iter(|| engine.entry_slot(black_box(inode), black_box(b"some-file-name.txt")).unwrap());
    });
    group.finish();
}

fn sweeps(c: &mut Criterion) {
    let slots: Vec<_> = (0..coherence::DEFAULT_WORDS).map(shm_layout::SharedU64::new).collect();
    let words = coherence::Words::new(&slots);
    c.bench_function("sweep of the default table", |b| {
        b.iter(|| words.advance_range(shm_layout::FIRST_SLOT, words.end()));
    });
}

criterion_group!(benches, changes, looks, sweeps);
criterion_main!(benches);
