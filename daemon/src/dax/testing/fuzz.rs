//! What the fuzzer runs, and `cargo test` in small: a guest that asks for anything, while its files change size.

use std::fs::File;

use rustix::fs::MemfdFlags;

use super::vmm::{PAGES, Vmm, id, map, unmap, window};
use crate::dax::room::MAX_PIECES;
use crate::dax::{FileId, PAGE, Window};

/// Bytes of a step: what, which file, and three numbers.
const STEP: usize = 2 + 3 * size_of::<u64>();

/// The sizes of the files in pages, at the beginning.
const SIZES: [u64; 3] = [PAGES, 7, 0];

/// The numbers of a step mean bytes as they are; else pages, of places in a window or near it.
const AS_THEY_ARE: u8 = 1 << 7;

/// A guest, its files, and what it may expect to find.
struct Guest {
    window: std::sync::Arc<Window>,
    vmm: std::sync::Arc<Vmm>,
    files: Vec<File>,
    names: [FileId; 3],
    /// Pages of each file.
    sizes: [u64; 3],
    /// For each page of the window what was set up there: a file, and which of its pages.
    expected: Vec<Option<(usize, u64)>>,
}

/// Takes the steps of `input` and checks after each what must hold: the VMM is asked for nothing that QEMU would not bear,
/// the guest finds the pages that it set up and its files have, and no page that a file does not have.
///
/// # Panics
/// Where that is not so.
pub fn run(input: &[u8]) {
    let (window, vmm) = window();
    let files: Vec<_> = SIZES.iter().map(|pages| file(pages * PAGE)).collect();
    let names = std::array::from_fn(|number| id(&files[number]));
    let expected = vec![None; PAGES as usize];
    let mut guest = Guest { window, vmm, files, names, sizes: SIZES, expected };
    for step in input.chunks_exact(STEP).take(64) {
        guest.take(step);
        guest.check();
    }
    guest.window.clear();
    assert_eq!(guest.vmm.len(), 0, "the window is empty");
}

impl Guest {
    fn take(&mut self, step: &[u8]) {
        let (what, file) = (step[0], usize::from(step[1]) % SIZES.len());
        let number = |at: usize| {
            let bytes = step[2 + 8 * at..][..8].try_into().unwrap_or_default();
            let number = u64::from_le_bytes(bytes);
            if what & AS_THEY_ARE != 0 { number } else { number % (PAGES + 2) * PAGE }
        };
        match what % 4 {
            0 => self.map(file, number(0), number(1), number(2)),
            1 => self.unmap(number(0), number(1)),
            2 => self.resize(file, number(0) / PAGE % (PAGES + 2)),
            _ => {
                self.window.clear();
                self.expected.fill(None);
            }
        }
    }

    fn map(&mut self, file: usize, from: u64, to: u64, len: u64) {
        if map(&self.window, &self.files[file], (from, to, len)).is_err() {
            return;
        }
        for page in 0..len / PAGE {
            self.expected[(to / PAGE + page) as usize] = Some((file, from / PAGE + page));
        }
    }

    fn unmap(&mut self, at: u64, len: u64) {
        if unmap(&self.window, at, len).is_ok() {
            self.expected[(at / PAGE) as usize..((at + len) / PAGE) as usize].fill(None);
        }
    }

    /// As another guest does it: whoever has the file mapped is asked before it gets shorter, and told when it is longer.
    fn resize(&mut self, file: usize, pages: u64) {
        let (name, bytes) = (self.names[file], pages * PAGE);
        if pages < self.sizes[file] {
            self.window.fit(name, bytes).expect("the VMM does what it is asked");
        }
        self.files[file].set_len(bytes).expect("a file in memory");
        self.sizes[file] = pages;
        self.window.fit_to_file(name).expect("as above");
        // A guest that was told of many small steps may be refused, and looks no further.
        if self.window.follow(name, bytes).is_err() {
            self.window.clear();
            self.expected.fill(None);
        }
    }

    /// Called after each step, and so without a system call: that is what an execution's time would go into.
    fn check(&self) {
        assert!(self.vmm.len() <= MAX_PIECES, "{} mappings", self.vmm.len());
        for (page, (expected, found)) in self.expected.iter().zip(self.vmm.pages()).enumerate() {
            let shows = found.filter(|(name, _)| self.names.contains(name));
            let wanted = expected.filter(|(file, at)| *at < self.sizes[*file]);
            let wanted = wanted.map(|(file, at)| (self.names[file], at * PAGE));
            assert_eq!(shows, wanted, "page {page}");
        }
    }
}

/// A new file of this size. In memory: one on a disk takes longer to make than all steps together.
fn file(size: u64) -> File {
    let file = rustix::fs::memfd_create("fuzzed", MemfdFlags::CLOEXEC).expect("a descriptor");
    let file = File::from(file);
    file.set_len(size).expect("a file in memory");
    file
}

/// Inputs to begin with: each kind of step, well-formed and as it is not.
pub fn seeds() -> impl Iterator<Item = (String, Vec<u8>)> {
    let step = |what: u8, file: u8, numbers: [u64; 3]| -> Vec<u8> {
        let numbers = numbers.into_iter().flat_map(u64::to_le_bytes);
        [what, file].into_iter().chain(numbers).collect()
    };
    let set_up = step(0, 0, [0, 0, 64]);
    let seeds = [
        ("map", vec![set_up.clone()]),
        ("replace", vec![set_up.clone(), step(0, 1, [0, 16, 8])]),
        ("unmap-part", vec![set_up.clone(), step(1, 0, [8, 4, 0])]),
        ("cut", vec![set_up.clone(), step(2, 0, [3, 0, 0]), step(2, 0, [90, 0, 0])]),
        ("clear", vec![set_up, step(3, 0, [0; 3])]),
        ("overflow", vec![step(AS_THEY_ARE, 0, [u64::MAX - 4095, 4096, u64::MAX - 8191])]),
        ("unaligned", vec![step(AS_THEY_ARE, 0, [1, 4097, 4095])]),
    ];
    seeds.into_iter().map(|(name, steps)| (name.to_owned(), steps.concat()))
}
