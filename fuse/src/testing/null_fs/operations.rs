//! What it does: it records a call, and gives one answer.

use std::ffi::CStr;
use std::io::Result;
use std::os::fd::AsFd;

use super::{NullFs, answers};
use crate::abi::{InitFlags, Kstatfs, Stamp};
use crate::dirs::{DirBuffer, DirEntry, DirPlusBuffer};
use crate::errno;
use crate::filesystem::{
    Attributes, CopyRange, Create, Entry, FileSystem, Ioctl, IoctlReply, LockKind, Locks, Make,
    Mappings, Offer, Open, Opened, Read, RecordLock, Release, RemoveMapping, SetAttr, SetupMapping,
    StatxAttributes, Write, Written, XattrReply, Xattrs,
};
use crate::ids::{Context, Handle, NodeId};
use crate::io::{DataSink, DataSource, WriteMode};
use crate::mapper::{Mapper, Mapping};
use crate::park::Patience;

/// The part of `bytes` that a guest with room for `size` gets.
fn sized(bytes: &[u8], size: u32) -> Result<XattrReply> {
    match size as usize {
        0 => Ok(XattrReply::Size(bytes.len() as u32)),
        room if room < bytes.len() => Err(errno::error(errno::ERANGE)),
        _ => Ok(XattrReply::Value(bytes.to_vec())),
    }
}

fn names(offset: u64) -> impl Iterator<Item = DirEntry<'static>> {
    let numbered = (1u64..).zip(answers::NAMES);
    numbered.skip(offset.min(64) as usize).map(|(offset, name)| DirEntry {
        ino: offset + 100,
        offset,
        kind: 8,
        name,
    })
}

/// Methods that record their arguments and give one answer.
macro_rules! answering {
    ($($name:ident($($argument:ident: $type:ty),*) -> $reply:ty = $answer:expr;)*) => {$(
        fn $name(&self, ctx: &Context $(, $argument: $type)*) -> Result<$reply> {
            self.call(ctx, stringify!($name), &[$(&$argument),*])?;
            Ok($answer)
        }
    )*};
}

impl FileSystem for NullFs {
    answering! {
        lookup(parent: NodeId, name: &CStr) -> Entry = answers::entry();
        getattr(node: NodeId, handle: Option<Handle>) -> Attributes = answers::attributes();
        statx(node: NodeId, handle: Option<Handle>, flags: u32, mask: u32) -> StatxAttributes = answers::statx();
        setattr(node: NodeId, handle: Option<Handle>, set: &SetAttr) -> Attributes = answers::attributes();
        readlink(node: NodeId) -> Vec<u8> = answers::TARGET.to_vec();
        symlink(parent: NodeId, name: &CStr, target: &CStr, make: &Make<'_>) -> Entry = answers::entry();
        mknod(parent: NodeId, name: &CStr, make: &Make<'_>) -> Entry = answers::entry();
        mkdir(parent: NodeId, name: &CStr, make: &Make<'_>) -> Entry = answers::entry();
        unlink(parent: NodeId, name: &CStr) -> () = ();
        rmdir(parent: NodeId, name: &CStr) -> () = ();
        rename(from: (NodeId, &CStr), to: (NodeId, &CStr), flags: u32) -> Stamp = answers::stamp(5);
        link(node: NodeId, new_parent: NodeId, new_name: &CStr) -> Entry = answers::entry();
        open(node: NodeId, open: &Open) -> Opened = answers::opened();
        create(parent: NodeId, name: &CStr, create: &Create<'_>) -> (Entry, Opened) = (answers::entry(), answers::opened());
        tmpfile(parent: NodeId, create: &Create<'_>) -> (Entry, Opened) = (answers::entry(), answers::opened());
        flush(node: NodeId, handle: Handle, lock_owner: u64) -> () = ();
        release(node: NodeId, handle: Handle, release: &Release) -> () = ();
        fsync(node: NodeId, handle: Handle, datasync: bool) -> () = ();
        fallocate(node: NodeId, handle: Handle, mode: u32, offset: u64, len: u64) -> () = ();
        lseek(node: NodeId, handle: Handle, offset: u64, whence: u32) -> u64 = offset + 1;
        opendir(node: NodeId, flags: u32) -> Opened = answers::opened();
        releasedir(node: NodeId, handle: Handle, release: &Release) -> () = ();
        fsyncdir(node: NodeId, handle: Handle, datasync: bool) -> () = ();
        syncfs(node: NodeId) -> () = ();
        access(node: NodeId, mask: u32) -> () = ();
        statfs(node: NodeId) -> Kstatfs = answers::statfs();
        copy_file_range(copy: &CopyRange) -> u64 = copy.len;
    }

    fn init(&self, offer: &Offer) -> Result<InitFlags> {
        self.call(&Context { uid: 0, gid: 0, pid: 0 }, "init", &[&offer.flags])?;
        Ok(self.wanted)
    }

    fn destroy(&self) {
        self.note(&"destroy", &[]);
    }

    fn forget(&self, node: NodeId, count: u64) {
        self.note(&"forget", &[&node, &count]);
    }

    fn read(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        read: &Read,
        sink: &mut dyn DataSink,
    ) -> Result<usize> {
        self.call(ctx, "read", &[&node, &handle, read])?;
        let Some(file) = &self.file else {
            let zeros = [0; 512];
            let len = sink.room().min(zeros.len());
            return sink.put(&zeros[..len]).map(|()| len);
        };
        sink.read_from(file.as_fd(), read.size as usize, read.offset)
    }

    fn write(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        write: &Write,
        source: &mut dyn DataSource,
    ) -> Result<Written> {
        self.call(ctx, "write", &[&node, &handle, write])?;
        let size = write.size as usize;
        if let Some(file) = &self.file {
            let size = source.write_to(file.as_fd(), size, write.offset, WriteMode::empty())?;
            return Ok(Written { size, stamp: answers::stamp(6) });
        }
        let mut bytes = vec![0; source.remaining().min(512)];
        source.read_exact(&mut bytes)?;
        Ok(Written { size, stamp: answers::stamp(6) })
    }

    fn readdir(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        offset: u64,
        out: &mut DirBuffer<'_>,
    ) -> Result<()> {
        self.call(ctx, "readdir", &[&node, &handle, &offset, &out.room()])?;
        let _ = names(offset).find(|name| !out.push(name));
        Ok(())
    }

    fn readdirplus(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        offset: u64,
        out: &mut DirPlusBuffer<'_>,
    ) -> Result<()> {
        self.call(ctx, "readdirplus", &[&node, &handle, &offset, &out.room()])?;
        let _ = names(offset).find(|name| !out.push(name, &answers::entry()));
        Ok(())
    }

    /// Answers its argument, as far as the guest has room for it.
    fn ioctl(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        ioctl: &Ioctl<'_>,
    ) -> Result<IoctlReply> {
        self.call(ctx, "ioctl", &[&node, &handle, ioctl])?;
        let len = ioctl.input.len().min(ioctl.out_size as usize);
        Ok(IoctlReply { result: 6, output: ioctl.input[..len].to_vec() })
    }
}

impl Locks for NullFs {
    answering! {
        getlk(node: NodeId, handle: Handle, lock: &RecordLock) -> Option<RecordLock> = Some(answers::lock());
    }

    /// Whoever has patience waits where [`NullFs::hold_locks`] was called.
    fn setlk(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        lock: &RecordLock,
        patience: Option<&Patience<'_>>,
    ) -> Result<()> {
        self.call(ctx, "setlk", &[&node, &handle, lock, &patience])?;
        self.wait(patience)
    }

    fn flock(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        kind: LockKind,
        patience: Option<&Patience<'_>>,
    ) -> Result<()> {
        self.call(ctx, "flock", &[&node, &handle, &kind, &patience])?;
        self.wait(patience)
    }

    fn interrupt(&self, unique: u64) {
        self.note(&"interrupt", &[&unique]);
    }
}

impl Xattrs for NullFs {
    answering! {
        setxattr(node: NodeId, name: &CStr, value: &[u8], flags: u32, kill_sgid: bool) -> () = ();
        removexattr(node: NodeId, name: &CStr) -> () = ();
    }

    fn getxattr(&self, ctx: &Context, node: NodeId, name: &CStr, size: u32) -> Result<XattrReply> {
        self.call(ctx, "getxattr", &[&node, &name, &size])?;
        sized(answers::XATTR, size)
    }

    fn listxattr(&self, ctx: &Context, node: NodeId, size: u32) -> Result<XattrReply> {
        self.call(ctx, "listxattr", &[&node, &size])?;
        sized(answers::XATTRS, size)
    }
}

impl Mappings for NullFs {
    fn setup_mapping(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Option<Handle>,
        setup: &SetupMapping,
        mapper: &dyn Mapper,
    ) -> Result<()> {
        self.call(ctx, "setup_mapping", &[&node, &handle, setup])?;
        let Some(file) = &self.file else { return Ok(()) };
        mapper.map(&Mapping {
            held: None,
            file: file.as_fd(),
            file_offset: setup.file_offset,
            window_offset: setup.window_offset,
            len: setup.len,
            writable: setup.writable,
        })
    }

    fn remove_mapping(
        &self,
        ctx: &Context,
        node: NodeId,
        remove: &[RemoveMapping],
        mapper: &dyn Mapper,
    ) -> Result<()> {
        self.call(ctx, "remove_mapping", &[&node, &remove])?;
        remove.iter().try_for_each(|stretch| mapper.unmap(stretch.window_offset, stretch.len))
    }
}
