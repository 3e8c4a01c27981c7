//! Of which steps a call is made, and what each step does to the file system.
//!
//! This is how Linux does it, on FUSE and elsewhere: names are looked up one after the other, what
//! is then done to an inode is done to the one that was found, and only the server's part of a
//! change (making, removing, renaming) is a step by itself. The guest's kernel refuses some calls
//! because of what it has looked up, so a refusal may rest on two moments.

use rustix::io::Errno;

use crate::log::Entry;
use crate::op::{Call, Kind, NAMES, Outcome, Path, USER, WORD};
use crate::state::{Id, Inode, State};

/// How far an operation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Nothing has been done.
    Begun,
    /// The directory that the path's leaf is in has been found.
    Walked(Id),
    /// What the path means has been found.
    Found(Id),
    /// These names have been seen or missed, as they were listed.
    Listed(u32),
    /// It has taken effect, and only has to return.
    Done,
}

impl Progress {
    /// Whether it still uses this inode.
    #[must_use]
    pub fn uses(self, inode: Id) -> bool {
        matches!(self, Self::Walked(id) | Self::Found(id) if id == inode)
    }
}

/// A step that can be taken.
#[derive(Debug)]
pub struct Step {
    /// How far the operation has come then.
    pub progress: Progress,
    /// What it makes of the file system; `None` when it only looks.
    pub state: Option<State>,
}

/// The steps that operation number `id` could take now, given what came of it in the end.
#[must_use]
pub fn next(entry: &Entry, id: Id, progress: Progress, state: &State) -> Vec<Step> {
    let mut walker = Walker { entry, id, state, steps: Vec::new() };
    let path = entry.operation.path;
    match progress {
        Progress::Begun if entry.outcome.is_none() => walker.give_up(),
        Progress::Begun if !entry.trusted => walker.without_trust(),
        _ => {}
    }
    match progress {
        Progress::Begun if entry.operation.call == Call::List => walker.list(0),
        Progress::Begun if !entry.trusted && !changes_names(entry.operation.call) => {}
        Progress::Begun if path.leaf.is_some() => walker.walk(),
        Progress::Begun => walker.at(path.directory.into(), path.name),
        Progress::Walked(directory) => walker.at(directory, path.leaf.unwrap_or_default()),
        Progress::Found(inode) => walker.on(inode),
        Progress::Listed(seen) => walker.list(seen),
        Progress::Done => {}
    }
    walker.steps
}

fn changes_names(call: Call) -> bool {
    matches!(
        call,
        Call::Create
            | Call::CreateOrTruncate
            | Call::Mkdir
            | Call::Symlink
            | Call::Unlink
            | Call::Rmdir
            | Call::Rename
            | Call::RenameNoReplace
            | Call::Exchange
    )
}

struct Walker<'a> {
    entry: &'a Entry,
    id: Id,
    state: &'a State,
    steps: Vec<Step>,
}

impl Walker<'_> {
    fn come_to(&mut self, progress: Progress) {
        self.steps.push(Step { progress, state: None });
    }

    /// The operation may end with this outcome, and changes nothing.
    fn answer(&mut self, outcome: Outcome) {
        if self.entry.outcome.is_none_or(|seen| seen == outcome) {
            self.come_to(Progress::Done);
        }
    }

    fn refuse(&mut self, errno: Errno) {
        self.answer(Outcome::error(errno));
    }

    /// The operation may succeed, with this change.
    fn succeed(&mut self, change: impl FnOnce(&mut State)) {
        if self.entry.outcome.is_none_or(|seen| seen.errno == 0) {
            let mut state = self.state.clone();
            change(&mut state);
            self.steps.push(Step { progress: Progress::Done, state: Some(state) });
        }
    }

    /// What became of it nobody knows: perhaps nothing.
    fn give_up(&mut self) {
        self.come_to(Progress::Done);
    }

    /// A guest that trusts old names may have found any file; the outcome says which. No daemon
    /// lets a number be used again while a guest of its own knows it. What the guest believed to be
    /// one file under two names, it did not rename at all.
    fn without_trust(&mut self) {
        let call = self.entry.operation.call;
        if call == Call::Rename {
            self.give_up();
        }
        if changes_names(call) && call != Call::CreateOrTruncate {
            return;
        }
        if let Some(inode) = self.state.by_number(self.number()) {
            return self.come_to(Progress::Found(inode));
        }
        self.give_up();
        let unknown: Vec<_> = self.state.without_number().collect();
        for inode in unknown {
            self.come_to(Progress::Found(inode));
        }
    }

    fn walk(&mut self) {
        let Path { directory, name, .. } = self.entry.operation.path;
        let Some(found) = self.state.lookup(directory.into(), name) else {
            return self.refuse(Errno::NOENT);
        };
        match self.state.inode(found).kind {
            Kind::Directory => self.come_to(Progress::Walked(found)),
            Kind::File => self.refuse(Errno::NOTDIR),
            // Links point to nothing.
            Kind::Link => self.refuse(Errno::NOENT),
        }
    }

    /// The number that the outcome tells.
    fn number(&self) -> u64 {
        self.entry.outcome.map_or(0, |outcome| outcome.ino)
    }

    /// Whether it can be this inode that the outcome tells of.
    fn may_be(&self, inode: &Inode) -> bool {
        let (told, known) = (self.number(), inode.ino);
        inode.kind != Kind::File || told == 0 || known == 0 || told == known
    }

    /// At the path's last name.
    fn at(&mut self, directory: Id, name: u8) {
        let found = self.state.lookup(directory, name);
        let kind = found.map(|id| self.state.inode(id).kind);
        match (self.entry.operation.call, found, kind) {
            (Call::Create | Call::Mkdir | Call::Symlink, Some(_), _) => self.refuse(Errno::EXIST),
            (Call::Create | Call::CreateOrTruncate | Call::Mkdir | Call::Symlink, None, _) => {
                self.make(directory, name);
            }
            (Call::CreateOrTruncate, _, Some(Kind::Directory)) => self.refuse(Errno::ISDIR),
            (Call::CreateOrTruncate, _, Some(Kind::Link)) => self.refuse(Errno::LOOP),
            (_, None, _) => self.refuse(Errno::NOENT),
            (Call::Unlink, _, Some(Kind::Directory)) => self.refuse(Errno::ISDIR),
            (Call::Unlink, ..) => self.succeed(|state| state.unlink(directory, name)),
            (Call::Rmdir, Some(id), Some(Kind::Directory)) if !self.state.is_empty(id) => {
                self.refuse(Errno::NOTEMPTY);
            }
            (Call::Rmdir, _, Some(Kind::Directory)) => {
                self.succeed(|state| state.unlink(directory, name));
            }
            (Call::Rmdir, ..) => self.refuse(Errno::NOTDIR),
            (Call::Rename | Call::RenameNoReplace | Call::Exchange, Some(from), _) => {
                self.rename((directory, name), from);
                self.come_to(Progress::Found(from));
            }
            (_, Some(id), _) if self.may_be(self.state.inode(id)) => {
                self.come_to(Progress::Found(id));
            }
            _ => {}
        }
    }

    fn make(&mut self, directory: Id, name: u8) {
        if self.state.inode(directory).links == 0 {
            return self.refuse(Errno::NOENT);
        }
        let mut inode = match self.entry.operation.call {
            Call::Mkdir => Inode::new(Kind::Directory, 0, 0o755),
            Call::Symlink => Inode::new(Kind::Link, 0, 0o777),
            _ => Inode::new(Kind::File, self.number(), 0o644),
        };
        if inode.kind == Kind::Link {
            inode.word = self.entry.operation.value;
        }
        let id = self.id;
        self.succeed(|state| state.create(directory, name, id, inode));
    }

    /// The second path's directory and name, and what it means.
    fn target(&self) -> (Id, u8, Option<Id>) {
        let Path { directory, name, .. } = self.entry.operation.to;
        let directory = directory.into();
        (directory, name, self.state.lookup(directory, name))
    }

    /// How a rename ends without doing anything, once both names are known.
    fn objection(&self, from: Id, to: Option<Id>) -> Option<Outcome> {
        let refusal = |errno| Some(Outcome::error(errno));
        let is_directory = |id: Id| self.state.inode(id).kind == Kind::Directory;
        match (self.entry.operation.call, to) {
            (Call::RenameNoReplace, Some(_)) => refusal(Errno::EXIST),
            (Call::Exchange, None) => refusal(Errno::NOENT),
            (_, Some(to)) if to == from => Some(Outcome::default()),
            (Call::Rename, Some(to)) => match (is_directory(from), is_directory(to)) {
                (true, false) => refusal(Errno::NOTDIR),
                (false, true) => refusal(Errno::ISDIR),
                _ => None,
            },
            _ => None,
        }
    }

    /// The server's part of a rename.
    fn rename(&mut self, (directory, name): (Id, u8), from: Id) {
        let (to_directory, to_name, to) = self.target();
        if let Some(objection) = self.objection(from, to) {
            return self.answer(objection);
        }
        let exchange = self.entry.operation.call == Call::Exchange;
        if !exchange && to.is_some_and(|to| !self.state.is_empty(to)) {
            return self.refuse(Errno::NOTEMPTY);
        }
        self.succeed(|state| {
            if !exchange {
                state.unlink(to_directory, to_name);
            }
            state.set(directory, name, to.filter(|_| exchange));
            state.set(to_directory, to_name, Some(from));
        });
    }

    /// With what the path means.
    fn on(&mut self, id: Id) {
        let value = self.entry.operation.value;
        let inode = self.state.inode(id);
        let kind = inode.kind;
        match (self.entry.operation.call, kind) {
            (Call::Rename | Call::RenameNoReplace | Call::Exchange, _) => {
                // The guest's part, which can only refuse.
                let (_, _, to) = self.target();
                if let Some(objection) = self.objection(id, to) {
                    self.answer(objection);
                }
            }
            (Call::Link, _) => self.link(id),
            (Call::Chmod, Kind::Link) => self.refuse(Errno::NOENT),
            (Call::ReadLink, Kind::Link) => {
                self.answer(Outcome { word: inode.word, ..Outcome::default() });
            }
            (Call::ReadLink, _) => self.refuse(Errno::INVAL),
            (Call::Stat, _) => self.answer(self.attributes(inode)),
            (Call::Access, _) => self.access(inode),
            (Call::Chown | Call::SetTime, Kind::Link) => self.change(id, value),
            (_, Kind::Link) => self.refuse(Errno::LOOP),
            (
                Call::CreateOrTruncate | Call::Truncate | Call::Write | Call::SetXattr | Call::Read,
                Kind::Directory,
            ) => {
                self.refuse(Errno::ISDIR);
            }
            (Call::Read, _) => {
                let size = inode.size.min(WORD);
                self.answer(Outcome { size, word: inode.word, ..Outcome::default() });
            }
            (Call::GetXattr, _) if inode.xattr == 0 => self.refuse(Errno::NODATA),
            (Call::GetXattr, _) => {
                self.answer(Outcome { word: inode.xattr, ..Outcome::default() });
            }
            _ => self.change(id, value),
        }
    }

    fn change(&mut self, id: Id, value: u64) {
        let call = self.entry.operation.call;
        let small = u32::try_from(value).unwrap_or_default();
        self.succeed(|state| {
            let inode = state.inode_mut(id);
            match call {
                Call::Chmod => inode.mode = small,
                Call::Chown => inode.uid = small,
                Call::CreateOrTruncate => inode.truncate(0),
                Call::Truncate => inode.truncate(value),
                Call::Write => inode.write(value),
                Call::SetTime => inode.time = Some(value),
                Call::SetXattr => inode.xattr = value,
                _ => {}
            }
        });
    }

    fn link(&mut self, id: Id) {
        let (directory, name, to) = self.target();
        let inode = self.state.inode(id);
        if to.is_some() {
            self.refuse(Errno::EXIST);
        } else if inode.kind == Kind::Directory {
            self.refuse(Errno::PERM);
        } else if inode.links == 0 {
            self.refuse(Errno::NOENT);
        } else {
            self.succeed(|state| state.link(directory, name, id));
        }
    }

    /// What `stat` says. What nobody can know is taken from what was seen.
    fn attributes(&self, inode: &Inode) -> Outcome {
        let seen = self.entry.outcome.unwrap_or_default();
        let kind = inode.kind;
        let Inode { mode, uid, links, size, .. } = *inode;
        match kind {
            Kind::Link => Outcome { kind, ..Outcome::default() },
            Kind::Directory => Outcome { kind, mode, uid, ..Outcome::default() },
            Kind::File => {
                let ino = if inode.ino == 0 { seen.ino } else { inode.ino };
                let time = inode.time.unwrap_or(seen.time);
                Outcome { kind, ino, mode, uid, links, size, time, ..Outcome::default() }
            }
        }
    }

    fn access(&mut self, inode: &Inode) {
        let shift = if inode.uid == USER { 6 } else { 0 };
        let rights = u64::from(inode.mode >> shift);
        let wanted = self.entry.operation.value;
        if inode.kind == Kind::Link || rights & wanted == wanted {
            self.answer(Outcome::default());
        } else {
            self.refuse(Errno::ACCESS);
        }
    }

    /// A listing is as good as each of its names: all that are there now as they were listed.
    fn list(&mut self, seen: u32) {
        let all = (1 << NAMES) - 1;
        let listed = self.entry.outcome.unwrap_or_default().names;
        let present = self.state.listing(self.entry.operation.path.directory.into());
        let seen = seen | (!(present ^ listed) & all);
        self.come_to(if seen == all { Progress::Done } else { Progress::Listed(seen) });
    }
}
