//! What the guest asks for, and what the VMM is asked to do.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use fuse::{Held, Mapper, Mapping, errno};
use parking_lot::Mutex;
use tracing::{debug, error, warn};

use super::afterlife;
use super::cut::{Blank, files};
use super::host::HostWatch;
use super::spans::{Span, Spans, remains};
use super::{Entered, Footprint, Front, Gate, PAGE, WindowSize};

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
    pub(super) state: Mutex<State>,
    /// Whether any span reaches beyond its file's end: files that grow are of no interest otherwise.
    open_ended: AtomicBool,
    gate: OnceLock<Arc<dyn Gate>>,
    host: OnceLock<Arc<HostWatch>>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) front: Option<Arc<dyn Front>>,
    /// The VMM's process.
    owner: Option<OwnedFd>,
    /// What that has mapped.
    pub(super) footprint: Option<Arc<dyn Footprint>>,
    pub(super) spans: Spans<Source>,
    pub(super) blank: Blank,
    /// Files that VMMs may still have mapped which have hung up.
    pub(super) left_behind: Vec<Vec<FileId>>,
    /// Mapped files that the guest itself has cut: it knows what they have lost.
    pub(super) cut_by_guest: HashSet<FileId>,
}

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) file: Arc<OwnedFd>,
    pub(super) id: FileId,
    /// What goes with it.
    held: Option<Held>,
}

impl Window {
    /// A window that no VMM has as yet.
    ///
    /// # Errors
    /// No descriptor to be had.
    pub fn new(size: WindowSize) -> io::Result<Self> {
        let size = size.get();
        let state = State {
            front: None,
            owner: None,
            footprint: None,
            spans: Spans::default(),
            blank: Blank::new(size)?,
            left_behind: Vec::new(),
            cut_by_guest: HashSet::new(),
        };
        Ok(Self {
            size,
            state: Mutex::new(state),
            open_ended: AtomicBool::new(false),
            gate: OnceLock::new(),
            host: OnceLock::new(),
        })
    }

    /// From now on what the host cuts is heard of. Starts a thread.
    ///
    /// # Errors
    /// No inotify instance and no thread to be had.
    pub fn watch_host(self: &Arc<Self>) -> io::Result<()> {
        // Only the first counts.
        let _ = self.host.set(HostWatch::start(self)?);
        Ok(())
    }

    /// From now on files are mapped in agreement with others who may cut them.
    pub fn agree_with(&self, gate: Arc<dyn Gate>) {
        // Only the first counts.
        let _ = self.gate.set(gate);
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

    /// In which process the window is, as a pidfd, and what that has mapped.
    pub fn owned_by(&self, process: Option<OwnedFd>, footprint: Option<Arc<dyn Footprint>>) {
        let mut state = self.state.lock();
        (state.owner, state.footprint) = (process, footprint);
    }

    /// The VMM has hung up. It may go on using what it has mapped: what goes with that is kept until the VMM's process
    /// has ended, where that cannot be told for as long as the daemon lives.
    pub fn detach(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let (owner, spans) = (state.owner.take(), state.spans.drain());
        state.front = None;
        let files = files(spans.iter().map(|(_, span)| span));
        let held = spans.into_iter().filter_map(|(_, span)| span.source.held);
        let held: Vec<_> = held.collect();
        if !files.is_empty() && !owner.as_ref().is_some_and(afterlife::has_ended) {
            state.left_behind.push(files.clone());
            let window = Arc::clone(self);
            afterlife::keep(owner, move || {
                drop(held);
                window.forget(&files);
            });
        }
        self.settle(&state);
    }

    /// A VMM that had hung up with these files mapped has ended.
    fn forget(&self, files: &[FileId]) {
        let mut state = self.state.lock();
        if let Some(at) = state.left_behind.iter().position(|left| left == files) {
            state.left_behind.swap_remove(at);
        }
        self.settle(&state);
    }

    /// The guest has unmounted, or has been reset: nothing of it stays mapped.
    ///
    /// A VMM takes mappings away when a device is reset, without telling: the first that it does not know is taken as a
    /// sign that it has none.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        let spans = state.spans.drain();
        state.cut_by_guest.clear();
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
        let lacks = |span: &Span<Source>| span.source.id == file && span.lacks(size);
        if self.state.lock().spans.starts(lacks).is_empty() {
            return Ok(());
        }
        let _entered = self.enter(file)?;
        let mut state = self.state.lock();
        let starts = state.spans.starts(lacks);
        let chunks = (self.size / WindowSize::CHUNK) as usize;
        let done = starts.into_iter().try_for_each(|start| state.grow(start, size, chunks));
        self.settle(&state);
        done.inspect_err(|error| {
            error!("a file of {size} bytes has outgrown its mapping ({error}): docs/dax.md");
        })
    }

    /// Waits until nobody cuts the file.
    fn enter(&self, file: FileId) -> io::Result<Option<Entered>> {
        self.gate.get().map(|gate| gate.enter(file)).transpose()
    }

    /// Tells which files are mapped.
    fn announce(&self, state: &State, more: Option<(FileId, BorrowedFd<'_>)>) {
        if let Some(host) = self.host.get() {
            let open = state.spans.iter().map(|span| (span.source.id, span.source.file.as_fd()));
            host.set(open.chain(more));
        }
        let Some(gate) = self.gate.get() else { return };
        let mut all = files(state.spans.iter());
        all.extend(state.left_behind.iter().flatten().copied().chain(more.map(|(id, _)| id)));
        gate.set_mapped(&all);
    }

    pub(super) fn settle(&self, state: &State) {
        self.announce(state, None);
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
        let _entered = self.enter(id)?;
        let mut state = self.state.lock();
        if state.front.is_none() {
            return Err(errno::error(libc::ENODEV));
        }
        self.announce(&state, Some((id, mapping.file)));
        // Before the file's size is looked at. Release: see `follows`.
        self.open_ended.store(true, Ordering::Release);
        let done = state.set_up(range, mapping, id);
        self.settle(&state);
        done
    }

    fn unmap(&self, window_offset: u64, len: u64) -> io::Result<()> {
        let range = self.stretch(window_offset, len)?;
        let mut state = self.state.lock();
        let done = state.make_room(&range, 0).and_then(|()| state.remove(&range));
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
        self.make_room(&range, 1)?;
        let file = rustix::io::fcntl_dupfd_cloexec(mapping.file, 0)?;
        let span = Span {
            len: mapping.len,
            source: Source { file: Arc::new(file), id, held: mapping.held.clone() },
            offset: mapping.file_offset,
            writable: mapping.writable,
            pieces: Vec::new(),
            blank: 0,
        };
        // What cannot be mapped is refused before anything else is taken away for it.
        whole_pages(&span)?;
        self.remove(&range)?;
        self.put(range.start, span)
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
        let kept_free = chunks.saturating_sub(self.spans.len());
        let is_full = self.room() <= kept_free;
        let Some(span) = self.spans.get(start) else { return Ok(()) };
        // It may have been cut since: then whoever is told is told of the past.
        let present = rustix::fs::fstat(&span.source.file)?.st_size.unsigned_abs();
        let (wanted, covered) = (span.wanted(size.min(present)), span.covered());
        let whole = wanted / PAGE * PAGE;
        if whole > covered {
            if is_full {
                return Err(errno::error(errno::EIO));
            }
            self.extend(start, whole)?;
        }
        if wanted > whole.max(covered) { Err(errno::error(errno::EIO)) } else { Ok(()) }
    }

    fn unmap_all(&self, start: u64, span: &Span<Source>) -> io::Result<()> {
        let front = self.front()?;
        // All of them, whatever becomes of each.
        let unmap = |(at, len)| front.unmap(at, len);
        absolute(start, span).map(unmap).fold(Ok(()), io::Result::and)
    }

    pub(super) fn front(&self) -> io::Result<&Arc<dyn Front>> {
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

/// The mappings of the span at `start`: where in the window, how long.
fn absolute(start: u64, span: &Span<Source>) -> impl Iterator<Item = (u64, u64)> + use<> {
    span.places().into_iter().map(move |(at, len)| (start + at, len))
}
