//! Where everything stands in the host-only file, as word numbers.

use shm_layout::WORD_LEN;

use crate::cuts::{SET_WORDS, STRIPE_WORDS};
use crate::limits::{
    CUT_STRIPES, MAX_CHANGE_SLOTS, MAX_DAEMONS, MAX_HOLDS, MAX_LEAKS, MAX_LINGERING, MAX_WAITS,
    MAX_WORKERS, NAME_STRIPES,
};
use crate::waits::NOTE_WORDS;

/// Words of a page; the parts begin at page boundaries.
const PAGE: usize = 512;

/// Words of a cache line: what different workers write never shares one.
pub(crate) const LINE: usize = 8;

/// Fields of the first page.
pub(crate) mod field {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const VERSION: usize = 1;
    pub(crate) const ID: usize = 2;
    pub(crate) const KEY: usize = 4;
    /// Incarnations given out.
    pub(crate) const INCARNATIONS: usize = 8;
    /// Leaks that the list has no room for.
    pub(crate) const LEAK_OVERFLOW: usize = 9;
    /// Not 0: a guest has had other memory in place of pages that a file lost.
    pub(crate) const BLANKS: usize = 10;
    /// One past the last field.
    pub(crate) const END: usize = 11;
}

/// Leaked slots.
pub(crate) const LEAKS: usize = PAGE;

/// Who is in which row: an incarnation each, all together, so that looking for daemons touches no row.
pub(crate) const DIRECTORY: usize = LEAKS + MAX_LEAKS;

/// Name locks, a cache line each.
pub(super) const NAMES: usize = DIRECTORY + MAX_DAEMONS.next_multiple_of(PAGE);
pub(super) const NAME_STEP: usize = LINE;

/// Where daemons ask each other to let go of files, a cache line for each stripe.
pub(super) const CUTS: usize = NAMES + NAME_STRIPES * NAME_STEP;

/// The rows.
pub(crate) const ROWS: usize = CUTS + CUT_STRIPES * STRIPE_WORDS;

/// Words of a worker's part of a row: a cache line of ledger entries, then its pass record and counters.
pub(crate) const WORKER_WORDS: usize = 2 * LINE;

/// Within a worker's part.
pub(crate) const WORKER_ENTRIES: usize = LINE;
pub(crate) const WORKER_PASS: usize = LINE;
pub(crate) const WORKER_CHANGES: usize = LINE + 1;

/// Within a row: what the daemon is, its workers, its holds, which files it maps, who of its guest waits for locks.
pub(crate) const ROW_WORKERS: usize = PAGE;
pub(crate) const ROW_HOLDS: usize = ROW_WORKERS + MAX_WORKERS * WORKER_WORDS;
pub(super) const ROW_CUTS: usize = ROW_HOLDS + MAX_HOLDS + MAX_LINGERING;
pub(super) const ROW_WAITS: usize = ROW_ANSWERS + CUT_STRIPES;
pub(crate) const ROW_WORDS: usize = ROW_WAITS + PAGE;

/// Within the part for mapped files: a bell, the stripes of mapped files, and an answer for each stripe.
pub(super) const ROW_MAPS: usize = ROW_CUTS + LINE;
pub(super) const ROW_ANSWERS: usize = ROW_CUTS + PAGE;

/// Words of the file.
pub(crate) const WORDS: usize = ROWS + MAX_DAEMONS * ROW_WORDS;

const _: () = {
    assert!(MAX_CHANGE_SLOTS == LINE, "a change's entries are one cache line");
    assert!(LINE + SET_WORDS <= PAGE);
    assert!(MAX_WAITS * NOTE_WORDS <= PAGE);
    let parts = [LEAKS, DIRECTORY, NAMES, CUTS, ROWS, ROW_CUTS, ROW_WAITS, ROW_WORDS];
    let mut i = 0;
    while i < parts.len() {
        assert!(parts[i].is_multiple_of(PAGE));
        i += 1;
    }
};

/// The first word of row `index`.
pub(crate) const fn row_base(index: usize) -> usize {
    ROWS + index * ROW_WORDS
}

/// A row's words: what the daemon is, its workers, its holds.
pub(crate) fn row_parts(row: &[u64]) -> (&[u64], &[u64], &[u64]) {
    let (fields, rest) = row.split_at(ROW_WORKERS);
    let (workers, rest) = rest.split_at(ROW_HOLDS - ROW_WORKERS);
    let (holds, _) = rest.split_at(ROW_CUTS - ROW_HOLDS);
    (fields, workers, holds)
}

/// What a worker's words say.
pub(crate) struct WorkerWords<'a> {
    pub(crate) entries: &'a [u64],
    pub(crate) pass: u64,
    pub(crate) changes: u64,
}

/// The workers of a row, out of the words that they have together.
pub(crate) fn worker_parts(workers: &[u64]) -> impl Iterator<Item = WorkerWords<'_>> {
    workers.chunks_exact(WORKER_WORDS).map(|words| WorkerWords {
        entries: &words[..WORKER_ENTRIES],
        pass: words[WORKER_PASS],
        changes: words[WORKER_CHANGES],
    })
}

/// The byte whose lock keeps row `index` alive.
pub(crate) const fn row_byte(index: usize) -> u64 {
    (row_base(index) * WORD_LEN) as u64
}
