//! How many mappings a VMM bears.

use std::io;
use std::ops::Range;

use fuse::errno;

use super::window::State;

/// Mappings that the VMM may have for one window. QEMU 11.1 aborts at 512 memory regions, of which the guest's memory takes
/// some.
pub(super) const MAX_PIECES: usize = 448;

/// Memory regions that the VMM may have, those of other devices' windows among them. As much is left as a dozen daemons may
/// take at the same time, before they hear of each other's.
pub(super) const MAX_REGIONS: usize = 480;

impl State {
    /// How many more mappings the VMM bears.
    pub(super) fn room(&self) -> usize {
        let own = self.spans.pieces();
        let regions = self.front.as_ref().map_or(0, |front| front.regions()).max(own);
        MAX_PIECES.saturating_sub(own).min(MAX_REGIONS.saturating_sub(regions))
    }

    /// Whether the VMM has room for `new` mappings in the place of what is there, before it is asked for anything.
    pub(super) fn make_room(&self, range: &Range<u64>, new: usize) -> io::Result<()> {
        let starts = self.spans.within(range);
        let goes: usize =
            starts.iter().filter_map(|at| Some(self.spans.get(*at)?.mappings())).sum();
        // The new ones, and each part that remains before or after them.
        let parts = |at: &u64| {
            let end = self.spans.get(*at).map_or(0, |span| at + span.len);
            usize::from(*at < range.start) + usize::from(end > range.end)
        };
        let comes = new + starts.iter().map(parts).sum::<usize>();
        if comes > goes + self.room() { Err(errno::error(errno::ENOSPC)) } else { Ok(()) }
    }
}
