//! A look at a table and its daemons from outside: for operators and tests. It reads the files and maps nothing, so
//! nothing that happens to them can harm it, and it never writes.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use shm_layout::{Header, SlotWord, TableId, WORD_LEN};

use crate::host::{
    self, DIRECTORY, LEAKS, RowField, field, row_base, row_byte, row_parts, worker_parts,
};
use crate::limits::{MAX_DAEMONS, MAX_HOLDS};
use crate::sys;
use crate::table::{FileError, TableError, extents, open_for_reading, open_to_read};

/// What a table and its daemons look like at one moment, roughly: it moves on while it is read.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The table's file.
    pub path: PathBuf,
    /// Its id.
    pub id: TableId,
    /// Its words, header included.
    pub words: u64,
    /// Bytes of memory that it takes.
    pub memory: u64,
    /// Slots that anybody has ever had to do with.
    pub touched: u64,
    /// Busy slots, with their counts.
    pub busy: Vec<(u32, u16)>,
    /// Slots whose count has been given up.
    pub stuck: u64,
    /// All generations added up, wrapping: the difference of two looks is how many slots have moved between them.
    pub generations: u64,
    /// What the host-only file says, or why it cannot be read.
    pub host: Result<HostInspection, String>,
}

/// What the host-only file says.
#[derive(Clone, Debug, Default)]
pub struct HostInspection {
    /// Daemons, dead ones with holds left included.
    pub daemons: Vec<Daemon>,
    /// Slots with marks that nobody will take back.
    pub leaked: Vec<u32>,
    /// Such marks that the list has no room for.
    pub leaked_unlisted: u64,
    /// Daemons that have ever joined.
    pub joined: u64,
}

/// A daemon, as its row tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Its row.
    pub row: usize,
    /// Its process, in its own pid namespace.
    pub pid: u32,
    /// Whether it lives.
    pub alive: bool,
    /// When it joined, in seconds since the epoch.
    pub since: u64,
    /// Changes in progress.
    pub in_progress: u64,
    /// Whether it has marked the whole table.
    pub holds_everything: bool,
    /// Changes since it joined.
    pub changes: u64,
    /// Slots held for DAX mappings.
    pub held: u64,
    /// Slots held because a name was changed without its lock.
    pub lingering: u64,
    /// The process that its DAX mappings live in.
    pub front_end: Option<u32>,
    /// Sweeps it has made.
    pub sweeps: u64,
    /// Name locks it has given up waiting for.
    pub given_up: u64,
    /// Marks of dead daemons that it has taken back.
    pub reaped: u64,
}

/// Looks at the table at `path`.
///
/// # Errors
/// What is there is no table. That the host-only file cannot be read is no error.
pub fn inspect(path: &Path) -> Result<Inspection, TableError> {
    let (file, header) = open_for_reading(path)?;
    let unreadable = |source| TableError::Map { path: path.to_owned(), source };
    let memory = file.metadata().map_err(unreadable)?.blocks() * 512;
    let mut seen = Inspection {
        path: path.to_owned(),
        id: header.id,
        words: header.words,
        memory,
        touched: 0,
        busy: Vec::new(),
        stuck: 0,
        generations: 0,
        host: Err(String::new()),
    };
    read_slots(&file, &header, &mut seen).map_err(unreadable)?;
    seen.host = read_host(path, &seen);
    Ok(seen)
}

fn read_slots(file: &File, header: &Header, seen: &mut Inspection) -> io::Result<()> {
    for extent in extents(file, header.table_bytes()) {
        let words = read_words(file, extent.start as usize, extent.len())?;
        for (slot, word) in extent.zip(words.into_iter().map(SlotWord)) {
            seen.touched += u64::from(word != SlotWord::UNTOUCHED);
            seen.generations = seen.generations.wrapping_add(word.generation());
            seen.stuck += u64::from(word.is_stuck());
            if word.is_busy() {
                seen.busy.push((slot, word.busy()));
            }
        }
    }
    Ok(())
}

/// Words of a file. Each is read as a whole in practice; should one be torn, a figure is wrong for a moment.
fn read_words(file: &File, from: usize, count: usize) -> io::Result<Vec<u64>> {
    let mut bytes = vec![0; count * WORD_LEN];
    file.read_exact_at(&mut bytes, (from * WORD_LEN) as u64)?;
    Ok(bytes.as_chunks::<WORD_LEN>().0.iter().map(|word| u64::from_le_bytes(*word)).collect())
}

fn read_host(table: &Path, seen: &Inspection) -> Result<HostInspection, String> {
    let path = host::host_path(table);
    let failed = |e: io::Error| format!("{}: {e}", path.display());
    let file = open_host(&path).map_err(failed)?;
    host::check(&file, &path).map_err(|e| e.to_string())?;
    let read = || -> io::Result<HostInspection> {
        let head = read_words(&file, 0, field::END)?;
        let leaks = read_words(&file, LEAKS, DIRECTORY - LEAKS)?;
        // In ascending order, as they were read; when everything is held there are a great many.
        let is_busy = |slot: &u32| seen.busy.binary_search_by_key(slot, |&(busy, _)| busy).is_ok();
        let directory = read_words(&file, DIRECTORY, MAX_DAEMONS)?;
        let taken = (0..MAX_DAEMONS).filter(|&row| directory[row] != 0);
        Ok(HostInspection {
            daemons: taken.map(|row| read_daemon(&file, row)).collect::<io::Result<_>>()?,
            leaked: leaks.into_iter().map(|slot| slot as u32).filter(is_busy).collect(),
            leaked_unlisted: head[field::LEAK_OVERFLOW],
            joined: head[field::INCARNATIONS],
        })
    };
    read().map_err(failed)
}

/// Opens a host-only file, whoever owns it. A FIFO must not block the reader.
fn open_host(path: &Path) -> io::Result<File> {
    let file = open_to_read(path).map_err(io::Error::other)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other(FileError::Kind)) }
}

fn read_daemon(file: &File, row: usize) -> io::Result<Daemon> {
    let words = read_words(file, row_base(row), host::ROW_WORDS)?;
    let get = |field: RowField| words[field as usize];
    let (_, workers, holds) = row_parts(&words);
    let workers: Vec<_> = worker_parts(workers).collect();
    let in_use = |entries: &[u64]| entries.iter().filter(|&&e| e != 0).count() as u64;
    let (dax, lingering) = holds.split_at(MAX_HOLDS);
    Ok(Daemon {
        row,
        pid: get(RowField::Pid) as u32,
        alive: sys::is_locked(file, row_byte(row))?,
        since: get(RowField::Since),
        in_progress: workers.iter().filter(|w| in_use(w.entries) > 0 || w.pass != 0).count() as u64,
        holds_everything: workers.iter().any(|w| w.pass != 0),
        changes: workers.iter().map(|w| w.changes).sum(),
        held: in_use(dax),
        lingering: in_use(lingering),
        front_end: Some(get(RowField::FrontEndPid) as u32).filter(|&pid| pid != 0),
        sweeps: get(RowField::Sweeps),
        given_up: get(RowField::GivenUp),
        reaped: get(RowField::Reaped),
    })
}
