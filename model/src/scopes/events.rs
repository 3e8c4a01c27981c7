//! Changes made on the host.

use super::{A, B, C, FILE, OTHER};
use crate::host::Syscall;
use crate::op::Op;
use crate::scope::{Grain, Scope, Watch};

pub(super) fn host(changes: u8, on_host: u8) -> Scope {
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

pub(super) fn inotify(changes: u8, on_host: u8) -> Scope {
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

pub(super) fn aba(changes: u8) -> Scope {
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

pub(super) fn unheard(crashes: u8) -> Scope {
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

/// One directory with one name of one file.
fn small(scope: &mut Scope) {
    scope.layout.names = 1;
    scope.layout.inodes = 2;
    scope.named = [Some(FILE), None, None];
    scope.used = 2;
    scope.always = false;
}

pub(super) fn echo(reads: u8) -> Scope {
    Scope::new(
        "echo",
        "two daemons hear of the same change on the host, and each answers for its own stamps",
    )
    .ops(&[Op::Lookup(A), Op::Getattr(FILE), Op::Write(FILE), Op::Unlink(A)])
    .with(|s| {
        small(s);
        s.watch = Watch::Fanotify;
        s.host = vec![Syscall::Write(FILE), Syscall::Unlink(A)];
        s.replies = false;
    })
    .budget(|b| {
        b.changes = 1;
        b.reads = reads;
        b.host = 2;
        b.crashes = 1;
    })
}

pub(super) fn promise(changes: u8) -> Scope {
    Scope::new("promise", "two workers of one daemon give stamps while it handles events")
        .ops(&[Op::Lookup(A), Op::Getattr(FILE), Op::Chmod(FILE)])
        .with(|s| {
            small(s);
            s.watch = Watch::Fanotify;
            s.host = vec![Syscall::Write(FILE), Syscall::Unlink(A), Syscall::Chmod(FILE)];
            s.daemons = 1;
            s.up = 1;
            s.workers = 2;
        })
        .budget(|b| {
            b.changes = changes;
            b.reads = 2;
            b.host = 2;
        })
}

pub(super) fn deaf(daemons: u8) -> Scope {
    Scope::new("deaf", "a daemon loses its watch, notices, and watches again")
        .ops(&[Op::Lookup(A), Op::Getattr(FILE), Op::Chmod(FILE)])
        .with(|s| {
            small(s);
            s.watch = Watch::Fanotify;
            s.host = vec![Syscall::Write(FILE), Syscall::Unlink(A)];
            s.grain = Grain::Word;
            (s.daemons, s.up) = (daemons, daemons);
        })
        .budget(|b| {
            b.changes = 1;
            b.reads = 1;
            b.host = 2;
            b.deaf = 1;
        })
}

pub(super) fn forget(reads: u8) -> Scope {
    Scope::new("forget", "a guest forgets a directory, whose watch is given up")
        .ops(&[Op::Lookup(A), Op::Getattr(FILE), Op::Write(FILE)])
        .with(|s| {
            small(s);
            s.watch = Watch::Inotify;
            s.host = vec![Syscall::Write(FILE), Syscall::Unlink(A)];
            (s.daemons, s.up, s.workers) = (1, 1, 2);
            s.replies = false;
        })
        .budget(|b| {
            b.changes = 1;
            b.reads = reads;
            b.host = 2;
            b.forgets = 2;
        })
}

pub(super) fn holes(reads: u8) -> Scope {
    Scope::new("holes", "slots that nobody has touched, which sweeps leave out")
        .ops(&[Op::Lookup(A), Op::Getattr(FILE), Op::Write(FILE)])
        .with(|s| {
            small(s);
            s.watch = Watch::Fanotify;
            s.host = vec![Syscall::Write(FILE), Syscall::Unlink(A)];
            s.first_word = 0;
        })
        .budget(|b| {
            b.changes = 1;
            b.reads = reads;
            b.host = 1;
            b.overflows = 1;
        })
}
