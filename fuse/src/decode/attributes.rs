//! GETATTR, STATX and SETATTR.

use crate::abi::{GETATTR_FH, GetattrIn, SetattrIn, SetattrValid, StatxIn};
use crate::failure::{Failure, Outcome};
use crate::filesystem::{SetAttr, SetTime};
use crate::ids::Handle;

use super::Operation;
use super::fields::{Fields, range};

/// Permission bits, with suid, sgid and sticky.
const MODE_MASK: u32 = 0o7777;
/// `AT_STATX_SYNC_TYPE`: all of `statx(2)`'s flags that concern a file system.
const STATX_SYNC_TYPE: u32 = 0x6000;
/// Times are given with fewer nanoseconds than this; larger ones would mean something else to `utimensat(2)`.
const NANOS: u32 = 1_000_000_000;

pub(super) fn getattr<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let request: GetattrIn = fields.take()?;
    Ok(Operation::Getattr(open_file(request.getattr_flags, request.fh)))
}

pub(super) fn statx<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let request: StatxIn = fields.take()?;
    if request.sx_flags & !STATX_SYNC_TYPE != 0 {
        return Err(Failure::Malformed);
    }
    Ok(Operation::Statx {
        handle: open_file(request.getattr_flags, request.fh),
        flags: request.sx_flags,
        mask: request.sx_mask,
    })
}

pub(super) fn setattr<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let request: SetattrIn = fields.take()?;
    // A change that is not understood must not be passed over in silence.
    let valid = SetattrValid::from_bits(request.valid).ok_or(Failure::Malformed)?;
    let given = |flag: SetattrValid, value: u32| valid.contains(flag).then_some(value);
    let size = valid.contains(SetattrValid::SIZE).then_some(request.size);
    range(size.unwrap_or(0), 0)?;
    let atime = time(
        valid.contains(SetattrValid::ATIME_NOW),
        valid.contains(SetattrValid::ATIME).then_some((request.atime, request.atimensec)),
    )?;
    let mtime = time(
        valid.contains(SetattrValid::MTIME_NOW),
        valid.contains(SetattrValid::MTIME).then_some((request.mtime, request.mtimensec)),
    )?;
    let set = SetAttr {
        mode: given(SetattrValid::MODE, request.mode & MODE_MASK),
        uid: given(SetattrValid::UID, request.uid),
        gid: given(SetattrValid::GID, request.gid),
        size,
        atime,
        mtime,
        kill_suidgid: valid.contains(SetattrValid::KILL_SUIDGID),
    };
    let handle = valid.contains(SetattrValid::FH).then_some(Handle(request.fh));
    Ok(Operation::Setattr(handle, set))
}

/// The handle in GETATTR and STATX, where the guest means one.
fn open_file(flags: u32, fh: u64) -> Option<Handle> {
    (flags & GETATTR_FH != 0).then_some(Handle(fh))
}

/// A time to set: "now" goes before a number, for Linux sends both flags together.
fn time(now: bool, at: Option<(u64, u32)>) -> Outcome<Option<SetTime>> {
    match at {
        _ if now => Ok(Some(SetTime::Now)),
        Some((_, nanos)) if nanos >= NANOS => Err(Failure::Malformed),
        Some((seconds, nanos)) => Ok(Some(SetTime::At(seconds as i64, nanos))),
        None => Ok(None),
    }
}
