//! Daemons that freeze, die, leave and start; mappings that outlive them.

use super::{A, B, FILE, OTHER};
use crate::budget::UNLIMITED;
use crate::host::Syscall;
use crate::ident::Hashing;
use crate::op::Op;
use crate::scope::{Grain, Scope, Watch};

pub(super) fn frozen(changes: u8) -> Scope {
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

pub(super) fn frozen_crash(daemons: u8, changes: u8) -> Scope {
    frozen(changes).with(|s| {
        (s.daemons, s.up) = (daemons, daemons);
        s.name = "frozen-crash".into();
        s.about = "the same, and a daemon is killed";
        s.replies = false;
        s.ops = vec![Op::Unlink(A), Op::Exchange(A, B)];
        s.budget.give_ups = 1;
        s.budget.crashes = 1;
    })
}

pub(super) fn frozen_dax(changes: u8) -> Scope {
    Scope::new(
        "frozen-dax",
        "a file whose name lingers is mapped, too; its daemon dies, then its VMM",
    )
    .ops(&[Op::Unlink(A), Op::Exchange(A, B), Op::Map(OTHER)])
    .with(|s| {
        s.replies = false;
        s.layout.inodes = 3;
    })
    .budget(|b| {
        b.changes = changes;
        b.give_ups = 1;
        b.crashes = 1;
    })
}

pub(super) fn crash(crashes: u8) -> Scope {
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

pub(super) fn rows() -> Scope {
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

pub(super) fn sweep(crashes: u8) -> Scope {
    Scope::new("sweep", "sweeps word by word against changes, a start (and, deeper, a death)")
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
            b.starts = 1;
            b.crashes = crashes;
        })
}

pub(super) fn restart(changes: u8) -> Scope {
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

pub(super) fn rebuild(changes: u8) -> Scope {
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

pub(super) fn dax(workers: u8) -> Scope {
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

pub(super) fn dax_crash(changes: u8) -> Scope {
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

pub(super) fn reapers(crashes: u8) -> Scope {
    Scope::new("reapers", "reapers die, too, and their reapers")
        .ops(&[Op::Write(FILE)])
        .with(|s| {
            (s.daemons, s.up) = (3, 3);
            s.layout.names = 1;
            s.layout.inodes = 2;
            s.layout.hashing = Hashing::Into(2);
            s.named = [Some(FILE), None, None];
            s.used = 2;
            s.replies = false;
        })
        .budget(|b| {
            b.changes = UNLIMITED;
            b.crashes = crashes;
        })
}

pub(super) fn hurry(crashes: u8) -> Scope {
    Scope::new("hurry", "sweeps that come too soon after the last one mark everything instead")
        .ops(&[Op::Write(FILE), Op::Unlink(A)])
        .with(|s| {
            s.watch = Watch::Fanotify;
            s.host = vec![Syscall::Write(FILE), Syscall::Unlink(A)];
            s.layout.names = 1;
            s.layout.hashing = Hashing::Into(2);
            s.layout.inodes = 2;
            s.named = [Some(FILE), None, None];
            s.used = 2;
            s.blind = true;
            s.replies = false;
        })
        .budget(|b| {
            b.changes = 1;
            b.host = 1;
            b.overflows = 1;
            b.crashes = crashes;
            b.hurries = 2;
        })
}
