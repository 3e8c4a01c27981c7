//! A file system that answers everything and keeps nothing.

use std::ffi::CStr;
use std::fmt::{Debug, Display};
use std::fs::File;
use std::io::Result;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::abi::{InitFlags, Kstatfs, Stamp};
use crate::dirs::{DirBuffer, DirEntry, DirPlusBuffer};
use crate::errno;
use crate::filesystem::{
    Attributes, CopyRange, Create, Entry, FileSystem, Ioctl, IoctlReply, LockKind, Make, Offer,
    Open, Opened, Read, RecordLock, Release, RemoveMapping, SetAttr, SetupMapping, StatxAttributes,
    Write, Written, XattrReply,
};
use crate::ids::{Context, Handle, NodeId};
use crate::io::{DataSink, DataSource, WriteMode};
use crate::mapper::{Mapper, Mapping};
use crate::park::{Later, Patience};

/// What [`NullFs`] answers.
pub mod answers {
    use std::time::Duration;

    use crate::abi::{Attr, Kstatfs, OpenReplyFlags, Stamp, Statx};
    use crate::filesystem::{Attributes, Entry, LockKind, Opened, RecordLock, StatxAttributes};
    use crate::ids::Handle;

    /// A symlink's target.
    pub const TARGET: &[u8] = b"somewhere";
    /// An extended attribute's value.
    pub const XATTR: &[u8] = b"value";
    /// The list of extended attributes.
    pub const XATTRS: &[u8] = b"user.a\0user.b\0";
    /// A directory's names.
    pub const NAMES: [&[u8]; 4] = [b".", b"..", b"file", b"another"];

    /// Attributes whose every field has a value of its own.
    #[must_use]
    pub fn attr() -> Attr {
        Attr {
            ino: 0x0101,
            size: 0x0202,
            blocks: 0x0303,
            atime: 0x0404,
            mtime: 0x0505,
            ctime: 0x0606,
            atimensec: 0x0707,
            mtimensec: 0x0808,
            ctimensec: 0x0909,
            mode: 0x0A0A,
            nlink: 0x0B0B,
            uid: 0x0C0C,
            gid: 0x0D0D,
            rdev: 0x0E0E,
            blksize: 0x0F0F,
            flags: 0x1010,
        }
    }

    /// A stamp that tells whose it is.
    #[must_use]
    pub fn stamp(whose: u32) -> Stamp {
        let at = |n: u32| 1000 * whose + n;
        Stamp { slots: [1, 2, 3, 4].map(at), words: [5, 6, 7, 8].map(|n| u64::from(at(n)) << 16) }
    }

    /// LOOKUP and the creating operations.
    #[must_use]
    pub fn entry() -> Entry {
        Entry {
            nodeid: 42,
            generation: 43,
            attr: attr(),
            entry_ttl: Duration::from_millis(1_500),
            attr_ttl: Duration::from_millis(2_250),
            stamp: stamp(1),
        }
    }

    /// GETATTR and SETATTR.
    #[must_use]
    pub fn attributes() -> Attributes {
        Attributes { attr: attr(), ttl: Duration::from_millis(2_250), stamp: stamp(2) }
    }

    /// STATX.
    #[must_use]
    pub fn statx() -> StatxAttributes {
        let statx = Statx { mask: 0xFFF, ino: 0x0101, size: 0x0202, ..Statx::default() };
        StatxAttributes { statx, ttl: Duration::from_millis(2_250), stamp: stamp(3) }
    }

    /// STATFS.
    #[must_use]
    pub fn statfs() -> Kstatfs {
        Kstatfs {
            blocks: 1,
            bfree: 2,
            bavail: 3,
            files: 4,
            bsize: 5,
            namelen: 6,
            ..Kstatfs::default()
        }
    }

    /// GETLK.
    #[must_use]
    pub fn lock() -> RecordLock {
        RecordLock { owner: 0, start: 1, end: 2, kind: LockKind::Read, pid: 3 }
    }

    /// OPEN and its like.
    #[must_use]
    pub fn opened() -> Opened {
        Opened { handle: Some(Handle(77)), flags: OpenReplyFlags::KEEP_CACHE, stamp: stamp(4) }
    }
}

/// A file system that answers everything from [`answers`] and keeps nothing, but for a record of how it was called.
#[derive(Debug, Default)]
pub struct NullFs {
    wanted: InitFlags,
    file: Option<File>,
    calls: Option<Mutex<Vec<String>>>,
    errno: AtomicI32,
    held: Mutex<Option<Vec<Later>>>,
}

impl NullFs {
    /// Wants all that a guest offers.
    #[must_use]
    pub fn new() -> Self {
        Self { wanted: InitFlags::all(), ..Self::default() }
    }

    /// Keeps a record of its calls, too.
    #[must_use]
    pub fn recording() -> Self {
        Self { calls: Some(Mutex::default()), ..Self::new() }
    }

    /// Wants this of a guest's offer.
    #[must_use]
    pub fn wanting(self, wanted: InitFlags) -> Self {
        Self { wanted, ..self }
    }

    /// Reads, writes and maps this file. Without one, READ answers zeros, and WRITE looks at the data and drops it.
    #[must_use]
    pub fn with_file(self, file: File) -> Self {
        Self { file: Some(file), ..self }
    }

    /// From now on every operation that can fail does, with this error number; 0: none.
    pub fn fail(&self, errno: i32) {
        // Relaxed: tests set it between requests.
        self.errno.store(errno, Ordering::Relaxed);
    }

    /// The calls since the last time.
    #[must_use]
    pub fn take_calls(&self) -> Vec<String> {
        let calls = self.calls.as_ref().map(|calls| calls.lock());
        calls
            .map(|calls| std::mem::take(&mut *calls.unwrap_or_else(PoisonError::into_inner)))
            .unwrap_or_default()
    }

    /// Locks that are waited for are waited for from now on; else they are had at once.
    pub fn hold_locks(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    /// Those who wait for locks.
    #[must_use]
    pub fn waiting(&self) -> Vec<Later> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn wait(&self, patience: Option<&Patience<'_>>) -> Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(patience), Some(held)) = (patience, &mut *held) {
            held.push(patience.park()?);
        }
        Ok(())
    }

    fn call(&self, ctx: &Context, name: &str, arguments: &[&dyn Debug]) -> Result<()> {
        self.note(&format_args!("{name} {}:{}", ctx.uid, ctx.gid), arguments);
        // Relaxed: see `fail`.
        match self.errno.load(Ordering::Relaxed) {
            0 => Ok(()),
            number => Err(errno::error(number)),
        }
    }

    fn note(&self, call: &dyn Display, arguments: &[&dyn Debug]) {
        if let Some(calls) = &self.calls {
            let line =
                arguments.iter().fold(call.to_string(), |line, next| format!("{line} {next:?}"));
            calls.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }
}

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
        getlk(node: NodeId, handle: Handle, lock: &RecordLock) -> Option<RecordLock> = Some(answers::lock());
        fsync(node: NodeId, handle: Handle, datasync: bool) -> () = ();
        fallocate(node: NodeId, handle: Handle, mode: u32, offset: u64, len: u64) -> () = ();
        lseek(node: NodeId, handle: Handle, offset: u64, whence: u32) -> u64 = offset + 1;
        opendir(node: NodeId, flags: u32) -> Opened = answers::opened();
        releasedir(node: NodeId, handle: Handle, release: &Release) -> () = ();
        fsyncdir(node: NodeId, handle: Handle, datasync: bool) -> () = ();
        syncfs(node: NodeId) -> () = ();
        access(node: NodeId, mask: u32) -> () = ();
        setxattr(node: NodeId, name: &CStr, value: &[u8], flags: u32, kill_sgid: bool) -> () = ();
        removexattr(node: NodeId, name: &CStr) -> () = ();
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

    fn getxattr(&self, ctx: &Context, node: NodeId, name: &CStr, size: u32) -> Result<XattrReply> {
        self.call(ctx, "getxattr", &[&node, &name, &size])?;
        sized(answers::XATTR, size)
    }

    fn listxattr(&self, ctx: &Context, node: NodeId, size: u32) -> Result<XattrReply> {
        self.call(ctx, "listxattr", &[&node, &size])?;
        sized(answers::XATTRS, size)
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
