//! What is where in the window.

use std::collections::BTreeMap;
use std::ops::Range;

/// A stretch of the window that the guest has set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span<S> {
    /// Bytes that the guest asked for.
    pub(super) len: u64,
    /// The file.
    pub(super) source: S,
    /// Where in the file it begins.
    pub(super) offset: u64,
    /// Whether the guest said that it stores into it.
    pub(super) writable: bool,
    /// Lengths of the mappings that the VMM has for it, one after the other from the beginning.
    pub(super) pieces: Vec<u64>,
    /// Bytes of other memory that follow them, where the file had pages before it was cut.
    pub(super) blank: u64,
}

impl<S> Span<S> {
    /// Bytes of the file that are mapped.
    pub(super) fn covered(&self) -> u64 {
        self.pieces.iter().sum()
    }

    /// How much of it a file of `size` bytes has.
    pub(super) fn wanted(&self, size: u64) -> u64 {
        size.saturating_sub(self.offset).min(self.len)
    }

    /// Whether a file of `size` bytes has more of it than is mapped.
    pub(super) fn lacks(&self, size: u64) -> bool {
        self.covered() < self.wanted(size)
    }

    /// How many mappings the VMM has for it.
    pub(super) fn mappings(&self) -> usize {
        self.pieces.len() + usize::from(self.blank > 0)
    }

    /// Its mappings' places, counted from its own beginning.
    pub(super) fn places(&self) -> Vec<(u64, u64)> {
        let place = |at: &mut u64, len: &u64| {
            let start = *at;
            *at += len;
            Some((start, *len))
        };
        let blank = Some(&self.blank).filter(|len| **len > 0);
        self.pieces.iter().chain(blank).scan(0, place).collect()
    }
}

/// All spans, by where they begin. No two overlap.
#[derive(Debug)]
pub(super) struct Spans<S>(BTreeMap<u64, Span<S>>);

impl<S> Default for Spans<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: Clone> Spans<S> {
    /// Mappings that the VMM has.
    pub(super) fn pieces(&self) -> usize {
        self.0.values().map(Span::mappings).sum()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether any has more to be mapped, should its file grow.
    pub(super) fn are_open_ended(&self) -> bool {
        self.0.values().any(|span| span.covered() < span.len)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Span<S>> {
        self.0.values()
    }

    /// Where the spans begin that `wanted` accepts.
    pub(super) fn starts(&self, wanted: impl Fn(&Span<S>) -> bool) -> Vec<u64> {
        let found = self.0.iter().filter(|(_, span)| wanted(span));
        found.map(|(&start, _)| start).collect()
    }

    pub(super) fn get_mut(&mut self, start: u64) -> Option<&mut Span<S>> {
        self.0.get_mut(&start)
    }

    pub(super) fn get(&self, start: u64) -> Option<&Span<S>> {
        self.0.get(&start)
    }

    /// The span that has all of `range`, and where it begins.
    pub(super) fn around(&mut self, range: &Range<u64>) -> Option<(u64, &mut Span<S>)> {
        let (&start, span) = self.0.range_mut(..=range.start).next_back()?;
        (range.end - start <= span.len).then_some((start, span))
    }

    /// Where the spans begin that have a part of `range`.
    pub(super) fn within(&self, range: &Range<u64>) -> Vec<u64> {
        let before = self.0.range(..range.end).rev();
        let reaches = |(start, span): &(&u64, &Span<S>)| **start + span.len > range.start;
        before.take_while(reaches).map(|(&start, _)| start).collect()
    }

    /// Puts a span where nothing is.
    pub(super) fn insert(&mut self, start: u64, span: Span<S>) {
        self.0.insert(start, span);
    }

    pub(super) fn remove(&mut self, start: u64) -> Option<Span<S>> {
        self.0.remove(&start)
    }

    /// Takes all of them.
    pub(super) fn drain(&mut self) -> Vec<(u64, Span<S>)> {
        std::mem::take(&mut self.0).into_iter().collect()
    }
}

/// What remains of a span of `len` bytes at `start` without `range`, with nothing mapped as yet.
pub(super) fn remains<S: Clone>(
    start: u64,
    span: &Span<S>,
    range: &Range<u64>,
) -> Vec<(u64, Span<S>)> {
    let end = start + span.len;
    let parts = [start..range.start.min(end), range.end.max(start)..end];
    let part = |part: Range<u64>| {
        let offset = span.offset + (part.start - start);
        let len = part.end - part.start;
        (part.start, Span { len, offset, pieces: Vec::new(), blank: 0, ..span.clone() })
    };
    parts.into_iter().filter(|part| part.start < part.end).map(part).collect()
}
