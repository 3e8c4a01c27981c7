//! What a daemon tells the one that takes its guest over (docs/migration.md).
//!
//! ```text
//! state   what there is to tell
//! encode  as bytes: a header, then records with a name and a length each
//! decode  from bytes, which anybody may have made
//! ```
//!
//! How inodes are found, and found again, is the file system's business (`passthrough::migration`), and how the bytes
//! travel the transport's.

mod decode;
mod encode;
mod state;
#[cfg(test)]
mod tests;

pub use decode::{DecodeError, MAX_STATE};
pub use state::{SavedFile, SavedHandle, SavedInode, SavedKind, SavedSession, State, Whereabouts};

/// How the daemon that has a guest tells where its inodes are (`--migration-mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// By their paths below the shared directory.
    #[default]
    Paths,
    /// By file handle: both daemons share the same directory of the same file system.
    Handles,
}

/// What becomes of a migration when an inode is not found (`--migration-on-error`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It fails, and the guest goes on where it was.
    #[default]
    Abort,
    /// The guest gets `ESTALE` for that inode.
    GuestError,
}

/// What an operator decides about migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How inodes are told.
    pub mode: Mode,
    /// What counts where the guest comes to.
    pub on_error: OnError,
    /// With [`Mode::Paths`]: handles come along, and what is found must have the same one (`--migration-verify-handles`).
    pub verify_handles: bool,
}
