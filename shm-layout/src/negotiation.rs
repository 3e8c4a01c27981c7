//! How guest and daemon agree that they look at the same table.
//!
//! The guest sets [`INIT_FLAG`] in FUSE_INIT only when it has mapped a table and checked its header, and writes that
//! table's id into the request. The daemon answers with the flag only when the id is that of its own table. Without
//! the flag in the answer no reply carries a stamp, and the guest uses ordinary timeouts.

use crate::TABLE_ID_LEN;

/// Bit of the 64-bit FUSE_INIT flags (`flags | flags2 << 32`). Upstream used bits up to 42 in Linux 7.2.
pub const INIT_FLAG_BIT: u32 = 62;

/// The flag itself.
pub const INIT_FLAG: u64 = 1 << INIT_FLAG_BIT;

/// The flag as it stands in `fuse_init_in.flags2` and `fuse_init_out.flags2`.
pub const INIT_FLAGS2: u32 = (INIT_FLAG >> 32) as u32;

/// In `fuse_open_out.open_flags` of a stamped reply to OPENDIR: the daemon can open the directory at any time, whatever
/// becomes of its mode, so the guest may put OPENDIR off where a cached listing serves. Upstream used bits up to 7 in
/// Linux 7.2.
pub const OPENDIR_LATER: u32 = 1 << 31;

/// In `fuse_release_in.release_flags` of RELEASE, from a coherent guest: nothing stores into mappings of the file any more,
/// but through what is still open. Upstream used bits up to 1 in Linux 7.2.
pub const RELEASE_IDLE: u32 = 1 << 31;

/// Bytes of `struct fuse_init_in` since protocol 7.36.
pub const INIT_IN_LEN: usize = 64;

/// Byte of `struct fuse_init_in` where the table id begins: the last 16 bytes of `unused`, which upstream fills from
/// the front.
pub const INIT_IN_TABLE_ID_OFFSET: usize = INIT_IN_LEN - TABLE_ID_LEN;

/// Id of the virtio shared memory region that holds the table, where the device offers it that way.
pub const SHMID: u8 = 1;

/// PCI vendor of an `ivshmem-plain` device, the other way.
pub const IVSHMEM_VENDOR: u16 = 0x1af4;

/// PCI device id of an `ivshmem-plain` device.
pub const IVSHMEM_DEVICE: u16 = 0x1110;

/// The BAR of an `ivshmem-plain` device that is the table.
pub const IVSHMEM_BAR: u8 = 2;
