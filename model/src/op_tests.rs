use super::*;
use crate::host::{Host, Inode};
use crate::ident::{Hashing, MAX_INODES, MAX_NAMES};
use crate::scope::{file_ops, name_ops};

/// Whatever its system call changes, an operation announces: in every state of the names, with suid and without.
#[test]
fn operations_announce_all_that_they_change() {
    let layout = Layout {
        names: 2,
        dirs: 1,
        inodes: 4,
        hashing: Hashing::Apart,
        parents: [Ino(0); MAX_NAMES],
        folds: false,
    };
    let meanings = [None, Some(Ino(1)), Some(Ino(2))];
    let mut tried = 0;
    for (a, b) in meanings.iter().flat_map(|a| meanings.iter().map(move |b| (*a, *b))) {
        for op in name_ops().into_iter().chain(file_ops()) {
            let mut inodes = [Inode::default(); MAX_INODES];
            inodes[1].suid = true;
            let mut host = Host { names: [a, b, None], inodes, created: 0b111, clock: 1 };
            let mut found = [None; 2];
            for (found, name) in found.iter_mut().zip(op.names()) {
                *found = host.meaning(&layout, name);
            }
            let call = op.syscall().expect("these are changes");
            let Ok((new, changed)) = host.call(&layout, call) else { continue };
            let announced = op.announces(&layout, found);
            for (id, _) in changed {
                let known = announced.iter().any(|(_, other)| *other == id);
                assert!(known, "{op} with a = {a:?}, b = {b:?} changed {id} ({new})");
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "most calls succeed: {tried}");
}
