//! The FUSE protocol as virtio-fs speaks it: wire format, total decoding, and a server that turns requests into calls
//! of a [`FileSystem`].
//!
//! Nothing here knows virtio, makes a system call or uses `unsafe`: a transport hands in bytes through
//! [`io::RequestReader`] and [`io::ReplyWriter`], and file data passes by without a copy.

#![forbid(unsafe_code)]

pub mod abi;
pub mod dirs;
pub mod errno;
pub mod filesystem;
pub mod ids;
pub mod io;
pub mod mapper;
mod server;

pub use filesystem::FileSystem;
pub use ids::{Context, Handle, NodeId};
pub use mapper::{Mapper, Mapping};
pub use server::{ProtocolError, Server, ServerConfig};
