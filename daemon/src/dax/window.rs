//! What the guest asks for, and what the VMM is asked to do.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fuse::{Held, Mapper, Mapping, errno};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use tracing::{debug, error, warn};

use super::spans::{Span, Spans, remains};
use super::{Front, PAGE, WindowSize};

/// Mappings that the VMM may have. QEMU 11.1 aborts at 512 memory regions, of which the guest's memory takes some.
pub(super) const MAX_PIECES: usize = 448;

/// What the host knows a file by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}

/// The DAX window of one device: the bookkeeping of what the VMM has mapped.
///
/// A span is mapped when it is set up, as far as its file has whole pages, and further when the guest is about to learn
/// that the file has grown ([`Self::follow`]). Nothing is ever taken away to be replaced: in the meantime a guest would
/// load zeroes, and what it stores would be lost.
#[derive(Debug)]
pub struct Window {
    size: u64,
    state: Mutex<State>,
    /// Whether any span reaches beyond its file's end: files that grow are of no interest otherwise.
    open_ended: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    front: Option<Arc<dyn Front>>,
    /// The VMM's process.
    owner: Option<OwnedFd>,
    spans: Spans<Source>,
}

#[derive(Clone, Debug)]
struct Source {
    file: Arc<OwnedFd>,
    id: FileId,
    /// What goes with it.
    held: Option<Held>,
}

impl Window {
    /// A window that no VMM has as yet.
    #[must_use]
    pub fn new(size: WindowSize) -> Self {
        Self { size: size.get(), state: Mutex::default(), open_ended: AtomicBool::new(false) }
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// A VMM holds the window from now on. What another one had is gone.
    pub fn attach(&self, front: Arc<dyn Front>) {
        let mut state = self.state.lock();
        state.front = Some(front);
        state.spans = Spans::default();
        self.settle(&state);
    }

    /// In which process the window is, as a pidfd.
    pub fn owned_by(&self, process: Option<OwnedFd>) {
        self.state.lock().owner = process;
    }

    /// The VMM has hung up. It may go on using what it has mapped: what goes with that is kept until the VMM's process
    /// has ended, where that cannot be told for as long as the daemon lives.
    pub fn detach(&self) {
        let mut state = self.state.lock();
        let State { owner, mut spans, .. } = std::mem::take(&mut *state);
        self.settle(&state);
        drop(state);
        let held = spans.drain().into_iter().filter_map(|(_, span)| span.source.held);
        let held: Vec<_> = held.collect();
        if !held.is_empty() {
            keep(held, owner);
        }
    }

    /// The guest has unmounted, or has been reset: nothing of it stays mapped.
    ///
    /// A VMM takes mappings away when a device is reset, without telling: the first that it does not know is taken as a
    /// sign that it has none.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        let spans = state.spans.drain();
        self.settle(&state);
        if let Some(front) = &state.front {
            let mut places = spans.iter().flat_map(|(start, span)| absolute(*start, span));
            if let Some((at, len)) = places.find(|(at, len)| front.unmap(*at, *len).is_err()) {
                debug!(
                    "the DAX window has been emptied: nothing to unmap at {at:#x} ({len} bytes)"
                );
            }
        }
    }

    /// Whether the growth of files must be told ([`Self::follow`]).
    #[must_use]
    pub fn follows(&self) -> bool {
        // Acquire: pairs with the release in `map`. A span that is set up while its file grows either finds the new size
        // or is found here.
        self.open_ended.load(Ordering::Acquire)
    }

    /// The guest is about to learn that a file has `size` bytes. What it has set up of them is mapped.
    ///
    /// # Errors
    /// `EIO` where that cannot be: the file ends inside a page, or it has grown in too many small steps. The guest must
    /// not be told then: it would touch what is not there.
    pub fn follow(&self, file: FileId, size: u64) -> io::Result<()> {
        if !self.follows() {
            return Ok(());
        }
        let mut state = self.state.lock();
        let lacks = |span: &Span<Source>| span.source.id == file && span.lacks(size);
        let starts = state.spans.starts(lacks);
        let chunks = (self.size / WindowSize::CHUNK) as usize;
        let done = starts.into_iter().try_for_each(|start| state.grow(start, size, chunks));
        self.settle(&state);
        done.inspect_err(|error| {
            error!("a file of {size} bytes has outgrown its mapping ({error}): docs/dax.md");
        })
    }

    fn settle(&self, state: &State) {
        // Release: as in `map`.
        self.open_ended.store(state.spans.are_open_ended(), Ordering::Release);
    }

    /// The stretch of the window, if it is one.
    fn stretch(&self, offset: u64, len: u64) -> io::Result<Range<u64>> {
        let end = offset.checked_add(len).filter(|end| *end <= self.size && len > 0);
        let end = end.filter(|end| end.is_multiple_of(PAGE) && offset.is_multiple_of(PAGE));
        end.map(|end| offset..end).ok_or_else(|| errno::error(errno::EINVAL))
    }
}

impl Mapper for Window {
    fn map(&self, mapping: &Mapping<'_>) -> io::Result<()> {
        let range = self.stretch(mapping.window_offset, mapping.len)?;
        let end = mapping.file_offset.checked_add(mapping.len);
        if !mapping.file_offset.is_multiple_of(PAGE) || end.is_none_or(|end| end > i64::MAX as u64)
        {
            return Err(errno::error(errno::EINVAL));
        }
        let stat = rustix::fs::fstat(mapping.file)?;
        let id = FileId { device: stat.st_dev, inode: stat.st_ino };
        let mut state = self.state.lock();
        if state.front.is_none() {
            return Err(errno::error(libc::ENODEV));
        }
        // Before the file's size is looked at. Release: see `follows`.
        self.open_ended.store(true, Ordering::Release);
        let done = state.set_up(range, mapping, id);
        self.settle(&state);
        done
    }

    fn unmap(&self, window_offset: u64, len: u64) -> io::Result<()> {
        let range = self.stretch(window_offset, len)?;
        let mut state = self.state.lock();
        let done = state.remove(&range);
        self.settle(&state);
        done
    }
}

impl State {
    fn set_up(&mut self, range: Range<u64>, mapping: &Mapping<'_>, id: FileId) -> io::Result<()> {
        // Linux sets a stretch up again when it begins to store into it. The VMM has mapped it for that already; to map
        // it anew would take it away from under other threads of the guest for a moment.
        if let Some((start, span)) = self.spans.around(&range)
            && span.source.id == id
            && span.offset + (range.start - start) == mapping.file_offset
        {
            span.writable |= mapping.writable;
            // One is enough for all that stores; the guest may set the same up again and again.
            span.source.held = span.source.held.take().or_else(|| mapping.held.clone());
            return Ok(());
        }
        self.make_room(&range)?;
        let file = rustix::io::fcntl_dupfd_cloexec(mapping.file, 0)?;
        let span = Span {
            len: mapping.len,
            source: Source { file: Arc::new(file), id, held: mapping.held.clone() },
            offset: mapping.file_offset,
            writable: mapping.writable,
            pieces: Vec::new(),
        };
        // What cannot be mapped is refused before anything else is taken away for it.
        whole_pages(&span)?;
        self.remove(&range)?;
        self.put(range.start, span)
    }

    /// Whether the VMM has room for what a request may need, before it is asked for anything.
    fn make_room(&self, range: &Range<u64>) -> io::Result<()> {
        let starts = self.spans.within(range);
        let goes: usize =
            starts.iter().filter_map(|at| Some(self.spans.get(*at)?.pieces.len())).sum();
        // The new one, and each part that remains before or after it.
        let parts = |at: &u64| {
            let end = self.spans.get(*at).map_or(0, |span| at + span.len);
            usize::from(*at < range.start) + usize::from(end > range.end)
        };
        let comes = 1 + starts.iter().map(parts).sum::<usize>();
        if self.spans.pieces() - goes + comes > MAX_PIECES {
            return Err(errno::error(errno::ENOSPC));
        }
        Ok(())
    }

    /// Empties a stretch. What reaches over its ends is mapped anew without it.
    fn remove(&mut self, range: &Range<u64>) -> io::Result<()> {
        for start in self.spans.within(range) {
            let Some(span) = self.spans.remove(start) else { continue };
            self.unmap_all(start, &span)?;
            for (start, rest) in remains(start, &span, range) {
                self.put(start, rest)?;
            }
        }
        Ok(())
    }

    /// Maps a span as far as its file has it, and enters it.
    fn put(&mut self, start: u64, mut span: Span<Source>) -> io::Result<()> {
        let len = whole_pages(&span)?;
        if len > 0 {
            self.front()?.map(span.source.file.as_fd(), span.offset, start, len)?;
            span.pieces.push(len);
        }
        self.spans.insert(start, span);
        Ok(())
    }

    /// Maps what a file of `size` bytes has of a span and the VMM has not. `chunks`: how many spans Linux may set up; room
    /// for those that are still to come is left.
    fn grow(&mut self, start: u64, size: u64, chunks: usize) -> io::Result<()> {
        let front = Arc::clone(self.front()?);
        let kept_free = chunks.saturating_sub(self.spans.len());
        let is_full = self.spans.pieces() + kept_free >= MAX_PIECES;
        let Some(span) = self.spans.get_mut(start) else { return Ok(()) };
        let (wanted, covered) = (span.wanted(size), span.covered());
        let whole = wanted / PAGE * PAGE;
        if whole > covered {
            if is_full {
                return Err(errno::error(errno::EIO));
            }
            let (file, from) = (span.source.file.as_fd(), span.offset + covered);
            front.map(file, from, start + covered, whole - covered)?;
            span.pieces.push(whole - covered);
        }
        if wanted > span.covered() { Err(errno::error(errno::EIO)) } else { Ok(()) }
    }

    fn unmap_all(&self, start: u64, span: &Span<Source>) -> io::Result<()> {
        let front = self.front()?;
        // All of them, whatever becomes of each.
        let unmap = |(at, len)| front.unmap(at, len);
        absolute(start, span).map(unmap).fold(Ok(()), io::Result::and)
    }

    fn front(&self) -> io::Result<&Arc<dyn Front>> {
        self.front.as_ref().ok_or_else(|| errno::error(libc::ENODEV))
    }
}

/// How many bytes of a span can be mapped at present.
///
/// # Errors
/// `EIO` where the file ends inside a page. There is no way to map that page, and a guest that takes it for mapped would
/// read something else.
fn whole_pages(span: &Span<Source>) -> io::Result<u64> {
    let size = u64::try_from(rustix::fs::fstat(&span.source.file)?.st_size).unwrap_or(0);
    let wanted = span.wanted(size);
    if wanted.is_multiple_of(PAGE) {
        return Ok(wanted);
    }
    warn!("a file of {size} bytes cannot be mapped: its last page is not whole (docs/dax.md)");
    Err(errno::error(errno::EIO))
}

/// Keeps something until a process has ended.
fn keep(held: Vec<Held>, owner: Option<OwnedFd>) {
    let Some(owner) = owner else { return std::mem::forget(held) };
    let held = Arc::new(held);
    let waits = Arc::clone(&held);
    let wait = move || {
        let mut fds = [PollFd::new(&owner, PollFlags::IN)];
        let ended = rustix::io::retry_on_intr(|| poll(&mut fds, None));
        if ended.is_err() {
            std::mem::forget(waits);
        }
    };
    if thread::Builder::new().name("afterlife".to_owned()).spawn(wait).is_err() {
        std::mem::forget(held);
    }
}

/// The mappings of the span at `start`: where in the window, how long.
fn absolute(start: u64, span: &Span<Source>) -> impl Iterator<Item = (u64, u64)> + use<> {
    span.places().into_iter().map(move |(at, len)| (start + at, len))
}
