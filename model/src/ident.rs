//! What can be cached: identities, their values, and the slot that each identity hashes to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most names that a scope may have.
pub const MAX_NAMES: usize = 3;

/// The most inodes that a scope may have.
pub const MAX_INODES: usize = 6;

/// A name in a directory (`a`, `b`, `c`); the scope says in which directory it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name(pub u8);

/// An inode. Directories come first, files after them; numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ino(pub u8);

/// A thing that a guest may cache and that has a slot of its own (page, "The table").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Identity {
    /// What a name means, "nothing" included.
    Entry(Name),
    /// Type, mode, owner, ACLs.
    Perm(Ino),
    /// Every attribute, xattrs, a directory's listing.
    Attr(Ino),
    /// File contents.
    Data(Ino),
}

/// What the host answers when it is asked for an [`Identity`].
///
/// Versions are never reused, so a stale copy can never look right by accident: the strictest host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Value {
    /// The name does not exist.
    Nothing,
    /// The name means this inode.
    Is(Ino),
    /// The version of attributes or contents.
    Version(u8),
    /// Mode bits: their version, and whether the suid bit is among them.
    Mode(u8, bool),
    /// A guest's cached pages with its own write laid over bytes that were not the file's: never right.
    Mixed,
}

/// How identities are spread over slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// Every identity has a slot of its own.
    Apart,
    /// Only so many slots: identities collide.
    Into(u8),
}

/// The shape of the small world: how many of each thing there are, and where identities hash to.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Number of names.
    pub names: u8,
    /// Number of directories; they are the inodes `0..dirs`.
    pub dirs: u8,
    /// Number of inodes, directories included.
    pub inodes: u8,
    /// The spread over slots.
    pub hashing: Hashing,
    /// The directory of each name.
    pub parents: [Ino; MAX_NAMES],
    /// The directory of `a` and `b` does not compare names byte for byte: both mean the same thing.
    pub folds: bool,
}

impl Layout {
    /// The directory that a name lives in.
    #[must_use]
    pub fn parent(&self, name: Name) -> Ino {
        self.parents[usize::from(name.0)]
    }

    /// Whether the name lives in a directory that does not compare byte for byte.
    #[must_use]
    pub fn is_folded(&self, name: Name) -> bool {
        self.folds && name.0 < 2
    }

    /// The name under which the host keeps `name`.
    #[must_use]
    pub fn stored_as(&self, name: Name) -> Name {
        if self.folds && name == Name(1) { Name(0) } else { name }
    }

    /// The slot of an identity.
    #[must_use]
    pub fn slot(&self, id: Identity) -> u8 {
        let files = self.inodes - self.dirs;
        let own = match id {
            Identity::Entry(n) => n.0,
            Identity::Attr(i) => self.names + i.0,
            Identity::Perm(i) => self.names + self.inodes + i.0 - self.dirs,
            Identity::Data(i) => self.names + self.inodes + files + i.0 - self.dirs,
        };
        match self.hashing {
            Hashing::Apart => own,
            Hashing::Into(slots) => own % slots,
        }
    }

    /// Number of slots in the table.
    #[must_use]
    pub fn slots(&self) -> u8 {
        match self.hashing {
            Hashing::Apart => self.names + self.inodes + 2 * (self.inodes - self.dirs),
            Hashing::Into(slots) => slots,
        }
    }

    /// Every identity of the world. Of directories only attributes are modelled.
    pub fn identities(&self) -> impl Iterator<Item = Identity> + use<> {
        let (names, dirs, inodes) = (self.names, self.dirs, self.inodes);
        let entries = (0..names).map(|n| Identity::Entry(Name(n)));
        let attrs = (0..inodes).map(|i| Identity::Attr(Ino(i)));
        let rest = (dirs..inodes).flat_map(|i| [Identity::Perm(Ino(i)), Identity::Data(Ino(i))]);
        entries.chain(attrs).chain(rest)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(b'a' + self.0))
    }
}

impl fmt::Display for Ino {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(n) => write!(f, "entry({n})"),
            Self::Perm(i) => write!(f, "perm({i})"),
            Self::Attr(i) => write!(f, "attr({i})"),
            Self::Data(i) => write!(f, "data({i})"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "no such name"),
            Self::Is(i) => write!(f, "inode {i}"),
            Self::Version(v) => write!(f, "version {v}"),
            Self::Mode(v, suid) => {
                write!(f, "version {v}{}", if *suid { " with suid" } else { "" })
            }
            Self::Mixed => write!(f, "a mixture of old pages and its own write"),
        }
    }
}

#[cfg(test)]
#[path = "ident_tests.rs"]
mod tests;
