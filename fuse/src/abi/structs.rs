//! Structures that travel between guest and host, byte for byte as in `include/uapi/linux/fuse.h`.
//!
//! Here are the headers of every message and what both directions share; [`super::requests`] and [`super::replies`]
//! hold the rest. The layout is little-endian (virtio 1.2, 5.11.6.1), hence the check in the crate's root.

/// Defines wire structures: fields with the kernel's names, and the size that the kernel's header gives.
macro_rules! wire {
    ($($(#[$meta:meta])* $name:ident: $size:literal { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout,
        )]
        #[repr(C)]
        #[allow(missing_docs)] // The kernel's names.
        pub struct $name { $(pub $field: $type),* }

        const _: () = assert!(size_of::<$name>() == $size);
    )*};
}
pub(super) use wire;

wire! {
    /// `struct fuse_in_header`: how every request begins.
    InHeader: 40 {
        len: u32,
        opcode: u32,
        unique: u64,
        nodeid: u64,
        uid: u32,
        gid: u32,
        pid: u32,
        total_extlen: u16,
        padding: u16,
    }

    /// `struct fuse_out_header`: how every reply begins. `error` is 0 or a negative errno.
    OutHeader: 16 { len: u32, error: i32, unique: u64 }

    /// `struct fuse_attr`. `flags` are [`super::AttrFlags`].
    Attr: 88 {
        ino: u64,
        size: u64,
        blocks: u64,
        atime: u64,
        mtime: u64,
        ctime: u64,
        atimensec: u32,
        mtimensec: u32,
        ctimensec: u32,
        mode: u32,
        nlink: u32,
        uid: u32,
        gid: u32,
        rdev: u32,
        blksize: u32,
        flags: u32,
    }

    /// `struct fuse_file_lock`, also the whole of `struct fuse_lk_out`. `end` is the last byte that is locked; `type` is
    /// `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
    FileLock: 24 { start: u64, end: u64, r#type: u32, pid: u32 }

    /// `struct fuse_sx_time`.
    SxTime: 16 { tv_sec: i64, tv_nsec: u32, reserved: i32 }

    /// `struct fuse_statx`, which is `struct statx` of `statx(2)`.
    Statx: 256 {
        mask: u32,
        blksize: u32,
        attributes: u64,
        nlink: u32,
        uid: u32,
        gid: u32,
        mode: u16,
        spare0: u16,
        ino: u64,
        size: u64,
        blocks: u64,
        attributes_mask: u64,
        atime: SxTime,
        btime: SxTime,
        ctime: SxTime,
        mtime: SxTime,
        rdev_major: u32,
        rdev_minor: u32,
        dev_major: u32,
        dev_minor: u32,
        spare2: [u64; 14],
    }

    /// `struct fuse_kstatfs`, also the whole of `struct fuse_statfs_out`.
    Kstatfs: 80 {
        blocks: u64,
        bfree: u64,
        bavail: u64,
        files: u64,
        ffree: u64,
        bsize: u32,
        namelen: u32,
        frsize: u32,
        padding: u32,
        spare: [u32; 6],
    }
}
