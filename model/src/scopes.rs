//! The scopes: what is explored by default, and how much further `--long` goes.

use crate::host::Syscall;
use crate::ident::{Hashing, Ino, Name};
use crate::op::Op;
use crate::scope::{Grain, Scope, Watch, file_ops, name_ops};
use crate::state::UNLIMITED;

const A: Name = Name(0);
const B: Name = Name(1);
const C: Name = Name(2);
const DIR: Ino = Ino(0);
const FILE: Ino = Ino(1);
const OTHER: Ino = Ino(2);

/// Every scope; the deeper ones with `long`.
#[must_use]
pub fn all(long: bool) -> Vec<Scope> {
    let deep = u8::from(long);
    let mut scopes = vec![
        names(),
        words(),
        mixed(),
        readers(if long { UNLIMITED } else { 2 }),
        directories(),
        files(),
        collisions(3),
        folding(),
        wrap(),
        saturation(),
        frozen(3 + deep),
        frozen_crash(2 + deep),
        crash(1 + deep),
        rows(),
        sweep(deep),
        restart(1 + deep),
        rebuild(2 + deep),
        dax(1 + deep),
        dax_crash(2 + deep),
        host(1 + deep, 1),
        inotify(2, 1 + deep),
        aba(1 + deep),
        unheard(1 + deep),
    ];
    if long {
        scopes.extend([collisions(2), trio(), host(1, 2)]);
    }
    scopes
}

fn names() -> Scope {
    Scope::new("names", "two daemons change two names of one directory, any number of times")
        .ops(&name_ops())
        .budget(|b| b.changes = UNLIMITED)
}

fn words() -> Scope {
    names().with(|s| {
        s.name = "words";
        s.about = "the same, every word a step of its own";
        s.grain = Grain::Word;
    })
}

fn mixed() -> Scope {
    names().ops(&file_ops()).ops(&[Op::CreateTrunc(A), Op::CreateTrunc(B)]).with(|s| {
        s.name = "mixed";
        s.about = "every operation, any number of times";
        s.suid = vec![FILE];
    })
}

fn trio() -> Scope {
    mixed().with(|s| {
        s.name = "trio";
        s.about = "the same with three daemons";
        s.daemons = 3;
        s.up = 3;
    })
}

fn readers(reads: u8) -> Scope {
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

fn directories() -> Scope {
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

fn files() -> Scope {
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

fn collisions(slots: u8) -> Scope {
    mixed().with(|s| {
        s.name = if slots == 3 { "collisions" } else { "collisions-2" };
        s.about = "everything hashes into a few slots";
        s.layout.hashing = Hashing::Into(slots);
    })
}

fn folding() -> Scope {
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

fn wrap() -> Scope {
    Scope::new("wrap", "every generation is the last before it wraps to 0")
        .ops(&[Op::Write(FILE), Op::Chmod(FILE), Op::Unlink(A), Op::Create(A)])
        .with(|s| s.first_word = 0xFFFF_FFFF_FFFF << 16)
        .budget(|b| b.changes = UNLIMITED)
}

fn saturation() -> Scope {
    Scope::new("saturation", "65,533 changes in progress on every slot, and some more")
        .ops(&[Op::Write(FILE), Op::Unlink(A), Op::Create(A)])
        .with(|s| {
            s.crowd = 0xFFFD;
            s.daemons = 3;
            s.up = 3;
        })
        .budget(|b| b.changes = UNLIMITED)
}

fn frozen(changes: u8) -> Scope {
    Scope::new("frozen", "a daemon that stops while it holds a name lock; others give up waiting")
        .ops(&[Op::Unlink(A), Op::Exchange(A, B), Op::Rename(B, A), Op::Link(OTHER, A)])
        .with(|s| {
            s.daemons = 3;
            s.up = 3;
        })
        .budget(|b| {
            b.changes = changes;
            b.give_ups = UNLIMITED;
        })
}

fn frozen_crash(changes: u8) -> Scope {
    frozen(changes).with(|s| {
        s.name = "frozen-crash";
        s.about = "the same, and a daemon is killed";
        s.replies = false;
        s.ops = vec![Op::Unlink(A), Op::Exchange(A, B)];
        s.budget.give_ups = 1;
        s.budget.crashes = 1;
    })
}

fn crash(crashes: u8) -> Scope {
    Scope::new("crash", "three daemons, killed anywhere; two of them reap the same one")
        .ops(&[Op::Unlink(A), Op::Write(FILE), Op::Link(FILE, B)])
        .with(|s| {
            s.daemons = 3;
            s.up = 3;
            s.named = [Some(FILE), None, None];
            s.used = 2;
            s.layout.inodes = 2;
            s.replies = false;
        })
        .budget(|b| {
            b.changes = UNLIMITED;
            b.crashes = crashes;
        })
}

fn rows() -> Scope {
    Scope::new(
        "rows",
        "a dead daemon's row is taken by a new daemon while two others still reap it",
    )
    .ops(&[Op::Write(FILE)])
    .with(|s| {
        s.daemons = 3;
        s.up = 3;
        s.layout.names = 1;
        s.named = [Some(FILE), None, None];
        s.used = 2;
        s.layout.inodes = 2;
        s.replies = false;
    })
    .budget(|b| {
        b.changes = UNLIMITED;
        b.crashes = 1;
        b.starts = 1;
    })
}

fn sweep(crashes: u8) -> Scope {
    Scope::new("sweep", "sweeps word by word against changes, crashes and a start")
        .ops(&[Op::Lookup(A), Op::Getattr(FILE), Op::Write(FILE), Op::Unlink(A), Op::Create(A)])
        .with(|s| {
            s.daemons = 3;
            s.up = 2;
            s.grain = Grain::Word;
            s.layout.names = 1;
            s.layout.hashing = Hashing::Into(3);
            s.named = [Some(FILE), None, None];
            s.used = 2;
            s.layout.inodes = 3;
        })
        .budget(|b| {
            b.changes = UNLIMITED;
            b.reads = crashes;
            b.starts = 1;
            b.crashes = crashes;
        })
}

fn restart(changes: u8) -> Scope {
    Scope::new(
        "restart",
        "daemons that leave, die and start, and a lost host-only file, while the host changes",
    )
    .ops(&[Op::Write(FILE), Op::Create(B)])
    .with(|s| {
        s.up = 2;
        s.watch = Watch::Fanotify;
        s.exits = true;
        s.host = vec![Syscall::Write(FILE), Syscall::Unlink(A)];
        s.replies = false;
    })
    .budget(|b| {
        b.changes = changes;
        b.host = 1;
        b.crashes = 2;
        b.starts = 1;
        b.losses = 1;
    })
}

fn rebuild(changes: u8) -> Scope {
    Scope::new("rebuild", "a table rebuilt in place, word by word, with crashes")
        .ops(&[Op::Write(FILE), Op::Unlink(A)])
        .with(|s| {
            s.daemons = 3;
            s.up = 1;
            s.rebuild = true;
            s.grain = Grain::Word;
            s.layout.names = 1;
            s.layout.hashing = Hashing::Into(2);
            s.named = [Some(FILE), None, None];
            s.used = 2;
            s.layout.inodes = 2;
            s.replies = false;
        })
        .budget(|b| {
            b.changes = changes;
            b.crashes = 2;
            b.starts = 2;
        })
}

fn dax(workers: u8) -> Scope {
    Scope::new("dax", "writable mappings of one file by two guests, with stores")
        .ops(&[Op::Map(FILE), Op::Unmap(FILE), Op::Write(FILE), Op::Chmod(FILE)])
        .with(|s| {
            s.layout.names = 1;
            s.layout.inodes = 2;
            s.named = [Some(FILE), None, None];
            s.used = 2;
            s.workers = workers;
        })
        .budget(|b| {
            b.changes = if workers == 1 { UNLIMITED } else { 5 };
            b.stores = UNLIMITED;
        })
}

fn dax_crash(changes: u8) -> Scope {
    Scope::new("dax-crash", "daemons die while their VMM goes on storing; reap, start and rebuild")
        .ops(&[Op::Map(FILE), Op::Unmap(FILE), Op::Write(FILE)])
        .with(|s| {
            s.daemons = 3;
            s.up = 2;
            s.rebuild = true;
            s.layout.names = 1;
            s.layout.inodes = 2;
            s.named = [Some(FILE), None, None];
            s.used = 2;
            s.replies = false;
        })
        .budget(|b| {
            b.changes = changes;
            b.stores = 1;
            b.crashes = 2;
            b.starts = 1;
        })
}

fn host(changes: u8, on_host: u8) -> Scope {
    Scope::new(
        "host",
        "changes made on the host, seen by fanotify; overflow, blind events, a crash",
    )
    .ops(&[Op::Unlink(A), Op::Rename(A, B), Op::Write(FILE)])
    .with(|s| {
        s.watch = Watch::Fanotify;
        s.host = vec![Syscall::Rename(B, A), Syscall::Write(FILE), Syscall::Create(A)];
        s.blind = true;
        s.replies = false;
    })
    .budget(|b| {
        b.changes = changes;
        b.host = on_host;
        b.crashes = 1;
        b.overflows = 1;
    })
}

fn inotify(changes: u8, on_host: u8) -> Scope {
    Scope::new(
        "inotify",
        "changes made on the host, seen by inotify: no pid, merged, watched on first use",
    )
    .ops(&[Op::Lookup(A), Op::Getattr(FILE), Op::Create(A), Op::Unlink(A), Op::Write(FILE)])
    .with(|s| {
        s.watch = Watch::Inotify;
        s.host = vec![Syscall::Write(FILE), Syscall::Rename(A, B), Syscall::Rename(B, A)];
        s.workers = 2;
        s.up = 1;
        s.daemons = 1;
        s.always = false;
        s.replies = false;
    })
    .budget(|b| {
        b.changes = changes;
        b.reads = 2;
        b.host = on_host;
    })
}

fn aba(changes: u8) -> Scope {
    Scope::new("aba", "on the host a name comes to mean another file, and then the same again")
        .ops(&[Op::Lookup(A), Op::Create(A)])
        .with(|s| {
            s.watch = Watch::Inotify;
            s.host = vec![Syscall::Rename(A, C), Syscall::Rename(C, A)];
            s.layout.names = 3;
            s.named = [None, Some(OTHER), None];
            s.up = 1;
            s.daemons = 1;
            s.always = false;
            s.replies = false;
        })
        .budget(|b| {
            b.changes = changes;
            b.reads = 2;
            b.host = 2;
        })
}

fn unheard(crashes: u8) -> Scope {
    Scope::new("unheard", "a daemon dies with events that no other daemon has a watch for")
        .ops(&[Op::Lookup(A), Op::Getattr(FILE), Op::Write(FILE)])
        .with(|s| {
            s.watch = Watch::Inotify;
            s.host = vec![Syscall::Write(FILE), Syscall::Unlink(A)];
            s.always = false;
            s.replies = false;
        })
        .budget(|b| {
            b.changes = 1;
            b.reads = 2;
            b.host = 2;
            b.crashes = crashes;
        })
}
