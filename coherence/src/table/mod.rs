//! The table as a file: made, opened, checked.

mod backing;
mod error;
mod file;
mod place;
mod seal;
mod view;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use shm_layout::word::Ordering::{Relaxed, Release};
use shm_layout::{FIRST_SLOT, Header, SlotWord, TableId};

use self::backing::Backing;
pub(crate) use self::backing::extents;
pub use self::error::{FileError, TableError};
pub(crate) use self::file::{
    NewFile, open_checked, open_for_reading, open_to_read, place_new, word_at,
};
pub(crate) use self::place::check_place;
pub use self::place::may_hold_a_table;
pub use self::view::View;
use crate::region::Region;
use crate::slots::SlotIndex;
use crate::words::Words;

/// Words of a table when nobody says otherwise: 8 MiB (`docs/adr/0004-slot-placement.md`).
pub const DEFAULT_WORDS: u64 = 1 << 20;

/// A table that this process may move the words of.
///
/// Its file is sparse: a slot's page is made when the first daemon has to do with the slot ([`Table::back`]), so that
/// being out of memory is an error of that call and never a SIGBUS later.
#[derive(Debug)]
pub(crate) struct Table {
    path: PathBuf,
    file: File,
    header: Header,
    region: Region,
    backing: Backing,
}

/// How a table that does not exist yet shall be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewTable {
    pub(crate) words: u64,
    /// Group that may read it (the VMM's), if not the owner's alone.
    pub(crate) group: Option<u32>,
}

impl Table {
    /// Makes a table at `path`, where nothing may be. It appears there complete, or not at all.
    pub(crate) fn create(path: &Path, new: NewTable, id: TableId) -> Result<Self, TableError> {
        if !shm_layout::valid_words(new.words) {
            return Err(TableError::Words { words: new.words });
        }
        let header = Header { id, words: new.words };
        let mode = if new.group.is_some() { 0o640 } else { 0o600 };
        let how = NewFile { mode, group: new.group, len: header.table_bytes() };
        place_new(path, how, |file| write_header(file, &header))
            .map_err(|source| TableError::Create { path: path.to_owned(), source })?;
        Self::open(path)
    }

    /// Opens the table at `path`. Whatever stands there instead is told apart by the error; nothing that it holds can
    /// fault this process.
    pub(crate) fn open(path: &Path) -> Result<Self, TableError> {
        let (file, header) = file::open_table(path, true)?;
        let bytes = header.table_bytes();
        let map = |source| TableError::Map { path: path.to_owned(), source };
        let region = Region::map(&file, bytes).map_err(map)?;
        let backing = Backing::new(bytes);
        Ok(Self { path: path.to_owned(), file, header, region, backing })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Keeps others from cutting the file short: [`seal::seal`].
    pub(crate) fn seal(&self) -> io::Result<()> {
        seal::seal(&self.file)
    }

    /// Opens the file anew, sealed or not.
    pub(crate) fn reopen(&self, write: bool) -> io::Result<File> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let open = || File::options().read(true).write(write).open(&path).map_err(FileError::Open);
        let opened = seal::open(|| self.file.try_clone().map_err(FileError::Open), open);
        opened.map_err(|error| match error {
            FileError::Open(error) => error,
            other => io::Error::other(other),
        })
    }

    /// The slots.
    #[inline]
    pub(crate) fn words(&self) -> Words<'_> {
        let (_, slots) = self.region.words().split_at(FIRST_SLOT as usize);
        Words::of_file(slots, self.region.lost())
    }

    /// Whether pages of the table were gone when they were looked at.
    #[inline]
    pub(crate) fn is_lost(&self) -> bool {
        self.region.is_lost()
    }

    /// Looks whether length and header are still what they were: a file that was cut short is lost, also when it was made
    /// longer again.
    pub(crate) fn look(&self) {
        // Relaxed: the header does not move; only whether it is there is asked.
        let header = Header::decode(|i| self.region.words()[i].load(Relaxed));
        let whole = self.file.metadata().is_ok_and(|m| m.len() == self.header.table_bytes());
        if !whole || header != Ok(self.header) {
            self.region.condemn();
        }
    }

    /// Makes sure that the page of `slot` is there.
    pub(crate) fn back(&self, slot: SlotIndex) -> io::Result<()> {
        self.backing.back(&self.file, &self.region, slot.get())
    }

    /// Makes sure that every page is there.
    pub(crate) fn back_all(&self) -> io::Result<()> {
        self.backing.back_all(&self.file, &self.region)
    }

    /// Advances every slot that anybody can have observed.
    pub(crate) fn sweep(&self) {
        for extent in backing::extents(&self.file, self.header.table_bytes()) {
            self.words().advance_range(extent.start, extent.end);
        }
    }

    /// Advances every slot and leaves only the marks that `retained` counts. For when nobody else is on the table.
    pub(crate) fn rebuild(&self, retained: impl Fn(u32) -> u16) {
        for extent in backing::extents(&self.file, self.header.table_bytes()) {
            let range = extent.start as usize..extent.end as usize;
            for (index, word) in extent.zip(&self.region.words()[range]) {
                // Relaxed: no daemon but this one. Release: guests only compare; what they ask next comes through
                // the daemon.
                let generation = SlotWord(word.load(Relaxed)).swept().generation();
                word.store(SlotWord::new(generation, retained(index)).0, Release);
            }
        }
    }
}

/// Writes the header into a new file, the magic number last.
fn write_header(file: &File, header: &Header) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let words = header.encode();
    for (i, word) in words.iter().enumerate().rev() {
        file.write_all_at(&word.to_le_bytes(), (i * shm_layout::WORD_LEN) as u64)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
