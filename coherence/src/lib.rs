//! The version table's engine: the heart of Samepage.
//!
//! A table is shared memory in which each *slot* counts the changes of what hashes to it (`shm_layout`). Daemons
//! *announce* a change before they make it and *publish* it afterwards; a reply carries *snapshots* of slots that were
//! *observed* before its content was read; a guest that finds a snapshot's word unchanged may use its cached copy, and
//! every such hit is linearizable. `docs/protocol.md` is the protocol, `docs/memory-model.md` the reason for every
//! atomic ordering, `coherence/tests/loom.rs` the models that run this code in every interleaving.
//!
//! Nothing here knows FUSE, virtio or a VM. The layers, from the bottom:
//!
//! - [`Words`], [`SlotSet`], [`Change`], [`Observation`]: the protocol, over any slice of words;
//! - `ledger`, `reap`, `pass`, `names`: what survives a daemon that dies at any instruction;
//! - the OS part (not in loom models): files, mappings, locks, and [`Engine`], which puts it all together.

#![deny(unsafe_code)]
// The OS part, which loom models leave out, uses the rest.
#![cfg_attr(loom, allow(dead_code))]

#[macro_use]
#[doc(hidden)]
pub mod mutation;

mod change;
mod clock;
mod cuts;
pub mod hash;
mod ledger;
pub mod limits;
mod names;
mod observe;
mod pass;
mod reap;
mod slots;
mod waits;
mod words;

#[cfg(loom)]
pub mod models;

// The OS part.
#[cfg(not(loom))]
mod engine;
#[cfg(all(not(loom), any(test, feature = "fuzzing")))]
pub mod fuzzing;
#[cfg(not(loom))]
mod holds;
#[cfg(not(loom))]
mod host;
#[cfg(not(loom))]
pub mod inspect;
#[cfg(not(loom))]
mod proc;
#[cfg(not(loom))]
mod promises;
#[cfg(not(loom))]
mod region;
#[cfg(not(loom))]
mod sys;
#[cfg(not(loom))]
mod table;
#[cfg(not(loom))]
pub mod watch;

pub use change::{Change, Pending, Published, Unrecorded};
pub use clock::Clock;
#[cfg(not(loom))]
pub use clock::SystemClock;
pub use cuts::FileNumber;
#[cfg(not(loom))]
pub use engine::{
    AnnounceError, AttachError, Attendant, Deadlock, Engine, FileLock, GuestAccess, Hold, Keeper,
    NameGuard, NoWorker, Options, Tenant, Tick, Unyielding, WaitNote, Worker,
};
pub use hash::{Identity, InodeKey, InodeSlots};
#[cfg(not(loom))]
pub use host::{HostFileError, host_path};
pub use ledger::Incarnation;
pub use names::PATIENCE;
pub use observe::Observation;
#[cfg(not(loom))]
pub use proc::{HostProcess, Outlook, started_at};
pub use reap::Reaped;
pub use shm_layout::{ABI_VERSION, Snapshot, Stamp, TableId, valid_words};
pub use slots::{SlotIndex, SlotSet};
#[cfg(not(loom))]
pub use sys::sigbus;
#[cfg(not(loom))]
pub use sys::working_directory_is_proc_self_fd;
#[cfg(not(loom))]
pub use table::{DEFAULT_WORDS, FileError, TableError, View, may_hold_a_table};
pub use waits::{Stretch, Waiting};
pub use words::Words;
