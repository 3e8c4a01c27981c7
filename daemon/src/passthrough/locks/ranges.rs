//! Which bytes of a file one owner has locked: a copy of what the host's kernel knows, to see who waits for whom.

use fuse::filesystem::{LockKind, RecordLock};

/// A stretch, its last byte included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) write: bool,
}

impl Range {
    fn overlaps(&self, lock: &RecordLock) -> bool {
        self.start <= lock.end && lock.start <= self.end
    }
}

/// Disjoint stretches in order; neighbours of the same kind are one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Range> {
        self.0.iter()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What another owner's `lock` would meet.
    pub(super) fn conflict(&self, lock: &RecordLock) -> Option<&Range> {
        let wants_write = lock.kind == LockKind::Write;
        self.0.iter().find(|range| range.overlaps(lock) && (range.write || wants_write))
    }

    /// The owner locks or unlocks: the new stretch takes the place of what was there.
    pub(super) fn set(&mut self, lock: &RecordLock) {
        let (first, mut pieces, last) = self.cut(lock);
        if lock.kind != LockKind::Unlock {
            let write = lock.kind == LockKind::Write;
            pieces.insert(
                pieces.partition_point(|piece| piece.start < lock.start),
                Range { start: lock.start, end: lock.end, write },
            );
        }
        self.0.splice(first..last, merged(pieces));
    }

    /// The stretches that `lock` touches or meets, as positions from `first` to before `last`, and what of them is left
    /// outside of it.
    fn cut(&self, lock: &RecordLock) -> (usize, Vec<Range>, usize) {
        // Neighbours count, so that they can be joined. No end is beyond `i64::MAX`: nothing overflows.
        let first = self.0.partition_point(|range| range.end + 1 < lock.start);
        let last = self.0.partition_point(|range| range.start <= lock.end + 1);
        let mut pieces = Vec::new();
        for range in &self.0[first..last.max(first)] {
            if range.start < lock.start {
                pieces.push(Range { end: range.end.min(lock.start - 1), ..*range });
            }
            if range.end > lock.end {
                pieces.push(Range { start: range.start.max(lock.end + 1), ..*range });
            }
        }
        (first, pieces, last.max(first))
    }
}

fn merged(pieces: Vec<Range>) -> Vec<Range> {
    let mut out: Vec<Range> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match out.last_mut() {
            Some(before) if before.write == piece.write && before.end + 1 == piece.start => {
                before.end = piece.end;
            }
            _ => out.push(piece),
        }
    }
    out
}
