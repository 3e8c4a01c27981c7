//! A transport, a file system and requests that live in memory: for this crate's tests, other crates' tests, and
//! fuzzing. With the feature `testing` only.

mod buffers;
mod build;
pub mod fuzz;
mod null_fs;
mod requests;
mod waiting;

pub use buffers::{MemoryReply, MemoryRequest};
pub use build::RequestBuilder;
pub use null_fs::{NullFs, answers};
pub use requests::{init, init_short, valid};
pub use waiting::WaitingRoom;
