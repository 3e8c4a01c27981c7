//! The host's file system: the single truth. Every system call is atomic.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::ident::{Identity, Ino, Layout, MAX_INODES, MAX_NAMES, Name, Value};

/// A system call that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Syscall {
    /// `open(O_CREAT | O_EXCL)`, `mknod`, `mkdir`, `symlink`.
    Create(Name),
    /// `unlink`, `rmdir`.
    Unlink(Name),
    /// `link`: a second name for an inode that is held by descriptor.
    Link(Ino, Name),
    /// `rename`, which replaces what the second name meant.
    Rename(Name, Name),
    /// `renameat2(RENAME_EXCHANGE)`.
    Exchange(Name, Name),
    /// `chmod u+s`: a change of mode that sets the suid bit.
    Chmod(Ino),
    /// `write`, `fallocate`, `copy_file_range`: contents and times; suid falls.
    Write(Ino),
    /// `ftruncate`: like a write, as far as caches are concerned.
    Truncate(Ino),
    /// `setxattr` of an ordinary attribute.
    SetXattr(Ino),
    /// `setxattr` of an ACL.
    SetAcl(Ino),
    /// A store through a shared mapping: contents and times; suid stays.
    Store(Ino),
}

/// The answers that a system call changed: what it was about, and what was true before.
pub type Changed = SmallVec<[(Identity, Value); 8]>;

/// The system call failed and changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// Versions of one inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inode {
    /// Mode and ACLs.
    pub perm: u8,
    /// The suid bit.
    pub suid: bool,
    /// All attributes (moves whenever anything about the inode moves).
    pub attr: u8,
    /// Contents.
    pub data: u8,
}

/// Names, inodes and their versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// What each name means.
    pub names: [Option<Ino>; MAX_NAMES],
    /// The inodes, used or not.
    pub inodes: [Inode; MAX_INODES],
    /// Which of them exist (a bit each).
    pub created: u8,
    /// The next version to be handed out.
    pub clock: u8,
}

impl Host {
    /// What an uncached access is answered.
    #[must_use]
    pub fn answer(&self, layout: &Layout, id: Identity) -> Value {
        let inode = |i: Ino| &self.inodes[usize::from(i.0)];
        match id {
            Identity::Entry(n) => self.meaning(layout, n).map_or(Value::Nothing, Value::Is),
            Identity::Perm(i) => Value::Mode(inode(i).perm, inode(i).suid),
            Identity::Attr(i) => Value::Version(inode(i).attr),
            Identity::Data(i) => Value::Version(inode(i).data),
        }
    }

    /// The inode that a name means.
    #[must_use]
    pub fn meaning(&self, layout: &Layout, name: Name) -> Option<Ino> {
        self.names[usize::from(layout.stored_as(name).0)]
    }

    /// Whether the inode has been created.
    #[must_use]
    pub fn exists(&self, ino: Ino) -> bool {
        self.created >> ino.0 & 1 == 1
    }

    /// The first inode that does not exist.
    fn unused(&self, layout: &Layout) -> Option<Ino> {
        (0..layout.inodes).map(Ino).find(|&ino| !self.exists(ino))
    }

    /// Runs one system call. `Err`: it failed and changed nothing.
    ///
    /// On success answers the inode that was created, moved or changed, and all that has changed.
    ///
    /// # Errors
    /// The name exists, or does not, or no inode is left: the system call fails.
    pub fn call(&mut self, layout: &Layout, call: Syscall) -> Result<(Ino, Changed), Failed> {
        let before = self.clone();
        let subject = self.apply(layout, call)?;
        let changed = layout
            .identities()
            .map(|id| (id, before.answer(layout, id)))
            .filter(|&(id, old)| old != self.answer(layout, id))
            .collect();
        Ok((subject, changed))
    }

    fn apply(&mut self, layout: &Layout, call: Syscall) -> Result<Ino, Failed> {
        match call {
            Syscall::Create(name) => {
                if self.meaning(layout, name).is_some() {
                    return Err(Failed);
                }
                let new = self.unused(layout).ok_or(Failed)?;
                self.created |= 1 << new.0;
                self.set(layout, name, Some(new));
                Ok(new)
            }
            Syscall::Unlink(name) => {
                let child = self.meaning(layout, name).ok_or(Failed)?;
                self.set(layout, name, None);
                self.touch(child);
                Ok(child)
            }
            Syscall::Link(ino, name) => {
                if self.meaning(layout, name).is_some() {
                    return Err(Failed);
                }
                self.set(layout, name, Some(ino));
                self.touch(ino);
                Ok(ino)
            }
            Syscall::Rename(from, to) => self.rename(layout, from, to),
            Syscall::Exchange(from, to) => {
                let moved = self.meaning(layout, from).ok_or(Failed)?;
                let other = self.meaning(layout, to).ok_or(Failed)?;
                self.set(layout, from, Some(other));
                self.set(layout, to, Some(moved));
                self.touch(moved);
                self.touch(other);
                Ok(moved)
            }
            Syscall::Chmod(ino) => Ok(self.alter(ino, Some(true), false)),
            Syscall::SetAcl(ino) => {
                let suid = self.inodes[usize::from(ino.0)].suid;
                Ok(self.alter(ino, Some(suid), false))
            }
            Syscall::SetXattr(ino) => Ok(self.alter(ino, None, false)),
            Syscall::Store(ino) => Ok(self.alter(ino, None, true)),
            Syscall::Write(ino) | Syscall::Truncate(ino) => {
                let falls = self.inodes[usize::from(ino.0)].suid;
                Ok(self.alter(ino, falls.then_some(false), true))
            }
        }
    }

    fn rename(&mut self, layout: &Layout, from: Name, to: Name) -> Result<Ino, Failed> {
        let moved = self.meaning(layout, from).ok_or(Failed)?;
        let replaced = self.meaning(layout, to);
        if replaced == Some(moved) {
            return Ok(moved); // POSIX: two names of one file, nothing happens
        }
        self.set(layout, from, None);
        self.set(layout, to, Some(moved));
        self.touch(moved);
        if let Some(replaced) = replaced {
            self.touch(replaced);
        }
        Ok(moved)
    }

    fn set(&mut self, layout: &Layout, name: Name, meaning: Option<Ino>) {
        self.names[usize::from(layout.stored_as(name).0)] = meaning;
        self.touch(layout.parent(name));
    }

    /// Link count or times of an inode moved.
    fn touch(&mut self, ino: Ino) {
        self.alter(ino, None, false);
    }

    fn alter(&mut self, ino: Ino, suid: Option<bool>, data: bool) -> Ino {
        let version = self.clock;
        self.clock += 1;
        let inode = &mut self.inodes[usize::from(ino.0)];
        inode.attr = version;
        if let Some(suid) = suid {
            inode.perm = version;
            inode.suid = suid;
        }
        if data {
            inode.data = version;
        }
        ino
    }
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
