//! From bytes to typed requests. Total: every input is either an [`Operation`] or a [`Failure`], and all bytes of it
//! are accounted for.

mod attributes;
mod extensions;
mod fields;
mod files;
mod locks;
mod mapping;
mod names;
mod xattr;

use std::ffi::CStr;

use smallvec::SmallVec;

use crate::abi::{AccessIn, InHeader, Opcode, SyncfsIn};
use crate::errno;
use crate::failure::{Failure, Outcome};
use crate::filesystem::{
    CopyRange, Create, Ioctl, LockKind, Make, Open, Read, RecordLock, Release, RemoveMapping,
    SetAttr, SetupMapping, Write,
};
use crate::ids::{Handle, NodeId};
use crate::server::Wire;

pub(crate) use fields::{Fields, node};
pub(crate) use xattr::XATTR_MAX;

/// `R_OK`, `W_OK` and `X_OK`.
const ACCESS_MASK: u32 = 0b111;

/// A request for the file system, but for the node and the caller, which every request has.
#[derive(Debug)]
pub(crate) enum Operation<'a> {
    Lookup(&'a CStr),
    Getattr(Option<Handle>),
    Statx { handle: Option<Handle>, flags: u32, mask: u32 },
    Setattr(Option<Handle>, SetAttr),
    Readlink,
    Symlink { name: &'a CStr, target: &'a CStr, make: Make<'a> },
    Mknod(&'a CStr, Make<'a>),
    Mkdir(&'a CStr, Make<'a>),
    Unlink(&'a CStr),
    Rmdir(&'a CStr),
    Rename { name: &'a CStr, new_parent: NodeId, new_name: &'a CStr, flags: u32 },
    Link { target: NodeId, name: &'a CStr },
    Open(Open),
    Create(&'a CStr, Create<'a>),
    Tmpfile(Create<'a>),
    Read(Handle, Read),
    Write(Handle, Write),
    Flush { handle: Handle, lock_owner: u64 },
    Release(Handle, Release),
    Lock(Handle, LockRequest),
    Fsync { handle: Handle, datasync: bool },
    Fallocate { handle: Handle, mode: u32, offset: u64, len: u64 },
    Lseek { handle: Handle, offset: u64, whence: u32 },
    CopyFileRange { copy: CopyRange, wide: bool },
    Opendir { flags: u32 },
    Readdir { handle: Handle, offset: u64, size: u32, plus: bool },
    Releasedir(Handle, Release),
    Fsyncdir { handle: Handle, datasync: bool },
    Syncfs,
    Statfs,
    Access { mask: u32 },
    Setxattr { name: &'a CStr, value: &'a [u8], flags: u32, kill_sgid: bool },
    Getxattr { name: &'a CStr, size: u32 },
    Listxattr { size: u32 },
    Removexattr(&'a CStr),
    Ioctl(Handle, Ioctl<'a>),
    Setupmapping(Option<Handle>, SetupMapping),
    Removemapping(SmallVec<[RemoveMapping; 16]>),
}

/// GETLK, SETLK and SETLKW, of either kind of locks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LockRequest {
    Get(RecordLock),
    Set { lock: RecordLock, wait: bool },
    Whole { kind: LockKind, wait: bool },
}

/// Decodes what follows `header`. Of a WRITE, `body` is only the first structure, without the data.
///
/// Requests that are not for the file system, and those that are not served (the guest's kernel has its own answer
/// to POLL and BMAP), are `ENOSYS`.
pub(crate) fn operation<'a>(
    opcode: Opcode,
    header: &InHeader,
    wire: Wire,
    body: &'a [u8],
) -> Outcome<Operation<'a>> {
    let mut fields = Fields::new(body);
    let operation = take(opcode, header, wire, &mut fields)?;
    fields.end()?;
    Ok(operation)
}

fn take<'a>(
    opcode: Opcode,
    header: &InHeader,
    wire: Wire,
    fields: &mut Fields<'a>,
) -> Outcome<Operation<'a>> {
    let creation = names::Creation { total_extlen: header.total_extlen, wire };
    match opcode {
        Opcode::Lookup => Ok(Operation::Lookup(fields.component()?)),
        Opcode::Getattr => attributes::getattr(fields),
        Opcode::Statx => attributes::statx(fields),
        Opcode::Setattr => attributes::setattr(fields),
        Opcode::Readlink => Ok(Operation::Readlink),
        Opcode::Symlink => creation.symlink(fields),
        Opcode::Mknod => creation.mknod(fields),
        Opcode::Mkdir => creation.mkdir(fields),
        Opcode::Unlink => Ok(Operation::Unlink(fields.name()?)),
        Opcode::Rmdir => Ok(Operation::Rmdir(fields.name()?)),
        Opcode::Rename => names::rename(fields),
        Opcode::Rename2 => names::rename2(fields),
        Opcode::Link => names::link(fields),
        Opcode::Open => files::open(fields),
        Opcode::Create => creation.create(fields),
        Opcode::Tmpfile => creation.tmpfile(fields),
        Opcode::Read => files::read(fields),
        Opcode::Write => files::write(fields),
        Opcode::Flush => files::flush(fields),
        Opcode::Release => files::release(fields).map(|(fh, how)| Operation::Release(fh, how)),
        Opcode::Fsync => {
            files::fsync(fields).map(|(handle, datasync)| Operation::Fsync { handle, datasync })
        }
        Opcode::Getlk => locks::getlk(fields),
        Opcode::Setlk => locks::setlk(fields, false),
        Opcode::Setlkw => locks::setlk(fields, true),
        Opcode::Fallocate => files::fallocate(fields),
        Opcode::Lseek => files::lseek(fields),
        Opcode::CopyFileRange => files::copy(fields, node(header.nodeid)?, false),
        Opcode::CopyFileRange64 => files::copy(fields, node(header.nodeid)?, true),
        Opcode::Opendir => files::opendir(fields),
        Opcode::Readdir => files::readdir(fields, false),
        Opcode::Readdirplus => files::readdir(fields, true),
        Opcode::Releasedir => {
            files::release(fields).map(|(fh, how)| Operation::Releasedir(fh, how))
        }
        Opcode::Fsyncdir => {
            files::fsync(fields).map(|(handle, datasync)| Operation::Fsyncdir { handle, datasync })
        }
        Opcode::Syncfs => fields.take::<SyncfsIn>().map(|_| Operation::Syncfs),
        Opcode::Statfs => Ok(Operation::Statfs),
        Opcode::Access => access(fields),
        Opcode::Setxattr => xattr::setxattr(fields, wire),
        Opcode::Getxattr => xattr::getxattr(fields),
        Opcode::Listxattr => xattr::listxattr(fields),
        Opcode::Removexattr => Ok(Operation::Removexattr(fields.xattr_name()?)),
        Opcode::Ioctl => files::ioctl(fields),
        Opcode::Setupmapping => mapping::setup(fields),
        Opcode::Removemapping => mapping::remove(fields),
        _ => Err(Failure::Errno(errno::ENOSYS)),
    }
}

fn access<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let AccessIn { mask, .. } = fields.take()?;
    if mask & !ACCESS_MASK != 0 {
        return Err(Failure::Malformed);
    }
    Ok(Operation::Access { mask })
}
