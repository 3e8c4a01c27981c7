//! What the standard library and rustix lack: open-file-description locks, futexes on shared words, and surviving a
//! mapped file that lost its pages.

#![allow(unsafe_code)]

mod futex;
mod locks;
pub(crate) mod sigbus;

pub(crate) use futex::{futex_wait, futex_wake};
pub(crate) use locks::{LockKind, is_locked, try_lock, unlock};
