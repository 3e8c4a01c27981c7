//! The FUSE protocol as virtio-fs speaks it: wire format, total decoding, and a server that turns requests into calls
//! of a [`FileSystem`].
//!
//! Nothing here knows virtio, makes a system call or uses `unsafe`: a transport hands in bytes through
//! [`io::RequestReader`] and [`io::ReplyWriter`], and file data passes by without a copy.

#![forbid(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!(
    "virtio-fs is little-endian; the wire structures in `abi` would need byte swaps here"
);

pub mod abi;
pub mod counters;
mod decode;
pub mod dirs;
pub mod errno;
mod failure;
pub mod filesystem;
pub mod ids;
pub mod io;
pub mod mapper;
pub mod park;
mod server;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use counters::Counters;
pub use filesystem::FileSystem;
pub use ids::{Context, Handle, NodeId};
pub use mapper::{Held, Mapper, Mapping};
pub use park::Handled;
pub use server::{Agreement, ProtocolError, ResumeError, Server, ServerConfig};
