//! Waiting for a shared word to change.

use std::time::Duration;

use shm_layout::SharedU64;

/// Sleeps until `word`'s waiters are woken, unless the low half of `word` is no longer that of `seen`; at the longest
/// `at_most`. Errors of the call (interrupted, timed out, changed) all mean the same to the caller: look again.
pub(crate) fn futex_wait(word: &SharedU64, seen: u64, at_most: Duration) {
    let timeout = libc::timespec {
        tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(at_most.subsec_nanos()),
    };
    // SAFETY: the address is that of a live word (the low half of it: the table is little-endian), and the time-out
    // outlives the call.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr().cast::<u32>(),
            libc::FUTEX_WAIT,
            seen as u32,
            &raw const timeout,
        )
    };
}

/// Wakes everybody, in any process, who waits for `word`.
pub(crate) fn futex_wake(word: &SharedU64) {
    // SAFETY: the address is that of a live word.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr().cast::<u32>(),
            libc::FUTEX_WAKE,
            libc::c_int::MAX,
        )
    };
}
