//! Which pages of the guest's memory the daemon has written to, for a VMM that copies them while the guest runs
//! (vhost-user, `VHOST_F_LOG_ALL`).
//!
//! Each region of guest memory has a [`PageLog`], which is off until the front end gives a bitmap (`SET_LOG_BASE`). Marks
//! are made under the lock of the ring that the write is for, after the write and before the guest can see that it is
//! there. So who has taken all rings' locks once after a log went on knows that nothing was written, and will not be,
//! without a mark: whoever had not seen the log has finished before.
//!
//! The slices of guest memory that the rest of the transport writes to know nothing of it: while no VMM migrates, a
//! request costs one load more for each place it is answered in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use tracing::error;
use vhost_user_backend::bitmap::{AtomicBitmapMmap, BitmapReplace, MemRegionBitmap, MmapLogReg};
use vm_memory::bitmap::{Bitmap, WithBitmapSlice};
use vm_memory::mmap::NewBitmap;
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion, GuestRegionMmap};

use super::memory::Memory;
use crate::vanishing::Guard;

/// What a bit stands for (`VHOST_LOG_PAGE`).
const PAGE: usize = 0x1000;

/// One region's log. Clones are the same log.
#[derive(Clone, Debug, Default)]
pub(super) struct PageLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Whether there is a bitmap: no lock is taken where there is none.
    on: AtomicBool,
    bitmap: RwLock<Option<RegionBitmap>>,
}

impl PageLog {
    /// Whether marks are wanted. All of the guest's memory is logged, or none.
    pub(super) fn is_on(&self) -> bool {
        // Relaxed: the rings' locks order it (see the module).
        self.0.on.load(Ordering::Relaxed)
    }

    fn source(&self) -> Option<Arc<MmapLogReg>> {
        self.0.bitmap.read().as_ref().map(|bitmap| Arc::clone(&bitmap.bytes))
    }

    fn turn_off(&self) {
        // Relaxed: who marks a page once more than is needed harms nobody.
        self.0.on.store(false, Ordering::Relaxed);
        *self.0.bitmap.write() = None;
    }
}

impl Bitmap for PageLog {
    /// The caller holds the lock of the ring that the write is for.
    fn mark_dirty(&self, offset: usize, len: usize) {
        if self.is_on()
            && let Some(bitmap) = &*self.0.bitmap.read()
        {
            bitmap.mark(offset, len);
        }
    }

    fn dirty_at(&self, offset: usize) -> bool {
        self.0.bitmap.read().as_ref().is_some_and(|bitmap| bitmap.is_marked(offset))
    }

    fn slice_at(&self, _offset: usize) {}
}

/// Slices are written to outside rings' locks, where a mark would be worth nothing.
impl WithBitmapSlice<'_> for PageLog {
    type S = ();
}

impl NewBitmap for PageLog {
    fn with_len(_len: usize) -> Self {
        Self::default()
    }
}

impl BitmapReplace for PageLog {
    type InnerBitmap = RegionBitmap;

    fn replace(&self, bitmap: RegionBitmap) {
        *self.0.bitmap.write() = Some(bitmap);
        // Relaxed: the rings' locks order it (see the module).
        self.0.on.store(true, Ordering::Relaxed);
    }
}

/// The part of the front end's bitmap that is about one region.
#[derive(Debug)]
pub(super) struct RegionBitmap {
    first: usize,
    pages: usize,
    /// The front end may cut the file that the bitmap lies in. Before `bytes`: it goes first.
    _guard: Guard,
    bytes: Arc<MmapLogReg>,
}

impl MemRegionBitmap for RegionBitmap {
    fn new<R: GuestMemoryRegion>(region: &R, bytes: Arc<MmapLogReg>) -> io::Result<Self> {
        // For its check alone: the bitmap reaches to the region's end.
        AtomicBitmapMmap::new(region, Arc::clone(&bytes))?;
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
        let start = usize::try_from(region.start_addr().raw_value()).map_err(invalid)?;
        let len = usize::try_from(region.len()).map_err(invalid)?;
        let (first, last) = (start / PAGE, (start + len - 1) / PAGE);
        let place = |page: usize| &raw const bytes[page / 8] as usize;
        let (from, to) = (place(first) & !(PAGE - 1), (place(last) | (PAGE - 1)) + 1);
        Ok(Self { first, pages: last - first + 1, _guard: Guard::new(from, to - from)?, bytes })
    }
}

impl RegionBitmap {
    fn mark(&self, offset: usize, len: usize) {
        let Some(last) = len.checked_sub(1).map(|more| offset.saturating_add(more)) else { return };
        for page in offset / PAGE..=(last / PAGE).min(self.pages - 1) {
            let page = self.first + page;
            // Release: who takes the mark away sees what was written to the page.
            self.bytes[page / 8].fetch_or(1 << (page % 8), Ordering::Release);
        }
    }

    fn is_marked(&self, offset: usize) -> bool {
        let page = self.first + (offset / PAGE).min(self.pages - 1);
        self.bytes[page / 8].load(Ordering::Acquire) & (1 << (page % 8)) != 0
    }
}

/// The logs of the guest's present memory.
#[derive(Debug, Default)]
pub(super) struct Logging(Mutex<Vec<PageLog>>);

impl Logging {
    /// The guest's memory has changed. A front end that has given a bitmap gives it no second time for regions that come
    /// later: they take it over, and all of their pages are marked, for something may have been written to them already.
    /// `pass_rings` takes all rings' locks once.
    pub(super) fn follow(&self, memory: &Memory, pass_rings: impl FnOnce()) {
        let mut logs = self.0.lock();
        let bitmap = logs.iter().find_map(PageLog::source);
        *logs = memory.iter().map(log_of).cloned().collect();
        let Some(bitmap) = bitmap else { return };
        for region in memory.iter().filter(|region| log_of(region).source().is_none()) {
            match RegionBitmap::new(region, Arc::clone(&bitmap)) {
                Ok(bitmap) => log_of(region).replace(bitmap),
                Err(error) => error!(
                    "the VMM's log of written pages does not reach as far as its memory: {error}"
                ),
            }
        }
        pass_rings();
        memory.iter().for_each(|region| log_of(region).mark_dirty(0, region.len() as usize));
    }

    /// The front end needs no marks any more.
    pub(super) fn end(&self) {
        self.0.lock().iter().for_each(PageLog::turn_off);
    }
}

/// A region's log.
pub(super) fn log_of(region: &GuestRegionMmap<PageLog>) -> &PageLog {
    let mapping: &vm_memory::MmapRegion<PageLog> = region;
    mapping.bitmap()
}
