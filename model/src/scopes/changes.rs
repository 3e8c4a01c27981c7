//! Daemons that live, and what they change.

use super::{A, B, C, DIR, FILE, OTHER};
use crate::budget::UNLIMITED;
use crate::ident::{Hashing, Ino};
use crate::op::Op;
use crate::scope::{Grain, Scope, file_ops, name_ops};

pub(super) fn names() -> Scope {
    Scope::new("names", "two daemons change two names of one directory, any number of times")
        .ops(&name_ops())
        .budget(|b| b.changes = UNLIMITED)
}

pub(super) fn words() -> Scope {
    names().with(|s| {
        s.name = "words".into();
        s.about = "the same, every word a step of its own";
        s.grain = Grain::Word;
    })
}

pub(super) fn mixed() -> Scope {
    names().ops(&file_ops()).ops(&[Op::CreateTrunc(A), Op::CreateTrunc(B)]).with(|s| {
        s.name = "mixed".into();
        s.about = "every operation, any number of times";
        s.suid = vec![FILE];
    })
}

pub(super) fn trio() -> Scope {
    mixed().with(|s| {
        s.name = "trio".into();
        s.about = "every operation, three daemons";
        s.daemons = 3;
        s.up = 3;
    })
}

pub(super) fn readers(reads: u8) -> Scope {
    Scope::new("readers", "LOOKUP and GETATTR in micro-steps, every word a step of its own")
        .ops(&[
            Op::Lookup(A),
            Op::Lookup(B),
            Op::Getattr(DIR),
            Op::Getattr(FILE),
            Op::Create(B),
            Op::Unlink(A),
            Op::Rename(A, B),
            Op::Write(FILE),
        ])
        .with(|s| {
            s.always = false;
            s.grain = Grain::Word;
            s.named = [Some(FILE), None, None];
            s.used = 2;
            s.layout.inodes = 3;
        })
        .budget(|b| {
            b.changes = reads;
            b.reads = reads;
        })
}

pub(super) fn directories() -> Scope {
    Scope::new("directories", "renames and exchanges between two directories")
        .ops(&[
            Op::Rename(A, B),
            Op::Rename(B, A),
            Op::Exchange(A, B),
            Op::Unlink(A),
            Op::Rename(C, A),
            Op::Create(A),
        ])
        .with(|s| {
            s.layout.names = 3;
            s.layout.dirs = 2;
            s.layout.inodes = 5;
            s.layout.parents = [DIR, Ino(1), DIR];
            s.named = [Some(Ino(2)), Some(Ino(3)), None];
            s.used = 4;
        })
        .budget(|b| b.changes = UNLIMITED)
}

pub(super) fn files() -> Scope {
    Scope::new("files", "contents, mode, xattrs and O_TRUNC of one file")
        .ops(&file_ops())
        .ops(&[Op::CreateTrunc(A), Op::Unlink(A)])
        .with(|s| {
            s.layout.names = 1;
            s.layout.inodes = 3;
            s.named = [Some(FILE), None, None];
            s.used = 2;
            s.suid = vec![FILE];
        })
        .budget(|b| b.changes = UNLIMITED)
}

pub(super) fn collisions(slots: u8) -> Scope {
    mixed().with(|s| {
        s.name = "collisions".into();
        s.about = "everything hashes into a few slots";
        s.layout.hashing = Hashing::Into(slots);
    })
}

pub(super) fn folding() -> Scope {
    Scope::new("folding", "a and b are one name to a directory that folds case")
        .ops(&[
            Op::Create(A),
            Op::Create(B),
            Op::Unlink(A),
            Op::Unlink(B),
            Op::Rename(C, B),
            Op::Rename(A, C),
        ])
        .with(|s| {
            s.layout.folds = true;
            s.layout.names = 3;
            s.named = [Some(FILE), None, Some(OTHER)];
        })
        .budget(|b| b.changes = UNLIMITED)
}

pub(super) fn wrap() -> Scope {
    Scope::new("wrap", "every generation is the last before it wraps to 0")
        .ops(&[Op::Write(FILE), Op::Chmod(FILE), Op::Unlink(A), Op::Create(A)])
        .with(|s| s.first_word = 0xFFFF_FFFF_FFFF << 16)
        .budget(|b| b.changes = UNLIMITED)
}

pub(super) fn saturation() -> Scope {
    Scope::new("saturation", "65,533 changes in progress on every slot, and some more")
        .ops(&[Op::Write(FILE), Op::Unlink(A), Op::Create(A)])
        .with(|s| {
            s.crowd = 0xFFFD;
            s.daemons = 3;
            s.up = 3;
        })
        .budget(|b| b.changes = UNLIMITED)
}
