//! Who of other guests waits for whom.

use std::fmt::Debug;
use std::io;

/// Bytes of a file that an owner has locked, or wants to lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // By the host's numbers for device and inode; the last byte included.
pub struct Stretch {
    pub device: u64,
    pub inode: u64,
    pub start: u64,
    pub end: u64,
    pub write: bool,
}

/// An owner of locks who waits for one more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Who, as the guest calls it.
    pub owner: u64,
    /// What for.
    pub wanted: Stretch,
    /// What the owner has locked meanwhile, in any file.
    pub held: Vec<Stretch>,
}

/// Daemons of other guests, who tell each other which of their owners wait.
pub trait Elsewhere: Debug + Send + Sync {
    /// An owner is about to wait.
    ///
    /// # Errors
    /// `EDEADLK`: whoever is in the way waits, by however many others, for a lock of this owner.
    fn begin(&self, waiting: &Waiting) -> io::Result<Box<dyn Noted>>;
}

/// Others know that an owner waits, for as long as this lives.
pub trait Noted: Debug + Send {
    /// The owner has locked something else meanwhile, or has given something up.
    fn renew(&self, waiting: &Waiting);
}
