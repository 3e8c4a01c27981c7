//! Files that are cut short while the guest has them mapped.
//!
//! A page that its file no longer has ends the VMM that touches it. So it is taken away before, and memory of zeroes takes
//! its place: a guest that still believes in it loads zeroes, and what it stores there is lost, as it would be with the
//! page. The VMM takes mappings away as a whole only: what remains of one is mapped anew.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use fuse::errno;
use rustix::fs::{FallocateFlags, MemfdFlags};
use tracing::warn;

use super::departure::Departure;
use super::spans::Span;
use super::window::{Source, State, Window};
use super::{FileId, Front, PAGE};

/// Memory of zeroes as large as the window. Each place of the window has its own, so that what a guest stores in one is
/// seen in no other.
#[derive(Debug)]
pub(super) struct Blank(OwnedFd);

impl Blank {
    /// # Errors
    /// No descriptor to be had.
    pub(super) fn new(size: u64) -> io::Result<Self> {
        let fd = rustix::fs::memfd_create("dax-blank", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&fd, size)?;
        Ok(Self(fd))
    }

    fn map(&self, front: &dyn Front, at: u64, len: u64) -> io::Result<()> {
        front.map(self.0.as_fd(), at, at, len)
    }

    /// What was stored there is gone. Without room for that it costs memory, and who gets the place next finds it.
    fn wipe(&self, at: u64, len: u64) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let _ = rustix::fs::fallocate(&self.0, flags, at, len);
    }
}

impl Window {
    /// No page stays mapped that a file will not have when it has `size` bytes, and the VMM can touch none any more. True:
    /// other memory is in some page's place. Nobody maps more of the file meanwhile (see [`super::Gate`]).
    ///
    /// # Errors
    /// The VMM does not take them away, or has hung up with the file mapped.
    pub fn fit(&self, file: FileId, size: u64) -> io::Result<bool> {
        let (blanks, departure) = {
            let mut state = self.state.lock();
            if state.left_behind.iter().flatten().any(|left| *left == file) {
                return Err(errno::error(errno::EIO));
            }
            let done = state.fit(file, size);
            self.settle(&state);
            (done, state.departure(file, size))
        };
        // The guest goes on using the window in the meantime.
        let done =
            blanks.and_then(|blanks| departure.map_or(Ok(()), Departure::wait).map(|()| blanks));
        done.inspect_err(|error| warn!("the VMM does not let go of a file that is cut: {error}"))
    }

    /// A file may have been cut already: pages that it has lost are taken away. None is put in place, for it may be about
    /// to be cut once more.
    ///
    /// # Errors
    /// As for [`Self::fit`].
    pub(super) fn shorten_to_file(&self, file: FileId) -> io::Result<()> {
        let mut state = self.state.lock();
        let by_guest = state.cut_by_guest.contains(&file);
        let starts = state.spans.starts(|span| span.source.id == file && !by_guest);
        let shorten = |start| {
            let Some(span) = state.spans.get(start) else { return Ok(()) };
            let size = rustix::fs::fstat(&span.source.file)?.st_size.unsigned_abs();
            let keep = span.wanted(size).next_multiple_of(PAGE);
            if span.covered() > keep { state.shorten(start, keep) } else { Ok(()) }
        };
        let done = starts.into_iter().map(shorten).fold(Ok(()), io::Result::and);
        self.settle(&state);
        done
    }

    /// The guest itself cuts a file. From now on nobody takes pages of it away on the host's word: its kernel uses none that
    /// the file does not have, and to map anew what remains would disturb it.
    pub(super) fn own_cut(&self, file: FileId) {
        let mut state = self.state.lock();
        if !state.spans.starts(|span| span.source.id == file).is_empty() {
            state.cut_by_guest.insert(file);
        }
    }

    /// As [`Self::fit`] for the size that the file has.
    ///
    /// # Errors
    /// As for [`Self::fit`].
    pub fn fit_to_file(&self, file: FileId) -> io::Result<()> {
        let mut state = self.state.lock();
        let open = state.spans.iter().find(|span| span.source.id == file);
        let Some(open) = open.map(|span| Arc::clone(&span.source.file)) else { return Ok(()) };
        let size = rustix::fs::fstat(&*open)?.st_size.unsigned_abs();
        let done = state.fit(file, size);
        self.settle(&state);
        done.map(drop)
    }
}

impl State {
    /// Fits all spans of a file to what it has when it has `size` bytes. True: other memory is in the place of some pages.
    ///
    /// # Errors
    /// The VMM does not take pages away. All the others are.
    pub(super) fn fit(&mut self, file: FileId, size: u64) -> io::Result<bool> {
        let starts = self.spans.starts(|span| span.source.id == file);
        let fit = |start| self.fit_span(start, size);
        starts.into_iter().map(fit).fold(Ok(()), io::Result::and)?;
        Ok(!self.spans.starts(|span| span.source.id == file && span.blank > 0).is_empty())
    }

    /// What is to be waited for when the file has been fitted. None where none of it is mapped.
    fn departure(&self, file: FileId, size: u64) -> Option<Departure> {
        let open = self.spans.iter().find(|span| span.source.id == file)?;
        let (file, footprint) = (Arc::clone(&open.source.file), self.footprint.clone());
        Some(Departure { file, from: size.next_multiple_of(PAGE), footprint })
    }

    fn fit_span(&mut self, start: u64, size: u64) -> io::Result<()> {
        let Some(span) = self.spans.get(start) else { return Ok(()) };
        let keep = span.wanted(size).next_multiple_of(PAGE);
        if span.covered() > keep {
            return self.shorten(start, keep);
        }
        // Nothing is mapped that the file does not have yet.
        let present = rustix::fs::fstat(&span.source.file)?.st_size.unsigned_abs();
        let whole = span.wanted(size.min(present)) / PAGE * PAGE;
        if span.blank > 0 && whole > span.covered() { self.extend(start, whole) } else { Ok(()) }
    }

    /// Keeps the first `keep` bytes of what is mapped.
    fn shorten(&mut self, start: u64, keep: u64) -> io::Result<()> {
        let extent = self.take_blank(start)?;
        let front = Arc::clone(self.front()?);
        let Some(span) = self.spans.get_mut(start) else { return Ok(()) };
        while span.covered() > keep {
            let Some(len) = span.pieces.pop() else { break };
            let at = span.covered();
            front.unmap(start + at, len).inspect_err(|_| span.pieces.push(len))?;
            // A file that is cut already may end inside a page, which cannot be mapped any more.
            let size = rustix::fs::fstat(&span.source.file)?.st_size.unsigned_abs();
            let whole = keep.min(span.wanted(size) / PAGE * PAGE);
            if at < whole {
                front.map(span.source.file.as_fd(), span.offset + at, start + at, whole - at)?;
                span.pieces.push(whole - at);
            }
        }
        self.put_blank(start, extent)
    }

    /// Maps `whole` bytes of what the file has, where fewer are mapped.
    pub(super) fn extend(&mut self, start: u64, whole: u64) -> io::Result<()> {
        let extent = self.take_blank(start)?;
        let front = Arc::clone(self.front()?);
        let Some(span) = self.spans.get_mut(start) else { return Ok(()) };
        let covered = span.covered();
        let (file, from) = (span.source.file.as_fd(), span.offset + covered);
        front.map(file, from, start + covered, whole - covered)?;
        span.pieces.push(whole - covered);
        self.put_blank(start, extent)
    }

    /// Returns how far the span reached with it.
    fn take_blank(&mut self, start: u64) -> io::Result<u64> {
        let front = Arc::clone(self.front()?);
        let Some(span) = self.spans.get_mut(start) else { return Ok(0) };
        let (covered, len) = (span.covered(), span.blank);
        if len > 0 {
            front.unmap(start + covered, len)?;
            span.blank = 0;
            self.blank.wipe(start + covered, len);
        }
        Ok(covered + len)
    }

    fn put_blank(&mut self, start: u64, extent: u64) -> io::Result<()> {
        let has_room = self.room() > 0;
        let front = Arc::clone(self.front()?);
        let Some(span) = self.spans.get_mut(start) else { return Ok(()) };
        let covered = span.covered();
        // Without room there is nothing: loads find zeroes there, too.
        if extent > covered && has_room {
            self.blank.map(&*front, start + covered, extent - covered)?;
            span.blank = extent - covered;
        }
        Ok(())
    }
}

/// Files that are mapped, each once.
pub(super) fn files<'a>(spans: impl Iterator<Item = &'a Span<Source>>) -> Vec<FileId> {
    let mut files: Vec<_> = spans.map(|span| span.source.id).collect();
    files.sort_unstable_by_key(|file| (file.device, file.inode));
    files.dedup();
    files
}
