//! Changes that others make on the host.
//!
//! ```text
//! kernel ──▶ ChangeSource ──▶ Batch ──▶ Engine::end_stamps
//!            fanotify          slots,       moves those that this daemon
//!            inotify           each once    has given stamps for
//!            scripted
//! ```
//!
//! A [`Watcher`] owns the source and the thread that reads it. Whoever gives stamps asks it for [`Coverage`]: *before*
//! an inode is observed, so that the watch is there first, and once more *after* the words were read, since a watcher
//! that dies stops being asked before everything is swept. Where nothing covers an inode it gets no stamp.
//!
//! Each daemon watches for itself all that it stamps; nobody is elected. `docs/protocol.md`, "Events", has the rules and
//! why they are enough, `docs/operations.md` what each source costs.

mod batch;
mod coverage;
mod fanotify;
mod figures;
mod file_system;
mod inotify;
mod mounts;
pub(crate) mod records;
mod scripted;
mod source;
mod thread;
mod watcher;

#[cfg(test)]
mod tests;

pub use batch::{Batch, Part};
pub use coverage::{Coverage, FileSystem, Pin, SystemId};
pub use fanotify::{Fanotify, OwnPrivilege, Privilege, mark, new_group};
pub use figures::Figures;
pub use file_system::{FileId, FileSystemKind};
pub use inotify::Inotify;
pub use mounts::MountTable;
pub use scripted::{Script, Scripted};
pub use source::{ChangeSource, Grain, Refusal};
pub use watcher::{Mode, StartError, Watcher};
