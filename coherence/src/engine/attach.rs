//! Joining a table.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use shm_layout::SharedU64;
use shm_layout::word::Ordering::Relaxed;

use super::error::AttachError;
use super::peers::{Peer, Undertaker};
use super::sweeper::Sweeper;
use super::{Engine, KEEPER};
use crate::clock::{Clock, SystemClock};
use crate::hash::Placement;
use crate::holds::Holds;
use crate::host::{HostFile, HostFileError, RowField, host_path};
use crate::ledger::{Entry, Line, State};
use crate::limits::{MAX_DAEMONS, MAX_HOLDS, MAX_LINGERING, START_PATIENCE};
use crate::proc::{HostProcess, Proc};
use crate::sys::{self, LockKind};
use crate::table::{DEFAULT_WORDS, NewTable, Table, TableError, check_place};

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The byte of the host-only file whose lock lets one daemon join at a time, and the byte of the table whose lock every
/// daemon shares.
const JOIN_BYTE: u64 = 0;
const USERS_BYTE: u64 = 0;

/// Which table to join, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The table's file. Beside it, with `.host` appended, lies what only daemons see.
    pub path: PathBuf,
    /// Words that the table must have, header included; none: what it has, or the default when it is made.
    pub words: Option<u64>,
    /// Make the table when it is not there.
    pub create: bool,
    /// Group that may read a table that is made here (the VMM's).
    pub group: Option<u32>,
    /// Sweeps may follow each other no faster than this.
    pub sweep_interval: Duration,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Set by a daemon in a sandbox: the process that others know it by. It looks at no `/proc` then, so that it finds
    /// daemons dead by their locks only, and asks whether a VMM has ended ([`Engine::ask_outside`]).
    pub process: Option<HostProcess>,
}

impl Options {
    /// The table at `path`, made with the default size when it is not there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            words: None,
            create: true,
            group: None,
            sweep_interval: Duration::from_secs(1),
            clock: Arc::new(SystemClock),
            process: None,
        }
    }
}

pub(super) fn attach(options: Options) -> Result<Arc<Engine>, AttachError> {
    check_place(&options.path)?;
    let proc = options.process.map_or_else(Proc::open, |me| Proc::blind(me.pid_namespace));
    let joining = Joining { host_path: host_path(&options.path), options, proc };
    let (host, table) = joining.meet()?;
    let alone = joining.enter(&host, &table)?;
    if alone {
        joining.rebuild(&host, &table);
        joining.lock_table(&table, LockKind::Shared)?;
    }
    let row = joining.take_row(&host, &table)?;
    let engine = joining.sign_in(host, table, row)?;
    // In this order: what the dead left is finished, then nothing counts that was seen before this daemon watched.
    let dead = engine.tick().dead;
    if !alone && dead == 0 {
        // Neither a rebuild nor a reap has swept.
        engine.sweep();
    }
    sys::unlock(engine.host.file(), JOIN_BYTE, 1).map_err(|source| AttachError::Io {
        path: engine.table.path().to_owned(),
        what: "unlock",
        source,
    })?;
    Ok(engine)
}

/// A daemon on its way to a table.
struct Joining {
    options: Options,
    host_path: PathBuf,
    proc: Proc,
}

impl Joining {
    fn failed(&self, what: &'static str) -> impl Fn(io::Error) -> AttachError {
        let path = self.options.path.clone();
        move |source| AttachError::Io { path: path.clone(), what, source }
    }

    /// Finds or makes table and host-only file, with the lock that lets one daemon join at a time.
    fn meet(&self) -> Result<(HostFile, Table), AttachError> {
        loop {
            let host = self.host_file()?;
            self.lock_join(&host)?;
            if !self.still_there(&host)? {
                continue;
            }
            // A file that no daemon has ever signed in to: made a moment ago, by this start or one that failed.
            let fresh = !host.was_ever_used();
            match Table::open(&self.options.path) {
                Ok(table) if table.header().id == host.table_id() => {
                    return self.right_size(table).map(|table| (host, table));
                }
                Err(TableError::Missing { .. }) if fresh => {
                    return self.make_table(&host).map(|table| (host, table));
                }
                Ok(_) | Err(TableError::Missing { .. }) => self.discard(&host)?,
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Opens the host-only file, or makes one for the table that is there or is to be made.
    fn host_file(&self) -> Result<HostFile, AttachError> {
        loop {
            if let Some(host) = HostFile::open(&self.host_path)? {
                return Ok(host);
            }
            let id = match Table::open(&self.options.path) {
                Ok(table) => table.header().id,
                Err(TableError::Missing { .. }) if self.options.create => random(),
                Err(e) => return Err(e.into()),
            };
            self.check_new_words()?;
            match HostFile::create(&self.host_path, id, random()) {
                Ok(host) => return Ok(host),
                // Another daemon was faster.
                Err(HostFileError::Io { source, .. })
                    if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Before anything is made: a size that is none leaves nothing behind.
    fn check_new_words(&self) -> Result<(), AttachError> {
        match self.options.words {
            Some(words) if !shm_layout::valid_words(words) => {
                Err(TableError::Words { words }.into())
            }
            _ => Ok(()),
        }
    }

    fn lock_join(&self, host: &HostFile) -> Result<(), AttachError> {
        let clock = &*self.options.clock;
        let deadline = clock.now() + START_PATIENCE;
        let nothing = SharedU64::new(0);
        while !sys::try_lock(host.file(), JOIN_BYTE, 1, LockKind::Exclusive)
            .map_err(self.failed("lock"))?
        {
            if clock.now() >= deadline {
                return Err(AttachError::Starting { path: self.host_path.clone() });
            }
            clock.wait(&nothing, 0, LOOK_AGAIN);
        }
        Ok(())
    }

    /// Whether the host-only file is still the one at its path: another daemon may have put a new one there.
    fn still_there(&self, host: &HostFile) -> Result<bool, AttachError> {
        let ours = host.file().metadata().map_err(self.failed("look at the host file"))?;
        match std::fs::metadata(&self.host_path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(self.failed("look at the host file")(e)),
        }
    }

    fn right_size(&self, table: Table) -> Result<Table, AttachError> {
        let found = table.header().words;
        match self.options.words {
            Some(wanted) if wanted != found => {
                Err(AttachError::Words { path: self.options.path.clone(), wanted, found })
            }
            _ => Ok(table),
        }
    }

    fn make_table(&self, host: &HostFile) -> Result<Table, AttachError> {
        if !self.options.create {
            self.remove_host_file()?;
            return Err(TableError::Missing { path: self.options.path.clone() }.into());
        }
        let words = self.options.words.unwrap_or(DEFAULT_WORDS);
        let new = NewTable { words, group: self.options.group };
        Ok(Table::create(&self.options.path, new, host.table_id())?)
    }

    /// Deletes a host-only file that belongs to a table which is no longer there.
    fn discard(&self, host: &HostFile) -> Result<(), AttachError> {
        if host.anybody_alive() {
            let (path, table) = (self.host_path.clone(), self.options.path.clone());
            return Err(AttachError::Replaced { path, table });
        }
        self.remove_host_file()
    }

    fn remove_host_file(&self) -> Result<(), AttachError> {
        std::fs::remove_file(&self.host_path).map_err(self.failed("delete the host file"))
    }

    fn lock_table(&self, table: &Table, kind: LockKind) -> Result<bool, AttachError> {
        sys::try_lock(table.file(), USERS_BYTE, 1, kind).map_err(self.failed("lock"))
    }

    /// Takes the lock that every daemon of a table shares. True when this one is alone, and has it exclusively.
    fn enter(&self, host: &HostFile, table: &Table) -> Result<bool, AttachError> {
        if self.lock_table(table, LockKind::Exclusive)? {
            return Ok(true);
        }
        let orphans = || AttachError::Orphans {
            path: self.options.path.clone(),
            host: self.host_path.clone(),
        };
        if !host.was_ever_used() {
            // Others are here, but not through this file: they hash with another key.
            self.remove_host_file()?;
            return Err(orphans());
        }
        if self.lock_table(table, LockKind::Shared)? { Ok(false) } else { Err(orphans()) }
    }

    /// Puts a table that nobody else is on in order: every slot moves, and only marks for DAX mappings of living front
    /// ends stay.
    fn rebuild(&self, host: &HostFile, table: &Table) {
        let undertaker = self.undertaker(host, table);
        let mut retained: HashMap<u32, u16> = HashMap::new();
        for (row, who) in host.occupied() {
            let peer = Peer { row, who };
            if undertaker.front_end_is_gone(peer) {
                host.row(row).wipe();
                host.sign_out(row, who);
                continue;
            }
            for word in host.row(row).dax_holds() {
                // Relaxed: nobody else is there.
                let entry = Entry::decode(word.load(Relaxed));
                match entry.filter(|e| e.incarnation == who && e.state == State::Held) {
                    Some(entry) => *retained.entry(entry.slot).or_default() += 1,
                    None => word.store(0, Relaxed),
                }
            }
            host.row(row).wipe_workers();
        }
        table.rebuild(|slot| retained.get(&slot).copied().unwrap_or(0));
        host.forget_all();
    }

    /// A reaper that has no row yet, and so notes nothing.
    fn undertaker<'a>(&'a self, host: &'a HostFile, table: &'a Table) -> Undertaker<'a> {
        let (words, proc) = (table.words(), &self.proc);
        Undertaker { host, words, proc, own: Line::unrecorded() }
    }

    /// Locks a row that nobody is in; if there is none, one whose daemon is dead and has left nothing that must stay.
    fn take_row(&self, host: &HostFile, table: &Table) -> Result<usize, AttachError> {
        let lock = |row: usize| host.lock_row(row).map_err(self.failed("lock a row"));
        for row in (0..MAX_DAEMONS).filter(|&row| host.occupant(row).is_none()) {
            if lock(row)? {
                return Ok(row);
            }
        }
        let undertaker = self.undertaker(host, table);
        for (row, who) in host.occupied() {
            if !host.is_gone(row, who) || !lock(row)? {
                continue;
            }
            let peer = Peer { row, who };
            undertaker.reap(peer);
            host.names().release_dead(who, &*self.options.clock);
            host.cut_locks().release_dead(who, &*self.options.clock);
            if undertaker.is_clean(peer) {
                return Ok(row);
            }
            host.unlock_row(row).map_err(self.failed("unlock a row"))?;
        }
        Err(AttachError::TooManyDaemons { path: self.options.path.clone() })
    }

    /// Writes this daemon into the row that it has locked.
    fn sign_in(
        self,
        host: HostFile,
        table: Table,
        index: usize,
    ) -> Result<Arc<Engine>, AttachError> {
        host.back_row(index).map_err(self.failed("no room in the host file"))?;
        let used_up = || self.failed("join")(io::Error::other("incarnations are used up"));
        let who = host.next_incarnation().ok_or_else(used_up)?;
        let row = host.row(index);
        row.wipe();
        let me = self.options.process.unwrap_or_else(HostProcess::own);
        row.set(RowField::Pid, me.process.pid as u64);
        row.set(RowField::Started, me.process.started);
        row.set(RowField::PidNamespace, me.pid_namespace);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        row.set(RowField::Since, since);
        host.sign_in(index, who);
        Ok(Arc::new(Engine {
            placement: Placement::new(host.key(), table.header().words),
            table,
            host,
            row: index,
            who,
            clock: self.options.clock,
            proc: self.proc,
            workers: SharedU64::new(1 << KEEPER),
            holds: Mutex::new(Holds::new(MAX_HOLDS, MAX_LINGERING)),
            lingering: Mutex::default(),
            sweeper: Mutex::new(Sweeper::new(self.options.sweep_interval)),
            waits: Mutex::default(),
            promises: OnceLock::new(),
        }))
    }
}

/// Sixteen bytes that nobody can guess.
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        // Fails only when interrupted, and then not for ever.
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags).unwrap_or(0);
    }
    bytes
}
