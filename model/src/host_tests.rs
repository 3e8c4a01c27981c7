use super::*;
use crate::ident::Hashing;

fn layout() -> Layout {
    Layout {
        names: 3,
        dirs: 1,
        inodes: 4,
        hashing: Hashing::Apart,
        parents: [Ino(0); MAX_NAMES],
        folds: false,
    }
}

/// `a` is `#1`, `b` is `#2`, `c` does not exist.
fn host() -> Host {
    let names = [Some(Ino(1)), Some(Ino(2)), None];
    Host { names, inodes: [Inode::default(); MAX_INODES], created: 0b111, clock: 1 }
}

fn changed(host: &mut Host, call: Syscall) -> Vec<Identity> {
    let (_, changed) = host.call(&layout(), call).expect("the call succeeds");
    changed.into_iter().map(|(id, _)| id).collect()
}

const A: Name = Name(0);
const B: Name = Name(1);
const C: Name = Name(2);

#[test]
fn a_rename_replaces_and_touches_all_that_it_is_about() {
    let mut host = host();
    let all = changed(&mut host, Syscall::Rename(A, B));
    let wanted = [
        Identity::Entry(A),
        Identity::Entry(B),
        Identity::Attr(Ino(0)),
        Identity::Attr(Ino(1)),
        Identity::Attr(Ino(2)),
    ];
    assert_eq!(all, wanted);
    assert_eq!(host.names, [None, Some(Ino(1)), None]);
}

#[test]
fn renaming_one_name_of_a_file_to_another_does_nothing() {
    let mut host = host();
    changed(&mut host, Syscall::Link(Ino(1), C));
    assert!(changed(&mut host, Syscall::Rename(A, C)).is_empty());
    assert_eq!(host.names, [Some(Ino(1)), Some(Ino(2)), Some(Ino(1))]);
}

#[test]
fn a_call_that_fails_changes_nothing() {
    let mut host = host();
    let before = host.clone();
    for call in [
        Syscall::Create(A),
        Syscall::Unlink(C),
        Syscall::Rename(C, A),
        Syscall::Exchange(A, C),
        Syscall::Link(Ino(2), A),
    ] {
        assert_eq!(host.call(&layout(), call), Err(Failed));
    }
    assert_eq!(host, before);
}

#[test]
fn a_write_lets_suid_fall_and_a_store_does_not() {
    let mut host = host();
    changed(&mut host, Syscall::Chmod(Ino(1)));
    let (perm, attr, data) =
        (Identity::Perm(Ino(1)), Identity::Attr(Ino(1)), Identity::Data(Ino(1)));
    assert_eq!(changed(&mut host, Syscall::Store(Ino(1))), [attr, data]);
    assert_eq!(changed(&mut host, Syscall::Write(Ino(1))), [attr, perm, data]);
    assert_eq!(changed(&mut host, Syscall::Write(Ino(1))), [attr, data], "suid has fallen");
}

#[test]
fn inodes_run_out() {
    let mut host = host();
    assert_eq!(host.call(&layout(), Syscall::Create(C)).map(|(new, _)| new), Ok(Ino(3)));
    changed(&mut host, Syscall::Unlink(C));
    assert_eq!(host.call(&layout(), Syscall::Create(C)), Err(Failed), "none is left");
}
