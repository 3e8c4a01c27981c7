//! One request, one call of the file system, one reply.

use crate::abi::{
    AttrOut, CopyFileRangeOut, EntryOut, FileLock, GetxattrOut, InHeader, IoctlOut, Kstatfs,
    LseekOut, OpenOut, Stamp, StatxOut, WriteOut,
};
use crate::decode::{self, LockRequest, Operation, XATTR_MAX};
use crate::dirs::{DirBuffer, DirPlusBuffer};
use crate::errno;
use crate::failure::{Failure, Outcome};
use crate::filesystem::{
    CopyRange, FileSystem, Ioctl, LockKind, Read, RecordLock, Write, XattrReply,
};
use crate::ids::{Context, Handle, NodeId};
use crate::io::RequestReader;
use crate::mapper::Mapper;
use crate::park::Patience;

use super::Server;
use super::reply::Reply;

/// Most of a listing that is built at once; the guest asks again for the rest.
const MAX_LISTING: usize = 1 << 17;

/// Who asks, and about what.
pub(super) struct Caller {
    ctx: Context,
    node: NodeId,
}

impl Caller {
    pub(super) fn new(header: &InHeader) -> Outcome<Self> {
        let ctx = Context { uid: header.uid, gid: header.gid, pid: header.pid };
        Ok(Self { ctx, node: decode::node(header.nodeid)? })
    }
}

/// What a request brings besides its decoded body.
pub(super) struct Exchange<'a> {
    pub(super) request: &'a mut dyn RequestReader,
    pub(super) reply: Reply<'a>,
    pub(super) mapper: Option<&'a dyn Mapper>,
    /// How the request can be put aside.
    pub(super) patience: Patience<'a>,
}

impl<F: FileSystem> Server<F> {
    /// Calls the file system and writes the reply's body; returns the body's length.
    pub(super) fn perform(
        &self,
        caller: &Caller,
        operation: Operation<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Outcome<usize> {
        use Operation as Op;
        let Exchange { request, reply, mapper, patience } = exchange;
        // Before the call, not after it: nothing may be created, and no lookup counted, that cannot be reported.
        reply.require(least_body(&operation, reply.stamped()))?;
        let (fs, Caller { ctx, node }) = (&self.fs, caller);
        let node = *node;
        match operation {
            Op::Lookup(name) => reply.entry(&fs.lookup(ctx, node, name)?),
            Op::Getattr(handle) => reply.attributes(&fs.getattr(ctx, node, handle)?),
            Op::Statx { handle, flags, mask } => {
                reply.statx(&fs.statx(ctx, node, handle, flags, mask)?)
            }
            Op::Setattr(handle, set) => reply.attributes(&fs.setattr(ctx, node, handle, &set)?),
            Op::Readlink => reply.bytes(0, &fs.readlink(ctx, node)?),
            Op::Symlink { name, target, make } => {
                reply.entry(&fs.symlink(ctx, node, name, target, &make)?)
            }
            Op::Mknod(name, make) => reply.entry(&fs.mknod(ctx, node, name, &make)?),
            Op::Mkdir(name, make) => reply.entry(&fs.mkdir(ctx, node, name, &make)?),
            Op::Unlink(name) => done(fs.unlink(ctx, node, name)),
            Op::Rmdir(name) => done(fs.rmdir(ctx, node, name)),
            Op::Rename { name, new_parent, new_name, flags } => {
                let stamp = fs.rename(ctx, (node, name), (new_parent, new_name), flags)?;
                reply.stamp(0, &stamp)
            }
            Op::Link { target, name } => reply.entry(&fs.link(ctx, target, node, name)?),
            Op::Open(open) => reply.opened(&fs.open(ctx, node, &open)?),
            Op::Create(name, how) => reply.entry_opened(&fs.create(ctx, node, name, &how)?),
            Op::Tmpfile(how) => reply.entry_opened(&fs.tmpfile(ctx, node, &how)?),
            Op::Read(handle, read) => self.read(caller, handle, read, reply),
            Op::Write(handle, write) => self.write(caller, handle, write, *request, reply),
            Op::Flush { handle, lock_owner } => done(fs.flush(ctx, node, handle, lock_owner)),
            Op::Release(handle, release) => done(fs.release(ctx, node, handle, &release)),
            Op::Lock(handle, lock) => self.lock(caller, handle, &lock, patience, reply),
            Op::Fsync { handle, datasync } => done(fs.fsync(ctx, node, handle, datasync)),
            Op::Fallocate { handle, mode, offset, len } => {
                done(fs.fallocate(ctx, node, handle, mode, offset, len))
            }
            Op::Lseek { handle, offset, whence } => {
                reply.put(&LseekOut { offset: fs.lseek(ctx, node, handle, offset, whence)? })
            }
            Op::CopyFileRange { copy, wide } => self.copy(caller, &copy, wide, reply),
            Op::Opendir { flags } => reply.opened_dir(&fs.opendir(ctx, node, flags)?),
            Op::Readdir { handle, offset, size, plus } => {
                self.readdir(caller, handle, offset, (size, plus), reply)
            }
            Op::Releasedir(handle, release) => done(fs.releasedir(ctx, node, handle, &release)),
            Op::Fsyncdir { handle, datasync } => done(fs.fsyncdir(ctx, node, handle, datasync)),
            Op::Syncfs => done(fs.syncfs(ctx, node)),
            Op::Statfs => reply.put(&fs.statfs(ctx, node)?),
            Op::Access { mask } => done(fs.access(ctx, node, mask)),
            Op::Setxattr { name, value, flags, kill_sgid } => {
                done(fs.setxattr(ctx, node, name, value, flags, kill_sgid))
            }
            Op::Getxattr { name, size } => {
                xattr(size, reply, |size| fs.getxattr(ctx, node, name, size))
            }
            Op::Listxattr { size } => xattr(size, reply, |size| fs.listxattr(ctx, node, size)),
            Op::Removexattr(name) => done(fs.removexattr(ctx, node, name)),
            Op::Ioctl(handle, ioctl) => self.ioctl(caller, handle, &ioctl, reply),
            Op::Setupmapping(handle, setup) => {
                done(fs.setup_mapping(ctx, node, handle, &setup, window(*mapper)?))
            }
            Op::Removemapping(remove) => {
                done(fs.remove_mapping(ctx, node, &remove, window(*mapper)?))
            }
        }
    }

    /// Data goes from the file straight to where the reply's body will be.
    fn read(
        &self,
        caller: &Caller,
        handle: Handle,
        mut read: Read,
        reply: &mut Reply<'_>,
    ) -> Outcome<usize> {
        // Not clipped to anything but the guest's own room: Linux takes a short reply for the file's end.
        read.size = read.size.min(u32::try_from(reply.room()).unwrap_or(u32::MAX));
        let mut sink = reply.sink(read.size as usize);
        let came = self.fs.read(&caller.ctx, caller.node, handle, &read, &mut sink)?;
        let len = came.min(sink.filled());
        self.counters.bytes_read(len);
        Ok(len)
    }

    /// Data goes from the request straight to the file.
    fn write(
        &self,
        caller: &Caller,
        handle: Handle,
        write: Write,
        request: &mut dyn RequestReader,
        reply: &mut Reply<'_>,
    ) -> Outcome<usize> {
        if write.size > self.config.max_write || request.remaining() != write.size as usize {
            return Err(Failure::Malformed);
        }
        let mut written = self.fs.write(&caller.ctx, caller.node, handle, &write, request)?;
        written.size = written.size.min(write.size as usize);
        self.counters.bytes_written(written.size);
        reply.written(&written)
    }

    /// GETLK, and the others, which may be answered later.
    fn lock(
        &self,
        Caller { ctx, node }: &Caller,
        handle: Handle,
        request: &LockRequest,
        patience: &Patience<'_>,
        reply: &mut Reply<'_>,
    ) -> Outcome<usize> {
        let patience = |wait| Some(patience).filter(|_| wait);
        match request {
            LockRequest::Get(lock) => {
                let found = self.fs.getlk(ctx, *node, handle, lock)?;
                reply.put(&FileLock::from(found.unwrap_or(unlocked(lock))))
            }
            LockRequest::Set { lock, wait } => {
                done(self.fs.setlk(ctx, *node, handle, lock, patience(*wait)))
            }
            LockRequest::Whole { kind, wait } => {
                done(self.fs.flock(ctx, *node, handle, *kind, patience(*wait)))
            }
        }
    }

    /// COPY_FILE_RANGE answers in the two forms that its two opcodes have.
    fn copy(
        &self,
        caller: &Caller,
        copy: &CopyRange,
        wide: bool,
        reply: &mut Reply<'_>,
    ) -> Outcome<usize> {
        let bytes_copied = self.fs.copy_file_range(&caller.ctx, copy)?.min(copy.len);
        if wide {
            return reply.put(&CopyFileRangeOut { bytes_copied });
        }
        // The decoder has bounded `len` to 32 bits.
        reply.put(&WriteOut { size: bytes_copied as u32, padding: 0 })
    }

    fn readdir(
        &self,
        caller: &Caller,
        handle: Handle,
        offset: u64,
        (size, plus): (u32, bool),
        reply: &mut Reply<'_>,
    ) -> Outcome<usize> {
        let size = (size as usize).min(reply.room()).min(MAX_LISTING);
        let mut listing = Vec::with_capacity(size);
        let (fs, Caller { ctx, node }) = (&self.fs, caller);
        let result = if plus {
            let mut out = DirPlusBuffer::new(&mut listing, size, reply.stamped());
            fs.readdirplus(ctx, *node, handle, offset, &mut out)
        } else {
            let mut out = DirBuffer::new(&mut listing, size);
            fs.readdir(ctx, *node, handle, offset, &mut out)
        };
        match result {
            // Names that were found are told, for their lookups are counted; the guest meets the error behind them.
            Err(error) if listing.is_empty() => Err(error.into()),
            _ => reply.bytes(0, &listing),
        }
    }

    fn ioctl(
        &self,
        caller: &Caller,
        handle: Handle,
        ioctl: &Ioctl<'_>,
        reply: &mut Reply<'_>,
    ) -> Outcome<usize> {
        let answer = self.fs.ioctl(&caller.ctx, caller.node, handle, ioctl)?;
        if answer.output.len() > ioctl.out_size as usize {
            return Err(Failure::Errno(errno::EIO));
        }
        let out = IoctlOut { result: answer.result, ..IoctlOut::default() };
        reply.put_with(&out, &answer.output)
    }
}

/// A reply without a body.
fn done(result: std::io::Result<()>) -> Outcome<usize> {
    Ok(result.map(|()| 0)?)
}

/// The DAX window, where there is one.
fn window(mapper: Option<&dyn Mapper>) -> Outcome<&dyn Mapper> {
    mapper.ok_or(Failure::Errno(errno::ENOSYS))
}

/// GETXATTR and LISTXATTR: the value, or its length for a guest that asks with size 0.
fn xattr(
    size: u32,
    reply: &mut Reply<'_>,
    get: impl FnOnce(u32) -> std::io::Result<XattrReply>,
) -> Outcome<usize> {
    let room = u32::try_from(reply.room()).unwrap_or(u32::MAX);
    let room = size.min(room).min(XATTR_MAX);
    if size != 0 && room == 0 {
        return Err(Failure::Malformed);
    }
    match get(room)? {
        XattrReply::Size(len) if size == 0 => reply.put(&GetxattrOut { size: len, padding: 0 }),
        XattrReply::Value(value) if size != 0 && value.len() <= room as usize => {
            reply.bytes(0, &value)
        }
        XattrReply::Value(_) if size != 0 => Err(Failure::Errno(errno::ERANGE)),
        // A value for a guest that asked for its length, or the other way round.
        XattrReply::Size(_) | XattrReply::Value(_) => Err(Failure::Errno(errno::EIO)),
    }
}

/// Nothing is in the way of `lock`.
fn unlocked(lock: &RecordLock) -> RecordLock {
    RecordLock { kind: LockKind::Unlock, pid: 0, ..*lock }
}

/// The room that any success of `operation` takes up in a reply's body.
fn least_body(operation: &Operation<'_>, stamped: bool) -> usize {
    let stamp = if stamped && has_stamp(operation) { size_of::<Stamp>() } else { 0 };
    fixed_part(operation) + stamp
}

/// Whether a stamp ends the reply (those of READDIRPLUS stand inside it).
fn has_stamp(operation: &Operation<'_>) -> bool {
    use Operation as Op;
    matches!(
        operation,
        Op::Lookup(_)
            | Op::Symlink { .. }
            | Op::Mknod(..)
            | Op::Mkdir(..)
            | Op::Link { .. }
            | Op::Create(..)
            | Op::Tmpfile(_)
            | Op::Getattr(_)
            | Op::Setattr(..)
            | Op::Statx { .. }
            | Op::Opendir { .. }
            | Op::Write(..)
            | Op::Rename { .. }
    )
}

fn fixed_part(operation: &Operation<'_>) -> usize {
    use Operation as Op;
    match operation {
        Op::Lookup(_) | Op::Symlink { .. } | Op::Mknod(..) | Op::Mkdir(..) | Op::Link { .. } => {
            size_of::<EntryOut>()
        }
        Op::Create(..) | Op::Tmpfile(_) => size_of::<EntryOut>() + size_of::<OpenOut>(),
        Op::Getattr(_) | Op::Setattr(..) => size_of::<AttrOut>(),
        Op::Statx { .. } => size_of::<StatxOut>(),
        Op::Open(_) | Op::Opendir { .. } => size_of::<OpenOut>(),
        Op::Write(..) => size_of::<WriteOut>(),
        Op::Lseek { .. } => size_of::<LseekOut>(),
        Op::CopyFileRange { .. } => size_of::<CopyFileRangeOut>(),
        Op::Statfs => size_of::<Kstatfs>(),
        Op::Lock(_, LockRequest::Get(_)) => size_of::<FileLock>(),
        Op::Getxattr { size: 0, .. } | Op::Listxattr { size: 0 } => size_of::<GetxattrOut>(),
        Op::Ioctl(_, ioctl) => size_of::<IoctlOut>() + ioctl.out_size as usize,
        _ => 0,
    }
}
