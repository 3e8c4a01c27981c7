//! The wire format, as Linux's `include/uapi/linux/fuse.h` defines it (7.45), with virtio-fs's little-endian layout.

mod flags;
mod opcode;
mod replies;
mod requests;
mod structs;

pub use flags::*;
pub use opcode::Opcode;
pub use replies::*;
pub use requests::*;
pub use structs::*;

/// Major version. The same since 2006; a guest with another one is refused.
pub const MAJOR: u32 = 7;
/// The newest minor version that is understood.
pub const MINOR: u32 = 45;
/// The oldest minor version that is served. virtio-fs came with 7.31; 7.27 is what the virtio specification asks for.
pub const MIN_MINOR: u32 = 27;
