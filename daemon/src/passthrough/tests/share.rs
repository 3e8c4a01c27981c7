//! A shared directory, and short forms of requests.

use std::ffi::{CStr, CString};
use std::fmt::Debug;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuse::abi::{Attr, InitFlags};
use fuse::filesystem::{
    Create, Entry, Make, Open, Opened, Read, Release, SetAttr, Write, XattrReply, Xattrs,
};
use fuse::io::{DataSink, DataSource, WriteMode};
use fuse::{Context, FileSystem, Handle, NodeId};
use rustix::io::ReadWriteFlags;
use tempfile::TempDir;

use crate::passthrough::{Config, InodeFileHandles, Negotiation, Passthrough};

pub(super) const ROOT: Context = Context { uid: 0, gid: 0, pid: 1 };
pub(super) const USER: Context = Context { uid: 1234, gid: 5678, pid: 2 };

/// Where a share lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Disk,
    Tmpfs,
}

/// A directory that is served, and that tests change behind the server's back.
pub(super) struct Share {
    pub(super) fs: Passthrough,
    dir: Arc<TempDir>,
}

/// Everything on, but what tests turn on themselves.
pub(super) fn config(mode: InodeFileHandles) -> Config {
    Config {
        xattr: true,
        posix_acl: Negotiation::Auto,
        security_label: Negotiation::Auto,
        announce_submounts: true,
        inode_file_handles: mode,
        ..Config::default()
    }
}

pub(super) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

pub(super) fn cstring(text: &str) -> CString {
    CString::new(text).expect("test names have no NUL")
}

#[track_caller]
pub(super) fn assert_errno<T: Debug>(result: io::Result<T>, errno: i32) {
    match result {
        Err(error) if error.raw_os_error() == Some(errno) => {}
        other => panic!("expected {}, got {other:?}", io::Error::from_raw_os_error(errno)),
    }
}

impl Share {
    /// Runs `case` on a fresh share.
    pub(super) fn run(place: Place, mode: InodeFileHandles, case: fn(&Share)) {
        match Self::with(place, &config(mode)) {
            Some(share) => case(&share),
            None => eprintln!("skipped: no {place:?} to test on"),
        }
    }

    /// A fresh share on disk.
    pub(super) fn on_disk(config: &Config) -> Self {
        Self::with(Place::Disk, config).expect("there is always a disk")
    }

    fn with(place: Place, config: &Config) -> Option<Self> {
        let base = match place {
            Place::Disk => std::env::temp_dir(),
            Place::Tmpfs => PathBuf::from("/dev/shm"),
        };
        base.is_dir().then(|| Self::new_in(&base, config))
    }

    /// A fresh share in a directory of the test's.
    pub(super) fn new_in(base: &Path, config: &Config) -> Self {
        let dir = TempDir::with_prefix_in("samepage-", base).expect("a directory for the test");
        let shared_dir = dir.path().join("share");
        fs::create_dir(&shared_dir).expect("the shared directory");
        let fs = Passthrough::new(Config { shared_dir, ..config.clone() }).expect("a file system");
        fs.init(&InitFlags::all().into()).expect("INIT");
        Self { fs, dir: Arc::new(dir) }
    }

    /// Another daemon on the same directory, which no guest has mounted.
    pub(super) fn beside(&self, config: &Config) -> Self {
        let config = Config { shared_dir: self.path(""), ..config.clone() };
        let fs = Passthrough::new(config).expect("a file system");
        Self { fs, dir: Arc::clone(&self.dir) }
    }

    /// Whether inodes are kept by file handle.
    pub(super) fn has_handles(&self) -> bool {
        self.fs.inodes.get(NodeId::ROOT).expect("a root").mount.has_handles()
    }

    /// A path in the shared directory, on the host.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("share").join(name)
    }

    /// A path beside the shared directory, on the host.
    pub(super) fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a file on the host.
    pub(super) fn host_file(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).expect("a file on the host");
        path
    }

    pub(super) fn lookup(&self, parent: NodeId, name: &str) -> io::Result<Entry> {
        self.fs.lookup(&ROOT, parent, &cstring(name))
    }

    /// Looks up a path from the root.
    #[track_caller]
    pub(super) fn node(&self, path: &str) -> NodeId {
        let walk = |node, name| match self.lookup(node, name) {
            Ok(entry) => NodeId(entry.nodeid),
            Err(error) => panic!("{path}: {error}"),
        };
        Path::new(path)
            .iter()
            .map(|name| name.to_str().expect("test names are text"))
            .fold(NodeId::ROOT, walk)
    }

    pub(super) fn attr(&self, node: NodeId) -> io::Result<Attr> {
        self.fs.getattr(&ROOT, node, None).map(|attributes| attributes.attr)
    }

    pub(super) fn set(&self, node: NodeId, set: &SetAttr) -> io::Result<Attr> {
        self.fs.setattr(&ROOT, node, None, set).map(|attributes| attributes.attr)
    }

    pub(super) fn open(&self, node: NodeId, flags: i32) -> io::Result<Handle> {
        let open = Open { flags: flags as u32, kill_suidgid: false };
        self.fs.open(&ROOT, node, &open).map(|opened| opened.handle.expect("a handle"))
    }

    pub(super) fn create(
        &self,
        context: &Context,
        parent: NodeId,
        name: &str,
        create: &Create<'_>,
    ) -> io::Result<(Entry, Opened)> {
        self.fs.create(context, parent, &cstring(name), create)
    }

    /// Creates and opens a file with mode 0644 in the root.
    pub(super) fn new_file(&self, name: &str) -> (NodeId, Handle) {
        let (entry, opened) =
            self.create(&ROOT, NodeId::ROOT, name, &creation(0o644)).expect("a new file");
        (NodeId(entry.nodeid), opened.handle.expect("a handle"))
    }

    pub(super) fn mkdir(&self, parent: NodeId, name: &str) -> io::Result<Entry> {
        let make = Make { mode: 0o755, ..Make::default() };
        self.fs.mkdir(&ROOT, parent, &cstring(name), &make)
    }

    pub(super) fn unlink(&self, parent: NodeId, name: &str) -> io::Result<()> {
        self.fs.unlink(&ROOT, parent, &cstring(name))
    }

    pub(super) fn rename(
        &self,
        from: (NodeId, &str),
        to: (NodeId, &str),
        flags: u32,
    ) -> io::Result<()> {
        let (old, new) = (cstring(from.1), cstring(to.1));
        self.fs.rename(&ROOT, (from.0, &old), (to.0, &new), flags).map(drop)
    }

    pub(super) fn link(&self, node: NodeId, parent: NodeId, name: &str) -> io::Result<Entry> {
        self.fs.link(&ROOT, node, parent, &cstring(name))
    }

    pub(super) fn read(
        &self,
        file: (NodeId, Handle),
        offset: u64,
        size: u32,
    ) -> io::Result<Vec<u8>> {
        let mut sink = Sink { room: size as usize, bytes: Vec::new() };
        let read = Read { offset, size, flags: 0 };
        let length = self.fs.read(&ROOT, file.0, file.1, &read, &mut sink)?;
        assert_eq!(length, sink.bytes.len());
        Ok(sink.bytes)
    }

    pub(super) fn write(
        &self,
        file: (NodeId, Handle),
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<usize> {
        self.write_as(file, bytes, &writing(offset, bytes.len()))
    }

    pub(super) fn write_as(
        &self,
        file: (NodeId, Handle),
        bytes: &[u8],
        write: &Write,
    ) -> io::Result<usize> {
        self.fs.write(&ROOT, file.0, file.1, write, &mut Source(bytes)).map(|written| written.size)
    }

    pub(super) fn release(&self, file: (NodeId, Handle)) -> io::Result<()> {
        self.fs.release(&ROOT, file.0, file.1, &releasing())
    }

    pub(super) fn get_xattr(&self, node: NodeId, name: &CStr) -> io::Result<Vec<u8>> {
        match self.fs.getxattr(&ROOT, node, name, 1024)? {
            XattrReply::Value(value) => Ok(value),
            XattrReply::Size(size) => panic!("{size} bytes, but no value"),
        }
    }

    pub(super) fn set_xattr(&self, node: NodeId, name: &CStr, value: &[u8]) -> io::Result<()> {
        self.fs.setxattr(&ROOT, node, name, value, 0, false)
    }
}

/// `O_RDWR | O_CREAT` without a umask.
pub(super) fn creation(mode: u32) -> Create<'static> {
    Create {
        flags: (libc::O_RDWR | libc::O_CREAT) as u32,
        mode: libc::S_IFREG | mode,
        umask: 0,
        kill_suidgid: false,
        extensions: fuse::filesystem::Extensions::default(),
    }
}

pub(super) fn releasing() -> Release {
    Release { flags: 0, lock_owner: 0, flush: false, flock_unlock: false, idle: false }
}

pub(super) fn writing(offset: u64, size: usize) -> Write {
    Write { offset, size: size as u32, flags: 0, delayed: false, kill_suidgid: false }
}

/// Room for a READ's data.
struct Sink {
    room: usize,
    bytes: Vec<u8>,
}

impl DataSink for Sink {
    fn room(&self) -> usize {
        self.room
    }

    fn read_from(&mut self, file: BorrowedFd<'_>, len: usize, offset: u64) -> io::Result<usize> {
        let mut bytes = vec![0; len.min(self.room)];
        let length = rustix::io::pread(file, &mut bytes[..], offset)?;
        self.bytes.extend_from_slice(&bytes[..length]);
        self.room -= length;
        Ok(length)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// A WRITE's data.
struct Source<'a>(&'a [u8]);

impl DataSource for Source<'_> {
    fn remaining(&self) -> usize {
        self.0.len()
    }

    fn write_to(
        &mut self,
        file: BorrowedFd<'_>,
        len: usize,
        offset: u64,
        mode: WriteMode,
    ) -> io::Result<usize> {
        let mut flags = ReadWriteFlags::empty();
        flags.set(ReadWriteFlags::APPEND, mode.contains(WriteMode::APPEND));
        let data = [io::IoSlice::new(&self.0[..len])];
        let written = rustix::io::pwritev2(file.as_fd(), &data, offset, flags)?;
        self.0 = &self.0[written..];
        Ok(written)
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        let (bytes, rest) =
            self.0.split_at_checked(buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        self.0 = rest;
        Ok(())
    }
}
