//! A table as a guest sees it.

use std::path::Path;

use shm_layout::word::Ordering::Acquire;
use shm_layout::{FIRST_SLOT, Header, SlotWord, Snapshot};

use super::{TableError, file};
use crate::region::Region;

/// A table, mapped for reading: what a guest has. For guest-side programs, tools and tests.
#[derive(Debug)]
pub struct View {
    header: Header,
    region: Region,
}

impl View {
    /// Opens the table at `path`. It may be another user's.
    ///
    /// # Errors
    /// As for a daemon, but that owner and mode do not matter.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let (file, header) = file::open_for_reading(path)?;
        let region = Region::map_read_only(&file, header.table_bytes())
            .map_err(|source| TableError::Map { path: path.to_owned(), source })?;
        Ok(Self { header, region })
    }

    /// What the table says about itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether a copy that came with `snapshot` is current: the guest's check. False for a slot number that is no
    /// slot's, for a word that vouches for nothing, and once pages of the table are gone.
    #[inline]
    #[must_use]
    pub fn is_current(&self, snapshot: Snapshot) -> bool {
        if snapshot.slot < FIRST_SLOT || !SlotWord(snapshot.word).vouches() {
            return false;
        }
        // Acquire: what is read after the check is read later than the word.
        let word = self.region.words().get(snapshot.slot as usize).map(|w| w.load(Acquire));
        word == Some(snapshot.word)
    }
}
