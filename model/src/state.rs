//! One instant of the world: host, table, ledgers, daemons and all that guests may remember.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::budget::Budget;
use crate::host::Host;
use crate::ident::{Identity, Ino, MAX_NAMES, Value};
use crate::op::Op;
use crate::word;

/// The table's slot words.
pub type Words = SmallVec<[u64; 20]>;

/// Answers that are out of date and yet allowed, because the bound for that change has not passed.
pub type Permits = SmallVec<[(Identity, Value); 4]>;

/// A copy in some guest's cache, or in a reply that is still under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Copy {
    /// What it is a copy of.
    pub id: Identity,
    /// The word that came with it: the copy counts while the slot holds this word.
    pub word: u64,
    /// The answer that the guest would give from it.
    pub value: Value,
    /// The daemon that gave it, or [`ANYBODY`].
    pub by: u8,
}

/// A stamp that any daemon may have given.
pub const ANYBODY: u8 = u8::MAX;

/// A slot that a change has announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The slot.
    pub slot: u8,
    /// What the announcing add left in the word. 0: something else has moved the word since.
    pub announced: u64,
    /// What the publishing add left in it. 0: something else has moved the word since.
    pub published: Option<u64>,
    /// False where the slot was saturated: nothing was added, nothing is to be published.
    pub counted: bool,
}

/// A request in a daemon's worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The request.
    pub op: Op,
    /// Position in the operation's program.
    pub pc: u8,
    /// Next slot of this request's own sweep.
    pub sweep: u8,
    /// What the operation's names meant when it resolved them.
    pub found: [Option<Ino>; 2],
    /// The inode that the reply is about.
    pub subject: Option<Ino>,
    /// What each slot's word was when it was observed (entry, perm, attr, data).
    pub seen: [Option<u64>; 4],
    /// What the host answered (entry, perm, attr, data).
    pub answer: [Option<Value>; 4],
    /// Slots announced so far.
    pub marks: SmallVec<[Mark; 8]>,
    /// The system call failed and changed nothing.
    pub failed: bool,
    /// `O_EXCL` said that the file exists: it is pinned and truncated instead.
    pub pinned: bool,
    /// The daemon's hold on the mapped file stands already: nothing is to be announced.
    pub held: bool,
    /// Its change was not alone: observe, resolve and read again for the reply.
    pub again: bool,
    /// The suid bit, for the daemon that announces `perm` only if it saw the bit set.
    pub suid: bool,
    /// Name locks that it holds (a bit a stripe).
    pub locks: u8,
    /// Stripes that it goes on without, and the workers that had them when it gave up.
    pub overdue: SmallVec<[(u8, u8); 2]>,
    /// The host changed one of its names between its resolving and its system call.
    pub raced: bool,
    /// What a faulty daemon remembers of its beginning: that the watch stood, or that it hashes in its own way.
    pub quirk: bool,
    /// Copies that the requesting guest held when it sent the request, with the change laid over them.
    pub kept: SmallVec<[Copy; 2]>,
}

/// How far the ledger got with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It may or may not have been added.
    Intent,
    /// It has been added.
    Held,
}

/// One entry of a daemon's ledger. An entry that was cleared is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The worker whose entry it is.
    pub worker: u8,
    /// The slot.
    pub slot: u8,
    /// How far it got.
    pub stage: Stage,
    /// It stands for a writable DAX mapping.
    pub dax: bool,
    /// Which process of this row wrote it.
    pub tenant: u8,
}

/// A daemon process, as its row in the host-only file shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// The row is free.
    Off,
    /// It sweeps or rebuilds and serves nobody yet.
    Starting,
    /// It serves.
    Up,
    /// It serves no more, sweeps and leaves.
    Leaving,
    /// The process is gone; its ledger stands.
    Dead,
}

/// What to do when a sweep is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// The dead tenant of this row is dealt with.
    Free {
        /// The row.
        row: u8,
        /// Its dead tenant.
        tenant: u8,
    },
    /// The start is complete.
    Serve,
    /// Events that could not be told are made good.
    Resynced,
    /// Its watch is gone, and all that it has stamped no longer counts.
    Deafened,
    /// It has stopped serving and leaves.
    Leave,
}

/// What a daemon's housekeeping thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// Look for an entry to finish in a dead daemon's ledger.
    Scan {
        /// The dead daemon's row.
        row: u8,
        /// Its dead tenant.
        tenant: u8,
    },
    /// Claim the entry that was found, by compare-and-swap to 0.
    Claim {
        /// The dead daemon's row.
        row: u8,
        /// The entry as it was read.
        entry: Entry,
    },
    /// Publish the claimed entry's slot.
    Finish {
        /// The dead daemon's row.
        row: u8,
        /// The entry as it was read.
        entry: Entry,
    },
    /// Advance every slot, one after the other.
    Sweep {
        /// The next slot.
        next: u8,
        /// A word that was loaded and not stored back yet (only a faulty sweep loads).
        loaded: Option<u64>,
        /// What comes after.
        then: Then,
    },
    /// Rebuild the table: the ledgers first (slot 0 of the count), then word after word.
    Rebuild {
        /// Steps done.
        next: u8,
    },
}

/// Marks on the slots of a change that was made without its lock, kept until the lock's owner is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linger {
    /// The worker that made the change.
    pub worker: u8,
    /// The stripe that it went on without.
    pub stripe: u8,
    /// The worker that may still be overtaken.
    pub owner: Option<u8>,
    /// The slots, sorted.
    pub slots: SmallVec<[u8; 8]>,
}

/// What a daemon read inside one of its own changes, to know its own events by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// What was changed.
    pub id: Identity,
    /// What the host answered.
    pub value: Value,
    /// Of an entry also its directory and that directory's version: a name may come to mean the same again.
    pub parent: Option<(Ino, Value)>,
}

/// A daemon: its row in the host-only file, its process and its guest's VMM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// Free, starting, serving, dead.
    pub life: Life,
    /// Counts the processes that have had this row.
    pub tenant: u8,
    /// What it has announced.
    pub ledger: SmallVec<[Entry; 8]>,
    /// A reaper has done what could be done; DAX holds wait for the front end to go.
    pub reaped: bool,
    /// What its housekeeping thread is at.
    pub job: Option<Job>,
    /// Its watch is installed, as far as it knows: it may give stamps.
    pub watching: bool,
    /// Its watch is gone.
    pub deaf: bool,
    /// The newest word of each slot that it may have given a stamp with (0: none); empty where nobody watches.
    pub promised: SmallVec<[u64; 20]>,
    /// Its VMM runs.
    pub front_end: bool,
    /// Writable DAX mappings that its VMM has.
    pub mapped: SmallVec<[Ino; 2]>,
    /// What was true inside its last own change of each identity.
    pub known: SmallVec<[Known; 4]>,
    /// Events of its own that it still expects (only a faulty daemon counts).
    pub expected: u8,
    /// Marks that outlive the changes of its trespassers.
    pub lingers: SmallVec<[Linger; 2]>,
}

/// Whose system call caused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Somebody else on the host.
    Host,
    /// A daemon's; `true`: which inodes its names mean, it had to look up before.
    Daemon(u8, bool),
}

/// A file event on its way to the daemons that watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Whose system call caused it.
    pub by: Source,
    /// What moved.
    pub touched: SmallVec<[Identity; 8]>,
    /// Its inode cannot be identified.
    pub blind: bool,
    /// Daemons (a bit each) that have yet to handle it; [`NOBODY`] where nobody watched.
    pub unread: u8,
    /// Daemons that make it good by a sweep.
    pub resync: u8,
    /// What was true before: allowed until the event has been handled.
    pub permits: Permits,
}

/// The bit in [`Event::unread`] for an event that only the next start's sweep can make good.
pub const NOBODY: u8 = 0x80;

/// The whole world at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The host's file system.
    pub host: Host,
    /// The version table.
    pub words: Words,
    /// What the guests have mapped, where that is no longer the table.
    pub mapped_words: Option<Words>,
    /// The holder (a worker) of each name lock.
    pub locks: [Option<u8>; MAX_NAMES],
    /// The daemons.
    pub daemons: SmallVec<[Daemon; 3]>,
    /// The daemons' workers.
    pub tasks: SmallVec<[Option<Task>; 4]>,
    /// Everything that a guest was ever told and may still come to believe, sorted.
    pub copies: SmallVec<[Copy; 16]>,
    /// File events that have not been handled.
    pub events: SmallVec<[Event; 2]>,
    /// Marks that nobody will ever take back, for each slot.
    pub leaked: SmallVec<[u16; 20]>,
    /// Changes in progress on every slot by daemons that are not shown.
    pub crowd: u16,
    /// What may still happen.
    pub left: Budget,
    /// At least one daemon has crashed.
    pub crashed: bool,
}

impl State {
    /// Writes a slot's word.
    pub(crate) fn set_word(&mut self, slot: u8, word: u64) {
        self.words[usize::from(slot)] = word;
    }

    /// Adds one generation to a slot: an event, or a sweep.
    pub(crate) fn advance(&mut self, slot: u8) {
        let old = self.words[usize::from(slot)];
        self.set_word(slot, word::advance(old));
    }

    /// A guest may hold this copy from now on.
    pub(crate) fn keep(&mut self, copy: Copy) {
        if let Err(at) = self.copies.binary_search(&copy) {
            self.copies.insert(at, copy);
        }
    }

    /// A change that was announced makes every older answer wrong, allowed or not.
    pub(crate) fn forbid(&mut self, id: Identity) {
        self.events.iter_mut().for_each(|e| e.permits.retain(|(other, _)| *other != id));
    }

    /// Lets all locks of a request go.
    pub(crate) fn release_locks(&mut self, task: &mut Task) {
        for (stripe, lock) in self.locks.iter_mut().enumerate() {
            if task.locks & (1 << stripe) != 0 {
                *lock = None;
            }
        }
        task.locks = 0;
    }

    /// The VMM of a dead daemon goes, and its mappings with it.
    pub(crate) fn lose_front_end(&mut self, daemon: u8) {
        let daemon = &mut self.daemons[usize::from(daemon)];
        daemon.front_end = false;
        daemon.mapped.clear();
    }
}
