//! Random locks of several owners and the host, beside a model of what POSIX says of each byte.

use std::fs::File;

use fuse::filesystem::{LockKind, RecordLock};
use fuse::{FileSystem, Handle, NodeId, errno};
use proptest::prelude::*;

use super::locks::{host_lock, on_host, record};
use super::share::{ROOT, Share, config};
use crate::passthrough::InodeFileHandles::Prefer;

/// Bytes that are locked one by one; the last one stands for all that follow, to the end.
const BYTES: usize = 10;
const LAST: u64 = i64::MAX as u64;
/// Owners in the guest; the number after them is the host.
const OWNERS: u64 = 3;
const HOST: u64 = OWNERS;

/// What each actor has locked of each byte.
type Model = [[Option<LockKind>; BYTES]; OWNERS as usize + 1];

#[derive(Clone, Debug)]
enum Step {
    Lock {
        actor: u64,
        kind: LockKind,
        first: usize,
        last: usize,
    },
    Flush {
        owner: u64,
    },
    /// All that were locked by this open file, and open it anew.
    Reopen {
        file: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(LockKind::Read), Just(LockKind::Write), Just(LockKind::Unlock)];
    let lock = (0..=HOST, kind, 0..BYTES, 0..BYTES).prop_map(|(actor, kind, a, b)| Step::Lock {
        actor,
        kind,
        first: a.min(b),
        last: a.max(b),
    });
    prop_oneof![
        12 => lock,
        1 => (0..OWNERS).prop_map(|owner| Step::Flush { owner }),
        1 => (0..2usize).prop_map(|file| Step::Reopen { file }),
    ]
}

fn stretch(actor: u64, kind: LockKind, first: usize, last: usize) -> RecordLock {
    let end = if last == BYTES - 1 { LAST } else { last as u64 };
    record(actor, kind, first as u64, end)
}

fn conflicts(held: Option<LockKind>, wanted: LockKind) -> bool {
    matches!((held, wanted), (Some(LockKind::Write), _) | (Some(_), LockKind::Write))
}

/// Whether others than `actor` are in the way.
fn is_in_the_way(model: &Model, actor: u64, kind: LockKind, first: usize, last: usize) -> bool {
    let others = (0..).zip(model).filter(|(other, _)| *other != actor);
    kind != LockKind::Unlock
        && others
            .into_iter()
            .any(|(_, held)| held[first..=last].iter().any(|byte| conflicts(*byte, kind)))
}

struct Run {
    share: Share,
    node: NodeId,
    /// Owners 0 and 2 use the first, owner 1 the second.
    files: [Handle; 2],
    host: File,
    model: Model,
}

impl Run {
    fn new() -> Self {
        let share = Share::on_disk(&config(Prefer));
        let (node, first) = share.new_file("file");
        let second = share.open(node, libc::O_RDWR).unwrap();
        let host = on_host(&share, "file");
        Self { share, node, files: [first, second], host, model: Default::default() }
    }

    fn place(&self, owner: u64) -> (NodeId, Handle) {
        (self.node, self.files[owner as usize % 2])
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Lock { actor, kind, first, last } => {
                let lock = stretch(actor, kind, first, last);
                let result = if actor == HOST {
                    host_lock(&self.host, &lock)
                } else {
                    self.share.lock(self.place(actor), &lock)
                };
                let refused = result.err().and_then(|error| error.raw_os_error());
                let in_the_way = is_in_the_way(&self.model, actor, kind, first, last);
                assert_eq!(refused, in_the_way.then_some(errno::EAGAIN), "{step:?}");
                if !in_the_way {
                    let held = Some(kind).filter(|kind| *kind != LockKind::Unlock);
                    self.model[actor as usize][first..=last].fill(held);
                }
            }
            Step::Flush { owner } => {
                let (node, handle) = self.place(owner);
                self.share.fs.flush(&ROOT, node, handle, owner).unwrap();
                self.model[owner as usize] = [None; BYTES];
            }
            Step::Reopen { file } => {
                self.share.release((self.node, self.files[file])).unwrap();
                self.files[file] = self.share.open(self.node, libc::O_RDWR).unwrap();
                for owner in (0..OWNERS).filter(|owner| *owner as usize % 2 == file) {
                    self.model[owner as usize] = [None; BYTES];
                }
            }
        }
    }

    /// Each byte, asked for by each owner and by one who has nothing.
    fn compare(&self) {
        for (owner, byte) in (0..=OWNERS).flat_map(|owner| (0..BYTES).map(move |b| (owner, b))) {
            for kind in [LockKind::Read, LockKind::Write] {
                let asker = if owner == OWNERS { 77 } else { owner };
                let lock = stretch(asker, kind, byte, byte);
                let met = self.share.in_the_way(self.place(owner), &lock);
                let expected = is_in_the_way(&self.model, asker, kind, byte, byte);
                assert_eq!(met.is_some(), expected, "owner {asker}, byte {byte}, {kind:?}");
            }
        }
        let locked = |owner: &[Option<LockKind>; BYTES]| {
            let starts =
                |at: &usize| owner[*at].is_some() && (*at == 0 || owner[at - 1] != owner[*at]);
            (0..BYTES).filter(starts).count()
        };
        let stretches: usize = self.model[..OWNERS as usize].iter().map(locked).sum();
        assert_eq!(self.share.fs.lock_figures(), (stretches, 0), "our copy is the kernel's");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn locks_are_what_posix_says(steps in proptest::collection::vec(step(), 1..60)) {
        let mut run = Run::new();
        for step in &steps {
            run.take(step);
        }
        run.compare();
    }
}
