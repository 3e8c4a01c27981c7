//! What guests ask for, and the page's table "Which operation announces what".

use std::fmt;

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use crate::host::Syscall;
use crate::ident::{Identity, Ino, Layout, Name};

/// A guest's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// LOOKUP, and each entry of READDIRPLUS.
    Lookup(Name),
    /// GETATTR, STATX, and OPENDIR of a directory (its listing is covered by `attr`).
    Getattr(Ino),
    /// CREATE, MKNOD, MKDIR, SYMLINK.
    Create(Name),
    /// CREATE with O_TRUNC: creates the file or truncates the one that is there.
    CreateTrunc(Name),
    /// UNLINK, RMDIR.
    Unlink(Name),
    /// LINK, and linking a TMPFILE.
    Link(Ino, Name),
    /// RENAME.
    Rename(Name, Name),
    /// RENAME2 with EXCHANGE.
    Exchange(Name, Name),
    /// SETATTR of the mode; here it sets suid.
    Chmod(Ino),
    /// SETATTR of the size, OPEN with O_TRUNC.
    Truncate(Ino),
    /// WRITE, FALLOCATE, COPY_FILE_RANGE.
    Write(Ino),
    /// A WRITE that fails after it has written a part.
    WriteFails(Ino),
    /// SETXATTR, REMOVEXATTR of an ordinary attribute.
    SetXattr(Ino),
    /// SETXATTR of an ACL or of `security.capability`.
    SetAcl(Ino),
    /// SETUPMAPPING for write: the file enters the guest's DAX window.
    Map(Ino),
    /// REMOVEMAPPING.
    Unmap(Ino),
}

/// Operations without their arguments: the rows of the page's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of the operations in `Op`")]
pub enum OpKind {
    Create,
    CreateTrunc,
    Unlink,
    Link,
    Rename,
    Exchange,
    Chmod,
    Truncate,
    Write,
    SetXattr,
    SetAcl,
    Map,
}

/// One item of what an operation announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The entry (of a rename: the old name's).
    Entry,
    /// The new name's entry.
    NewEntry,
    /// The parent's attributes (of a rename: the old name's parent).
    Parent,
    /// The new name's parent's attributes.
    NewParent,
    /// The inode's attributes (of a rename: the moved inode's).
    Attr,
    /// The attributes of the replaced or exchanged inode.
    OtherAttr,
    /// The inode's mode, owner and ACLs.
    Perm,
    /// The inode's contents.
    Data,
}

/// What an operation announces.
pub type Announced = SmallVec<[(Part, Identity); 8]>;

impl Op {
    /// The row of the table, for operations that change something.
    #[must_use]
    pub fn kind(self) -> Option<OpKind> {
        Some(match self {
            Self::Lookup(_) | Self::Getattr(_) | Self::Unmap(_) => return None,
            Self::Create(_) => OpKind::Create,
            Self::CreateTrunc(_) => OpKind::CreateTrunc,
            Self::Unlink(_) => OpKind::Unlink,
            Self::Link(..) => OpKind::Link,
            Self::Rename(..) => OpKind::Rename,
            Self::Exchange(..) => OpKind::Exchange,
            Self::Chmod(_) => OpKind::Chmod,
            Self::Truncate(_) => OpKind::Truncate,
            Self::Write(_) | Self::WriteFails(_) => OpKind::Write,
            Self::SetXattr(_) => OpKind::SetXattr,
            Self::SetAcl(_) => OpKind::SetAcl,
            Self::Map(_) => OpKind::Map,
        })
    }

    /// Whether it only reads.
    #[must_use]
    pub fn reads_only(self) -> bool {
        matches!(self, Self::Lookup(_) | Self::Getattr(_))
    }

    /// The names that it changes, which it must hold locks for.
    #[must_use]
    pub fn names(self) -> SmallVec<[Name; 2]> {
        match self {
            Self::Create(n) | Self::CreateTrunc(n) | Self::Unlink(n) | Self::Link(_, n) => {
                smallvec![n]
            }
            Self::Rename(a, b) | Self::Exchange(a, b) => smallvec![a, b],
            _ => SmallVec::new(),
        }
    }

    /// Whether it must know which inodes its names mean before it can announce.
    #[must_use]
    pub fn resolves(self) -> bool {
        matches!(self, Self::Unlink(_) | Self::Rename(..) | Self::Exchange(..))
    }

    /// The inode that the request names by nodeid.
    #[must_use]
    pub fn target(self) -> Option<Ino> {
        match self {
            Self::Getattr(i)
            | Self::Link(i, _)
            | Self::Chmod(i)
            | Self::Truncate(i)
            | Self::Write(i)
            | Self::WriteFails(i)
            | Self::SetXattr(i)
            | Self::SetAcl(i)
            | Self::Map(i)
            | Self::Unmap(i) => Some(i),
            _ => None,
        }
    }

    /// The system call that changes the host.
    #[must_use]
    pub fn syscall(self) -> Option<Syscall> {
        Some(match self {
            Self::Create(n) | Self::CreateTrunc(n) => Syscall::Create(n),
            Self::Unlink(n) => Syscall::Unlink(n),
            Self::Link(i, n) => Syscall::Link(i, n),
            Self::Rename(a, b) => Syscall::Rename(a, b),
            Self::Exchange(a, b) => Syscall::Exchange(a, b),
            Self::Chmod(i) => Syscall::Chmod(i),
            Self::Truncate(i) => Syscall::Truncate(i),
            Self::Write(i) | Self::WriteFails(i) => Syscall::Write(i),
            Self::SetXattr(i) => Syscall::SetXattr(i),
            Self::SetAcl(i) => Syscall::SetAcl(i),
            Self::Lookup(_) | Self::Getattr(_) | Self::Map(_) | Self::Unmap(_) => return None,
        })
    }

    /// The name whose meaning its reply carries.
    #[must_use]
    pub fn replies_name(self) -> Option<Name> {
        match self {
            Self::Lookup(n) | Self::Create(n) | Self::CreateTrunc(n) | Self::Link(_, n) => Some(n),
            _ => None,
        }
    }

    /// What it announces before its system call. `found`: what its names meant when it resolved them.
    #[must_use]
    pub fn announces(self, layout: &Layout, found: [Option<Ino>; 2]) -> Announced {
        let entry = |n| (Part::Entry, Identity::Entry(n));
        let parent = |n| (Part::Parent, Identity::Attr(layout.parent(n)));
        let attr = |i| (Part::Attr, Identity::Attr(i));
        let perm = |i| (Part::Perm, Identity::Perm(i));
        let data = |i| (Part::Data, Identity::Data(i));
        match self {
            Self::Lookup(_) | Self::Getattr(_) | Self::Unmap(_) => SmallVec::new(),
            Self::Create(n) | Self::CreateTrunc(n) => smallvec![entry(n), parent(n)],
            Self::Link(i, n) => smallvec![entry(n), parent(n), attr(i)],
            Self::Unlink(n) => {
                let mut all: Announced = smallvec![entry(n), parent(n)];
                all.extend(found[0].map(attr));
                all
            }
            Self::Rename(a, b) | Self::Exchange(a, b) => {
                let mut all: Announced = smallvec![
                    entry(a),
                    (Part::NewEntry, Identity::Entry(b)),
                    parent(a),
                    (Part::NewParent, Identity::Attr(layout.parent(b))),
                ];
                all.extend(found[0].map(attr));
                all.extend(found[1].map(|i| (Part::OtherAttr, Identity::Attr(i))));
                all
            }
            Self::SetXattr(i) => smallvec![attr(i)],
            Self::Chmod(i) | Self::SetAcl(i) => smallvec![attr(i), perm(i)],
            Self::Write(i) | Self::WriteFails(i) | Self::Truncate(i) => truncation(i),
            Self::Map(i) => smallvec![attr(i), data(i)],
        }
    }
}

/// What a change of contents announces. With `perm` always: "only if suid falls" is a race.
#[must_use]
pub fn truncation(ino: Ino) -> Announced {
    smallvec![
        (Part::Attr, Identity::Attr(ino)),
        (Part::Data, Identity::Data(ino)),
        (Part::Perm, Identity::Perm(ino)),
    ]
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(n) => write!(f, "LOOKUP {n}"),
            Self::Getattr(i) => write!(f, "GETATTR {i}"),
            Self::Create(n) => write!(f, "CREATE {n}"),
            Self::CreateTrunc(n) => write!(f, "CREATE|O_TRUNC {n}"),
            Self::Unlink(n) => write!(f, "UNLINK {n}"),
            Self::Link(i, n) => write!(f, "LINK {i} as {n}"),
            Self::Rename(a, b) => write!(f, "RENAME {a} to {b}"),
            Self::Exchange(a, b) => write!(f, "EXCHANGE {a} and {b}"),
            Self::Chmod(i) => write!(f, "SETATTR {i} (mode, u+s)"),
            Self::Truncate(i) => write!(f, "SETATTR {i} (size)"),
            Self::Write(i) => write!(f, "WRITE {i}"),
            Self::WriteFails(i) => write!(f, "WRITE {i} (fails half-way)"),
            Self::SetXattr(i) => write!(f, "SETXATTR {i}"),
            Self::SetAcl(i) => write!(f, "SETXATTR {i} (ACL)"),
            Self::Map(i) => write!(f, "SETUPMAPPING {i} (for write)"),
            Self::Unmap(i) => write!(f, "REMOVEMAPPING {i}"),
        }
    }
}

#[cfg(test)]
#[path = "op_tests.rs"]
mod tests;
