//! GETLK, SETLK and SETLKW: both kinds of locks.

use crate::abi::{LK_FLOCK, LkIn};
use crate::failure::{Failure, Outcome};
use crate::filesystem::{LockKind, RecordLock};
use crate::ids::Handle;

use super::fields::Fields;
use super::{LockRequest, Operation};

/// `OFFSET_MAX` in the kernel: a lock that ends here has no end.
const LAST: u64 = i64::MAX as u64;

pub(super) fn getlk<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let request: LkIn = fields.take()?;
    let lock = record(&request)?;
    // To ask for the conflicts of an unlock, or of `flock`, makes no sense.
    if lock.kind == LockKind::Unlock || request.lk_flags & LK_FLOCK != 0 {
        return Err(Failure::Malformed);
    }
    Ok(Operation::Lock(Handle(request.fh), LockRequest::Get(lock)))
}

/// SETLK, and with `wait` SETLKW.
pub(super) fn setlk<'a>(fields: &mut Fields<'a>, wait: bool) -> Outcome<Operation<'a>> {
    let request: LkIn = fields.take()?;
    let (handle, lock) = (Handle(request.fh), record(&request)?);
    if request.lk_flags & LK_FLOCK != 0 {
        return Ok(Operation::Lock(handle, LockRequest::Whole { kind: lock.kind, wait }));
    }
    Ok(Operation::Lock(handle, LockRequest::Set { lock, wait }))
}

fn record(request: &LkIn) -> Outcome<RecordLock> {
    let kind = match request.lk.r#type {
        0 => LockKind::Read,
        1 => LockKind::Write,
        2 => LockKind::Unlock,
        _ => return Err(Failure::Malformed),
    };
    let (start, end) = (request.lk.start, request.lk.end);
    if start > end || end > LAST {
        return Err(Failure::Malformed);
    }
    Ok(RecordLock { owner: request.owner, start, end, kind, pid: request.lk.pid })
}
