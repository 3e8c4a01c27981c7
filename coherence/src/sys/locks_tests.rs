use super::*;

fn two_opens() -> (tempfile::NamedTempFile, File) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let other = file.reopen().unwrap();
    (file, other)
}

#[test]
fn an_exclusive_lock_keeps_others_out_and_goes_with_the_open_file() {
    let (first, second) = two_opens();
    assert!(try_lock(first.as_file(), 8, 1, LockKind::Exclusive).unwrap());
    assert!(!try_lock(&second, 8, 1, LockKind::Shared).unwrap());
    assert!(try_lock(&second, 9, 1, LockKind::Exclusive).unwrap(), "another byte");
    assert!(is_locked(&second, 8).unwrap());
    assert!(!is_locked(first.as_file(), 8).unwrap(), "one's own lock is not in one's way");
    drop(first);
    assert!(!is_locked(&second, 8).unwrap());
}

#[test]
fn a_lock_turns_from_exclusive_to_shared() {
    let (first, second) = two_opens();
    assert!(try_lock(first.as_file(), 0, 1, LockKind::Exclusive).unwrap());
    assert!(try_lock(first.as_file(), 0, 1, LockKind::Shared).unwrap());
    assert!(try_lock(&second, 0, 1, LockKind::Shared).unwrap());
    assert!(!try_lock(&second, 0, 1, LockKind::Exclusive).unwrap());
    unlock(first.as_file(), 0, 1).unwrap();
    assert!(try_lock(&second, 0, 1, LockKind::Exclusive).unwrap());
}
