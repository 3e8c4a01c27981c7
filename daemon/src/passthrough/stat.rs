//! `statx(2)` on the host, and its results as FUSE sends them.

use std::io;
use std::os::fd::AsFd;

use fuse::abi::{Attr, AttrFlags, Statx as FuseStatx, SxTime};
use rustix::fs::{AtFlags, Statx, StatxFlags, StatxTimestamp, makedev};

/// What all of this asks for: attributes, and the mount.
const MASK: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::MNT_ID);

/// What STATX may tell the guest.
const GUEST_MASK: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// The type bits of a mode.
const TYPE: u32 = libc::S_IFMT;

/// Attributes of an open file.
///
/// # Errors
/// What `statx(2)` answers.
pub(super) fn stat(fd: impl AsFd) -> io::Result<Stat> {
    statx(fd, AtFlags::empty(), MASK)
}

/// Attributes of an open file, those in `mask`; `flags` say how hard a network file system shall try.
///
/// # Errors
/// What `statx(2)` answers.
pub(super) fn statx(fd: impl AsFd, flags: AtFlags, mask: StatxFlags) -> io::Result<Stat> {
    let fd = fd.as_fd();
    let mut statx = rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH | flags, mask)?;
    if u32::from(statx.stx_mode) & TYPE == libc::S_IFLNK && statx.stx_size == 0 {
        // sysfs and its like. The guest takes the size for the length of the target.
        statx.stx_size = rustix::fs::readlinkat(fd, c"", Vec::new())?.as_bytes().len() as u64;
    }
    Ok(Stat(statx))
}

/// What `statx(2)` told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat(Statx);

/// The type of an inode, which never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileType {
    Regular,
    Directory,
    /// Symlinks, and what must not be opened: devices, FIFOs, sockets.
    Other,
}

impl Stat {
    pub(super) fn file_type(&self) -> FileType {
        match u32::from(self.0.stx_mode) & TYPE {
            libc::S_IFREG => FileType::Regular,
            libc::S_IFDIR => FileType::Directory,
            _ => FileType::Other,
        }
    }

    /// Permission bits.
    pub(super) fn permissions(&self) -> u32 {
        u32::from(self.0.stx_mode) & 0o7777
    }

    pub(super) fn device(&self) -> u64 {
        makedev(self.0.stx_dev_major, self.0.stx_dev_minor)
    }

    pub(super) fn ino(&self) -> u64 {
        self.0.stx_ino
    }

    pub(super) fn size(&self) -> u64 {
        self.0.stx_size
    }

    pub(super) fn nlink(&self) -> u32 {
        self.0.stx_nlink
    }

    /// The mount it was seen through; none before Linux 5.8.
    pub(super) fn mount(&self) -> Option<u64> {
        (self.0.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(self.0.stx_mnt_id)
    }

    /// `fuse_attr`.
    pub(super) fn attr(&self, flags: AttrFlags) -> Attr {
        let statx = &self.0;
        Attr {
            ino: statx.stx_ino,
            size: statx.stx_size,
            blocks: statx.stx_blocks,
            atime: statx.stx_atime.tv_sec as u64,
            mtime: statx.stx_mtime.tv_sec as u64,
            ctime: statx.stx_ctime.tv_sec as u64,
            atimensec: statx.stx_atime.tv_nsec,
            mtimensec: statx.stx_mtime.tv_nsec,
            ctimensec: statx.stx_ctime.tv_nsec,
            mode: statx.stx_mode.into(),
            nlink: statx.stx_nlink,
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            rdev: encode_device(statx.stx_rdev_major, statx.stx_rdev_minor),
            blksize: statx.stx_blksize,
            flags: flags.bits(),
        }
    }

    /// `fuse_statx`.
    pub(super) fn fuse_statx(&self) -> FuseStatx {
        let statx = &self.0;
        FuseStatx {
            mask: statx.stx_mask & GUEST_MASK.bits(),
            blksize: statx.stx_blksize,
            attributes: statx.stx_attributes.bits(),
            nlink: statx.stx_nlink,
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            mode: statx.stx_mode,
            ino: statx.stx_ino,
            size: statx.stx_size,
            blocks: statx.stx_blocks,
            attributes_mask: statx.stx_attributes_mask.bits(),
            atime: time(statx.stx_atime),
            btime: time(statx.stx_btime),
            ctime: time(statx.stx_ctime),
            mtime: time(statx.stx_mtime),
            rdev_major: statx.stx_rdev_major,
            rdev_minor: statx.stx_rdev_minor,
            dev_major: statx.stx_dev_major,
            dev_minor: statx.stx_dev_minor,
            ..FuseStatx::default()
        }
    }
}

fn time(time: StatxTimestamp) -> SxTime {
    SxTime { tv_sec: time.tv_sec, tv_nsec: time.tv_nsec, reserved: 0 }
}

/// `new_encode_dev` (`include/linux/kdev_t.h`).
fn encode_device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xf_ff00) << 12)
}

/// `new_decode_dev`, as `mknod(2)` takes it.
pub(super) fn decode_device(device: u32) -> u64 {
    makedev((device & 0xf_ff00) >> 8, (device & 0xff) | ((device >> 12) & 0xf_ff00))
}
