//! The host-only file beside a table: where its daemons meet. Never mapped by a guest.
//!
//! It holds the hash key, a *row* for each daemon (what it is, and its ledger), the name locks and the list of leaks.
//! A daemon is alive while the open-file-description lock on its row is held, which the kernel ends with it.

mod layout;
mod row;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use shm_layout::word::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shm_layout::{SharedU64, TableId, WORD_LEN};

pub(crate) use self::layout::{
    DIRECTORY, LEAKS, ROW_WORDS, ROWS, WORDS, field, row_base, row_byte, row_parts, worker_parts,
};
pub(crate) use self::row::{Row, RowField, WorkerArea};
use crate::cuts::{STRIPE_WORDS, Stripe};
use crate::hash::HashKey;
use crate::ledger::{Incarnation, Leaks};
use crate::limits::MAX_DAEMONS;
use crate::names::{Census, NameLocks, Owner};
use crate::region::Region;
use crate::sys;
use crate::table::{FileError, NewFile, open_checked, place_new, word_at};

/// The bytes `SPG-HOST`, read as a little-endian word.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"SPG-HOST");

/// Raised with any change of layout, of slot placement, or of what the words mean.
pub(crate) const VERSION: u64 = 3;

/// The host-only file, mapped.
#[derive(Debug)]
pub(crate) struct HostFile {
    file: File,
    region: Region,
}

/// Why the host-only file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostFileError {
    /// It is not a file that it may be in.
    #[error("{}: {source}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// It could not be made, mapped or locked.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{}: is no table's host file (it begins with {magic:#018x}); delete it", path.display())]
    Magic {
        /// The path.
        path: PathBuf,
        /// Its first word.
        magic: u64,
    },
    /// It is another version's.
    #[error(
        "{}: of version {found}, but this program is of version {VERSION}; \
         stop the daemons of the other version, then delete it", path.display()
    )]
    Version {
        /// The path.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// It has another size.
    #[error("{}: has {len} bytes, but must have {}; it is cut short: stop its daemons and delete it", path.display(), WORDS * WORD_LEN)]
    Length {
        /// The path.
        path: PathBuf,
        /// Bytes of the file.
        len: u64,
    },
}

/// Where the host-only file of the table at `table` is.
#[must_use]
pub fn host_path(table: &Path) -> PathBuf {
    let mut name = table.as_os_str().to_owned();
    name.push(".host");
    name.into()
}

impl HostFile {
    /// Opens the file at `path`; none when it is not there.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, HostFileError> {
        let file = match open_checked(path, false, 0o600) {
            Ok(file) => file,
            Err(FileError::Open(e)) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(HostFileError::File { path: path.to_owned(), source }),
        };
        check(&file, path)?;
        let failed = |source| HostFileError::Io { path: path.to_owned(), source };
        let region = Region::map(&file, bytes()).map_err(failed)?;
        Ok(Some(Self { file, region }))
    }

    /// Makes the file for a table, with a new key. Nothing may be there.
    pub(crate) fn create(path: &Path, id: TableId, key: HashKey) -> Result<Self, HostFileError> {
        let how = NewFile { mode: 0o600, group: None, len: bytes() };
        let fill = |file: &File| {
            // Everything that all daemons write to has its room from the start.
            rustix::fs::fallocate(
                file,
                rustix::fs::FallocateFlags::empty(),
                0,
                (ROWS * WORD_LEN) as u64,
            )?;
            let region = Region::map(file, bytes())?;
            for (at, half) in [(field::ID, id), (field::KEY, key)] {
                for (i, word) in half.as_chunks::<WORD_LEN>().0.iter().enumerate() {
                    // Relaxed, here and below: nobody else has the file yet.
                    region.words()[at + i].store(u64::from_le_bytes(*word), Relaxed);
                }
            }
            region.words()[field::VERSION].store(VERSION, Relaxed);
            region.words()[field::MAGIC].store(MAGIC, Relaxed);
            Ok(())
        };
        let failed = |source| HostFileError::Io { path: path.to_owned(), source };
        place_new(path, how, fill).map_err(failed)?;
        Self::open(path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    #[inline]
    pub(crate) fn is_lost(&self) -> bool {
        self.region.is_lost()
    }

    #[inline]
    fn words(&self) -> &[SharedU64] {
        self.region.words()
    }

    fn read(&self, field: usize) -> u64 {
        // Relaxed: fields of the header that never change, or figures.
        self.words()[field].load(Relaxed)
    }

    fn read_pair(&self, at: usize) -> [u8; 16] {
        let mut bytes = [0; 16];
        for (i, half) in bytes.as_chunks_mut::<WORD_LEN>().0.iter_mut().enumerate() {
            *half = self.read(at + i).to_le_bytes();
        }
        bytes
    }

    /// Which table it belongs to.
    pub(crate) fn table_id(&self) -> TableId {
        self.read_pair(field::ID)
    }

    /// The secret that places slots.
    pub(crate) fn key(&self) -> HashKey {
        self.read_pair(field::KEY)
    }

    /// Whether any daemon has ever joined through this file.
    pub(crate) fn was_ever_used(&self) -> bool {
        self.read(field::INCARNATIONS) != 0
    }

    /// A number that no daemon of this table has had.
    pub(crate) fn next_incarnation(&self) -> Option<Incarnation> {
        // Relaxed: only that no two get the same matters.
        Incarnation::new(self.words()[field::INCARNATIONS].fetch_add(1, Relaxed) + 1)
    }

    pub(crate) fn leaks(&self) -> Leaks<'_> {
        let list = &self.words()[LEAKS..DIRECTORY];
        Leaks::new(list, &self.words()[field::LEAK_OVERFLOW])
    }

    pub(crate) fn names(&self) -> NameLocks<'_> {
        NameLocks::new(&self.words()[layout::NAMES..layout::CUTS], layout::NAME_STEP)
    }

    /// Locks of the stripes that files share.
    pub(crate) fn cut_locks(&self) -> NameLocks<'_> {
        NameLocks::new(&self.words()[layout::CUTS..ROWS], STRIPE_WORDS)
    }

    /// Stripe `number`, which is below [`CUT_STRIPES`](crate::limits::CUT_STRIPES).
    pub(crate) fn stripe(&self, number: usize) -> Stripe<'_> {
        let base = layout::CUTS + number * STRIPE_WORDS;
        Stripe(&self.words()[base..base + STRIPE_WORDS])
    }

    /// A guest has other memory in place of pages that a file lost.
    pub(crate) fn note_blanks(&self) {
        // Release: as a holder's answer.
        self.words()[field::BLANKS].store(1, Release);
    }

    /// Whether any guest has ever had.
    pub(crate) fn has_blanks(&self) -> bool {
        // Acquire: whoever was told that a file is cut sees what became of its pages.
        self.words()[field::BLANKS].load(Acquire) != 0
    }

    /// Row `index`, which is below [`MAX_DAEMONS`].
    #[inline]
    pub(crate) fn row(&self, index: usize) -> Row<'_> {
        let base = row_base(index);
        Row::new(&self.words()[base..base + ROW_WORDS])
    }

    /// Whoever is written into a row: alive, or dead and not yet reaped.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = (usize, Incarnation)> {
        (0..MAX_DAEMONS).filter_map(|index| Some((index, self.occupant(index)?)))
    }

    /// Who is written into row `index`.
    pub(crate) fn occupant(&self, index: usize) -> Option<Incarnation> {
        // Acquire: what it wrote before it signed in is seen.
        Incarnation::new(self.words()[DIRECTORY + index].load(Acquire))
    }

    /// Signs a daemon into row `index`, which it has locked and prepared.
    pub(crate) fn sign_in(&self, index: usize, who: Incarnation) {
        // Release: the row is as it must be before anybody looks at it.
        self.words()[DIRECTORY + index].store(who.get(), Release);
    }

    /// Signs `who` out of row `index`, unless another has signed in there.
    pub(crate) fn sign_out(&self, index: usize, who: Incarnation) {
        let word = &self.words()[DIRECTORY + index];
        // AcqRel: nothing of `who` is left in the row.
        let _ = word.compare_exchange(who.get(), 0, AcqRel, Relaxed);
    }

    /// Whether the daemon `who` of row `index` has ended. Not for one's own row: the kernel shows nobody their own lock.
    pub(crate) fn is_gone(&self, index: usize, who: Incarnation) -> bool {
        // In this order: whoever signed in as `who` held the lock from before until it ended.
        let occupant = self.occupant(index);
        let locked = sys::is_locked(&self.file, layout::row_byte(index)).unwrap_or(true);
        occupant != Some(who) || !locked
    }

    /// Takes the lock that keeps row `index` alive; false when another has it.
    pub(crate) fn lock_row(&self, index: usize) -> io::Result<bool> {
        sys::try_lock(&self.file, layout::row_byte(index), 1, sys::LockKind::Exclusive)
    }

    pub(crate) fn unlock_row(&self, index: usize) -> io::Result<()> {
        sys::unlock(&self.file, layout::row_byte(index), 1)
    }

    /// Whether any daemon lives on this file, but for the caller.
    pub(crate) fn anybody_alive(&self) -> bool {
        (0..MAX_DAEMONS)
            .any(|index| sys::is_locked(&self.file, layout::row_byte(index)).unwrap_or(true))
    }

    /// Makes room for everything that the daemon of row `index` will write.
    pub(crate) fn back_row(&self, index: usize) -> io::Result<()> {
        let (offset, len) = (row_base(index) * WORD_LEN, ROW_WORDS * WORD_LEN);
        let flags = rustix::fs::FallocateFlags::empty();
        Ok(rustix::fs::fallocate(&self.file, flags, offset as u64, len as u64)?)
    }

    /// Forgets every lock and leak. For when nobody else is on the table.
    pub(crate) fn forget_all(&self) {
        for word in &self.words()[LEAKS..DIRECTORY] {
            // Relaxed, here and below: nobody else is there.
            word.store(0, Relaxed);
        }
        for word in &self.words()[layout::NAMES..ROWS] {
            word.store(0, Relaxed);
        }
        self.words()[field::LEAK_OVERFLOW].store(0, Relaxed);
        self.words()[field::BLANKS].store(0, Relaxed);
    }
}

/// Whether this program can use `file`, which is open for reading. Another version's may have any length, so that is looked
/// at last.
///
/// # Errors
/// All but [`HostFileError::File`].
pub(crate) fn check(file: &File, path: &Path) -> Result<(), HostFileError> {
    let path = || path.to_owned();
    let failed = |source| HostFileError::Io { path: path(), source };
    let len = file.metadata().map_err(failed)?.len();
    let mut head = [0; (field::VERSION + 1) * WORD_LEN];
    if len < head.len() as u64 {
        return Err(HostFileError::Length { path: path(), len });
    }
    file.read_exact_at(&mut head, 0).map_err(failed)?;
    match (word_at(&head, field::MAGIC), word_at(&head, field::VERSION)) {
        (MAGIC, VERSION) if len == bytes() => Ok(()),
        (MAGIC, VERSION) => Err(HostFileError::Length { path: path(), len }),
        (MAGIC, found) => Err(HostFileError::Version { path: path(), found }),
        (magic, _) => Err(HostFileError::Magic { path: path(), magic }),
    }
}

/// Bytes of the file. It is sparse: a row costs memory only when a daemon takes it.
fn bytes() -> u64 {
    (WORDS * WORD_LEN) as u64
}

/// Who lives, as seen by the daemon of row `own`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registry<'a> {
    pub(crate) host: &'a HostFile,
    pub(crate) own: Incarnation,
}

impl Census for Registry<'_> {
    fn is_gone(&self, owner: Owner) -> bool {
        owner.incarnation != self.own && self.host.is_gone(owner.row.into(), owner.incarnation)
    }
}
