//! What follows `fuse_in_header` in requests, ahead of names and data.

use super::structs::{FileLock, wire};

wire! {
    /// `struct fuse_init_in`. Guests before 7.36 send only the first 16 bytes ([`InitIn::SHORT`]). `table_id`, upstream
    /// the end of `unused`, goes with [`super::InitFlags::VERSION_TABLE`].
    InitIn: 64 {
        major: u32,
        minor: u32,
        max_readahead: u32,
        flags: u32,
        flags2: u32,
        unused: [u32; 7],
        table_id: [u8; 16],
    }

    /// `struct fuse_forget_in`.
    ForgetIn: 8 { nlookup: u64 }

    /// `struct fuse_forget_one`.
    ForgetOne: 16 { nodeid: u64, nlookup: u64 }

    /// `struct fuse_batch_forget_in`; `count` times [`ForgetOne`] follow.
    BatchForgetIn: 8 { count: u32, dummy: u32 }

    /// `struct fuse_getattr_in`.
    GetattrIn: 16 { getattr_flags: u32, dummy: u32, fh: u64 }

    /// `struct fuse_statx_in`.
    StatxIn: 24 { getattr_flags: u32, reserved: u32, fh: u64, sx_flags: u32, sx_mask: u32 }

    /// `struct fuse_setattr_in`. `valid` are [`super::SetattrValid`].
    SetattrIn: 88 {
        valid: u32,
        padding: u32,
        fh: u64,
        size: u64,
        lock_owner: u64,
        atime: u64,
        mtime: u64,
        ctime: u64,
        atimensec: u32,
        mtimensec: u32,
        ctimensec: u32,
        mode: u32,
        unused4: u32,
        uid: u32,
        gid: u32,
        unused5: u32,
    }

    /// `struct fuse_mknod_in`; the name follows.
    MknodIn: 16 { mode: u32, rdev: u32, umask: u32, padding: u32 }

    /// `struct fuse_mkdir_in`; the name follows.
    MkdirIn: 8 { mode: u32, umask: u32 }

    /// `struct fuse_rename_in`; the old and the new name follow.
    RenameIn: 8 { newdir: u64 }

    /// `struct fuse_rename2_in`; the old and the new name follow.
    Rename2In: 16 { newdir: u64, flags: u32, padding: u32 }

    /// `struct fuse_link_in`; the new name follows.
    LinkIn: 8 { oldnodeid: u64 }

    /// `struct fuse_open_in`.
    OpenIn: 8 { flags: u32, open_flags: u32 }

    /// `struct fuse_create_in`; the name follows.
    CreateIn: 16 { flags: u32, mode: u32, umask: u32, open_flags: u32 }

    /// `struct fuse_release_in`.
    ReleaseIn: 24 { fh: u64, flags: u32, release_flags: u32, lock_owner: u64 }

    /// `struct fuse_flush_in`.
    FlushIn: 24 { fh: u64, unused: u32, padding: u32, lock_owner: u64 }

    /// `struct fuse_read_in`, for READ, READDIR and READDIRPLUS.
    ReadIn: 40 {
        fh: u64,
        offset: u64,
        size: u32,
        read_flags: u32,
        lock_owner: u64,
        flags: u32,
        padding: u32,
    }

    /// `struct fuse_write_in`; `size` bytes of data follow.
    WriteIn: 40 {
        fh: u64,
        offset: u64,
        size: u32,
        write_flags: u32,
        lock_owner: u64,
        flags: u32,
        padding: u32,
    }

    /// `struct fuse_fsync_in`.
    FsyncIn: 16 { fh: u64, fsync_flags: u32, padding: u32 }

    /// The first half of `struct fuse_setxattr_in`, all there is without `SETXATTR_EXT`; name and value follow.
    SetxattrIn: 8 { size: u32, flags: u32 }

    /// The second half of `struct fuse_setxattr_in`, sent with `SETXATTR_EXT`.
    SetxattrExtIn: 8 { setxattr_flags: u32, padding: u32 }

    /// `struct fuse_getxattr_in`, for GETXATTR (the name follows) and LISTXATTR.
    GetxattrIn: 8 { size: u32, padding: u32 }

    /// `struct fuse_lk_in`, for GETLK, SETLK and SETLKW.
    LkIn: 48 { fh: u64, owner: u64, lk: FileLock, lk_flags: u32, padding: u32 }

    /// `struct fuse_interrupt_in`.
    InterruptIn: 8 { unique: u64 }

    /// `struct fuse_access_in`.
    AccessIn: 8 { mask: u32, padding: u32 }

    /// `struct fuse_ioctl_in`; `in_size` bytes follow.
    IoctlIn: 32 { fh: u64, flags: u32, cmd: u32, arg: u64, in_size: u32, out_size: u32 }

    /// `struct fuse_fallocate_in`.
    FallocateIn: 32 { fh: u64, offset: u64, length: u64, mode: u32, padding: u32 }

    /// `struct fuse_lseek_in`.
    LseekIn: 24 { fh: u64, offset: u64, whence: u32, padding: u32 }

    /// `struct fuse_copy_file_range_in`.
    CopyFileRangeIn: 56 {
        fh_in: u64,
        off_in: u64,
        nodeid_out: u64,
        fh_out: u64,
        off_out: u64,
        len: u64,
        flags: u64,
    }

    /// `struct fuse_setupmapping_in`. An `fh` of all ones: the guest maps the inode, not an open file.
    SetupmappingIn: 40 { fh: u64, foffset: u64, len: u64, flags: u64, moffset: u64 }

    /// `struct fuse_removemapping_in`; `count` times [`RemovemappingOne`] follow.
    RemovemappingIn: 4 { count: u32 }

    /// `struct fuse_removemapping_one`.
    RemovemappingOne: 16 { moffset: u64, len: u64 }

    /// `struct fuse_syncfs_in`.
    SyncfsIn: 8 { padding: u64 }

    /// `struct fuse_ext_header`. With a `kind` of at most [`ExtHeader::MAX_NR_SECCTX`] it is a
    /// `struct fuse_secctx_header`, and `kind` the number of security contexts.
    ExtHeader: 8 { size: u32, kind: u32 }

    /// `struct fuse_secctx`; the xattr name and `size` bytes of label follow.
    Secctx: 8 { size: u32, padding: u32 }

    /// `struct fuse_supp_groups` with the one group that Linux sends.
    SuppGroup: 8 { nr_groups: u32, group: u32 }
}

impl InitIn {
    /// Length of the request before 7.36.
    pub const SHORT: usize = 16;
}

impl ExtHeader {
    /// `FUSE_MAX_NR_SECCTX`.
    pub const MAX_NR_SECCTX: u32 = 31;
    /// `FUSE_EXT_GROUPS`.
    pub const GROUPS: u32 = 32;
}
