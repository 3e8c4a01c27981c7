//! Is what several machines do on one shared directory as if one did it all, one thing at a time?
//!
//! Threads in several guests run random operations on a few names and inodes ([`generate`],
//! [`execute`]) and write down what they asked, what they got, and when ([`log`]). The clock is a
//! number in memory that all guests and the host share, counted up atomically before and after
//! each operation: if one operation's end comes before another's beginning by this clock, it did.
//! Afterwards [`check`] looks for an order of all operations that agrees with the clock and with
//! what a small file system ([`state`]) would have answered. If there is none, somebody saw
//! something stale, or half of something.
//!
//! What is changed on the host itself reaches guests a moment later, so it is not as if one machine
//! did it all. For that, guests only look, and [`lag`] says whether what they saw was ever so and how
//! late they were; once the changes have been delivered, what guests and host see ([`tree`]) is the
//! same.
//!
//! Not every system call is one step, not even on one machine: `stat(2)` first finds what a name
//! means, then asks for its attributes, and the name may change in between. [`steps`] says of which
//! steps a call is made; each step must take effect at once, somewhere between the call's
//! beginning and its end.

pub mod check;
pub mod execute;
pub mod generate;
pub mod lag;
pub mod log;
pub mod mapper;
mod memory;
pub mod op;
mod parts;
pub mod queue;
pub mod soak;
pub mod state;
pub mod steps;
pub mod tree;
mod world;

pub use check::{Verdict, Violation, check};
pub use log::{Entry, Shared};
pub use op::{Call, Operation, Outcome, Path};
