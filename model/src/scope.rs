//! The shape of a scope: how large a world is explored, and what may happen in it.

use crate::budget::{Budget, NOTHING};
use crate::host::Syscall;
use crate::ident::{Hashing, Ino, Layout, MAX_NAMES, Name};
use crate::op::Op;

/// How finely steps over several slots interleave with everybody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Every add, clear and sweep of a single word is a step of its own.
    Word,
    /// All announces of a change are one step, all publishes, and a sweep (see the crate's docs for why this loses nothing).
    Change,
}

/// How changes made on the host reach the daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Nobody else changes the directory: no events.
    Off,
    /// Events carry the process that caused them; everything is watched from the start.
    Fanotify,
    /// Events carry no process, equal neighbours merge, and a watch is installed on first use.
    Inotify,
}

/// One small world to explore.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Its name on the command line.
    pub name: String,
    /// What it is for.
    pub about: &'static str,
    /// Names, inodes and slots.
    pub layout: Layout,
    /// What the names mean at first.
    pub named: [Option<Ino>; MAX_NAMES],
    /// How many inodes exist at first. Those without a name are as O_TMPFILE left them.
    pub used: u8,
    /// Files that have the suid bit at first.
    pub suid: Vec<Ino>,
    /// Requests that guests send.
    pub ops: Vec<Op>,
    /// Rows for daemons.
    pub daemons: u8,
    /// Daemons that serve at first.
    pub up: u8,
    /// Workers of each daemon.
    pub workers: u8,
    /// Guests ask for everything at every instant, beside the requests in `ops`.
    pub always: bool,
    /// Replies to changes carry stamps.
    pub replies: bool,
    /// How fine steps are.
    pub grain: Grain,
    /// How host changes are seen.
    pub watch: Watch,
    /// What others change on the host.
    pub host: Vec<Syscall>,
    /// Events may lack the inode they are about.
    pub blind: bool,
    /// A start may rebuild the table.
    pub rebuild: bool,
    /// Daemons may also leave on their own accord (counted as crashes).
    pub exits: bool,
    /// Changes in progress on every slot by daemons that are not shown; they may all end at once.
    pub crowd: u16,
    /// Every generation at first, in place.
    pub first_word: u64,
    /// What may happen.
    pub budget: Budget,
}

impl Scope {
    /// Two daemons with a worker each over one directory `#0` in which `a` is file `#1` and `b` is file `#2`, with room for one more file; guests ask for everything at
    /// every instant, replies carry stamps, changes are one step for each of their phases.
    #[must_use]
    pub fn new(name: &str, about: &'static str) -> Self {
        Self {
            name: name.into(),
            about,
            layout: Layout {
                names: 2,
                dirs: 1,
                inodes: 4,
                hashing: Hashing::Apart,
                parents: [Ino(0); MAX_NAMES],
                folds: false,
            },
            named: [Some(Ino(1)), Some(Ino(2)), None],
            used: 3,
            suid: Vec::new(),
            ops: Vec::new(),
            daemons: 2,
            up: 2,
            workers: 1,
            always: true,
            replies: true,
            grain: Grain::Change,
            watch: Watch::Off,
            host: Vec::new(),
            blind: false,
            rebuild: false,
            exits: false,
            crowd: 0,
            first_word: 1 << 16,
            budget: NOTHING,
        }
    }

    /// Adds requests.
    #[must_use]
    pub fn ops(mut self, ops: &[Op]) -> Self {
        self.ops.extend_from_slice(ops);
        self
    }

    /// Sets what may happen.
    #[must_use]
    pub fn budget(mut self, set: impl FnOnce(&mut Budget)) -> Self {
        set(&mut self.budget);
        self
    }

    /// Changes anything else.
    #[must_use]
    pub fn with(mut self, set: impl FnOnce(&mut Self)) -> Self {
        set(&mut self);
        self
    }

    /// The daemon of a worker.
    #[must_use]
    pub fn daemon_of(&self, worker: u8) -> u8 {
        worker / self.workers
    }
}

/// Every operation on names that `a` and `b` allow.
#[must_use]
pub fn name_ops() -> Vec<Op> {
    let (a, b) = (Name(0), Name(1));
    vec![
        Op::Create(a),
        Op::Create(b),
        Op::Unlink(a),
        Op::Unlink(b),
        Op::Link(Ino(1), b),
        Op::Link(Ino(2), a),
        Op::Rename(a, b),
        Op::Rename(b, a),
        Op::Exchange(a, b),
    ]
}

/// Every operation on the file `#1`.
#[must_use]
pub fn file_ops() -> Vec<Op> {
    let file = Ino(1);
    vec![
        Op::Chmod(file),
        Op::Truncate(file),
        Op::Write(file),
        Op::WriteFails(file),
        Op::SetXattr(file),
        Op::SetAcl(file),
    ]
}
