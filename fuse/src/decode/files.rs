//! Requests on open files and directories.

use crate::abi::{
    CopyFileRangeIn, FSYNC_FDATASYNC, FallocateIn, FlushIn, FsyncIn, IOCTL_UNRESTRICTED, IoctlIn,
    LseekIn, OPEN_KILL_SUIDGID, OpenIn, ReadIn, ReleaseFlags, ReleaseIn, WriteFlags, WriteIn,
};
use crate::errno;
use crate::failure::{Failure, Outcome};
use crate::filesystem::{CopyRange, Ioctl, Open, Read, Release, Write};
use crate::ids::{Handle, NodeId};

use super::Operation;
use super::fields::{Fields, node, range};

/// `SEEK_DATA` and `SEEK_HOLE`: guests do the other kinds themselves.
const SEEKS: std::ops::RangeInclusive<u32> = 3..=4;
/// Most that COPY_FILE_RANGE copies at once: its reply has 32 bits, and whole pages can be cloned.
const COPY_MAX: u64 = u32::MAX as u64 & !4095;
/// Most that an IOCTL may answer. The number of an ordinary command encodes at most 16 KiB.
const IOCTL_OUT_MAX: u32 = 1 << 16;

pub(super) fn open<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let request: OpenIn = fields.take()?;
    Ok(Operation::Open(Open {
        flags: request.flags,
        kill_suidgid: request.open_flags & OPEN_KILL_SUIDGID != 0,
    }))
}

pub(super) fn opendir<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let request: OpenIn = fields.take()?;
    Ok(Operation::Opendir { flags: request.flags })
}

pub(super) fn read<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let ReadIn { fh, offset, size, flags, .. } = fields.take()?;
    range(offset, size.into())?;
    Ok(Operation::Read(Handle(fh), Read { offset, size, flags }))
}

/// READDIR and READDIRPLUS. The offset is a cookie of the host's: any number.
pub(super) fn readdir<'a>(fields: &mut Fields<'a>, plus: bool) -> Outcome<Operation<'a>> {
    let request: ReadIn = fields.take()?;
    Ok(Operation::Readdir {
        handle: Handle(request.fh),
        offset: request.offset,
        size: request.size,
        plus,
    })
}

/// WRITE, of which only the header was read.
pub(super) fn write<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let request: WriteIn = fields.take()?;
    range(request.offset, request.size.into())?;
    let how = WriteFlags::from_bits_truncate(request.write_flags);
    let write = Write {
        offset: request.offset,
        size: request.size,
        flags: request.flags,
        delayed: how.contains(WriteFlags::CACHE),
        kill_suidgid: how.contains(WriteFlags::KILL_SUIDGID),
    };
    Ok(Operation::Write(Handle(request.fh), write))
}

pub(super) fn flush<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let FlushIn { fh, lock_owner, .. } = fields.take()?;
    Ok(Operation::Flush { handle: Handle(fh), lock_owner })
}

/// RELEASE and RELEASEDIR.
pub(super) fn release(fields: &mut Fields<'_>) -> Outcome<(Handle, Release)> {
    let request: ReleaseIn = fields.take()?;
    let how = ReleaseFlags::from_bits_truncate(request.release_flags);
    let release = Release {
        flags: request.flags,
        lock_owner: request.lock_owner,
        flush: how.contains(ReleaseFlags::FLUSH),
        flock_unlock: how.contains(ReleaseFlags::FLOCK_UNLOCK),
        idle: how.contains(ReleaseFlags::IDLE),
    };
    Ok((Handle(request.fh), release))
}

/// FSYNC and FSYNCDIR.
pub(super) fn fsync(fields: &mut Fields<'_>) -> Outcome<(Handle, bool)> {
    let request: FsyncIn = fields.take()?;
    Ok((Handle(request.fh), request.fsync_flags & FSYNC_FDATASYNC != 0))
}

pub(super) fn fallocate<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let FallocateIn { fh, offset, length, mode, .. } = fields.take()?;
    range(offset, length)?;
    Ok(Operation::Fallocate { handle: Handle(fh), mode, offset, len: length })
}

pub(super) fn lseek<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let LseekIn { fh, offset, whence, .. } = fields.take()?;
    range(offset, 0)?;
    if !SEEKS.contains(&whence) {
        return Err(Failure::Malformed);
    }
    Ok(Operation::Lseek { handle: Handle(fh), offset, whence })
}

/// COPY_FILE_RANGE, and with `wide` its 64-bit form.
pub(super) fn copy<'a>(
    fields: &mut Fields<'a>,
    from: NodeId,
    wide: bool,
) -> Outcome<Operation<'a>> {
    let request: CopyFileRangeIn = fields.take()?;
    let len = if wide { request.len } else { request.len.min(COPY_MAX) };
    range(request.off_in, len)?;
    range(request.off_out, len)?;
    let copy = CopyRange {
        from: (from, Handle(request.fh_in)),
        from_offset: request.off_in,
        to: (node(request.nodeid_out)?, Handle(request.fh_out)),
        to_offset: request.off_out,
        len,
        flags: request.flags,
    };
    Ok(Operation::CopyFileRange { copy, wide })
}

pub(super) fn ioctl<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let request: IoctlIn = fields.take()?;
    let input = fields.bytes(request.in_size as usize)?;
    if request.out_size > IOCTL_OUT_MAX {
        return Err(Failure::Malformed);
    }
    if request.flags & IOCTL_UNRESTRICTED != 0 {
        // The host would have to read the guest process's memory as it goes.
        return Err(Failure::Errno(errno::ENOTTY));
    }
    let ioctl = Ioctl {
        cmd: request.cmd,
        flags: request.flags,
        arg: request.arg,
        input,
        out_size: request.out_size,
    };
    Ok(Operation::Ioctl(Handle(request.fh), ioctl))
}
