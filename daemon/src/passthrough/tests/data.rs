//! READ, WRITE and the like.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use fuse::filesystem::{CopyRange, SetAttr, Write};
use fuse::io::{DataSource, WriteMode};
use fuse::{FileSystem, Handle, NodeId, errno};

use super::on_every_share;
use super::share::{ROOT, Share, assert_errno, writing};

on_every_share! {
    what_is_written_is_read, appending, delayed_writes_are_whole_or_fail, truncation, opening_cuts, holes, allocation, copies, synchronization,
    handles_are_checked, access_modes_are_kept,
}

fn what_is_written_is_read(share: &Share) {
    let file = share.new_file("file");
    assert_eq!(share.write(file, 0, b"hello, world").unwrap(), 12);
    assert_eq!(share.write(file, 7, b"there").unwrap(), 5);
    assert_eq!(share.read(file, 0, 100).unwrap(), b"hello, there");
    assert_eq!(share.read(file, 7, 3).unwrap(), b"the");
    assert_eq!(share.read(file, 12, 3).unwrap(), b"");
    assert_eq!(fs::read(share.path("file")).unwrap(), b"hello, there");
    assert_errno(share.read(file, u64::MAX, 1), errno::EINVAL);
    share.release(file).unwrap();
}

fn appending(share: &Share) {
    share.host_file("file", "one");
    let node = share.node("file");
    let file = (node, share.open(node, libc::O_RDWR | libc::O_APPEND).unwrap());
    let append = Write { flags: libc::O_APPEND as u32, ..writing(0, 3) };
    share.write_as(file, b"two", &append).unwrap();
    // The page cache has resolved the position already.
    share.write_as(file, b"ONE", &Write { delayed: true, ..append }).unwrap();
    // The guest has cleared the flag since.
    share.write(file, 3, b"T").unwrap();
    assert_eq!(fs::read(share.path("file")).unwrap(), b"ONETwo");
}

/// Writes three bytes at a time while `room` lasts, as a disk that fills up does.
struct Dripping {
    data: &'static [u8],
    room: usize,
}

impl DataSource for Dripping {
    fn remaining(&self) -> usize {
        self.data.len()
    }

    fn write_to(
        &mut self,
        file: BorrowedFd<'_>,
        len: usize,
        offset: u64,
        _: WriteMode,
    ) -> io::Result<usize> {
        let len = len.min(3).min(self.room);
        if len == 0 {
            return Err(errno::error(errno::ENOSPC));
        }
        let written = rustix::io::pwrite(file, &self.data[..len], offset)?;
        self.data = &self.data[written..];
        self.room -= written;
        Ok(written)
    }

    fn read_exact(&mut self, _: &mut [u8]) -> io::Result<()> {
        unreachable!("data goes straight to the file")
    }
}

/// The guest's page cache does not look at how much was written.
fn delayed_writes_are_whole_or_fail(share: &Share) {
    let file = share.new_file("file");
    let write = |write: &Write, room| {
        let mut source = Dripping { data: b"0123456789", room };
        share.fs.write(&ROOT, file.0, file.1, write, &mut source)
    };
    let direct = writing(0, 10);
    assert_eq!(write(&direct, 10).unwrap().size, 3, "the program sees that and goes on");
    let delayed = Write { delayed: true, ..direct };
    assert_eq!(write(&delayed, 10).unwrap().size, 10);
    assert_eq!(fs::read(share.path("file")).unwrap(), b"0123456789");
    assert_errno(write(&delayed, 7), errno::ENOSPC);
}

fn truncation(share: &Share) {
    share.host_file("file", "0123456789");
    let node = share.node("file");
    let size = |size| SetAttr { size: Some(size), ..SetAttr::default() };
    assert_eq!(share.set(node, &size(4)).unwrap().size, 4);
    let handle = share.open(node, libc::O_WRONLY).unwrap();
    let attr = share.fs.setattr(&ROOT, node, Some(handle), &size(6)).unwrap().attr;
    assert_eq!(attr.size, 6);
    assert_eq!(fs::read(share.path("file")).unwrap(), b"0123\0\0");
    assert_errno(share.set(node, &size(u64::MAX)), errno::EINVAL);
    assert_errno(share.set(NodeId::ROOT, &size(0)), errno::EISDIR);
}

fn opening_cuts(share: &Share) {
    share.host_file("file", "0123456789");
    let node = share.node("file");
    let handle = share.open(node, libc::O_WRONLY | libc::O_TRUNC).unwrap();
    assert_eq!(share.fs.getattr(&ROOT, node, Some(handle)).unwrap().attr.size, 0);
    assert_eq!(fs::metadata(share.path("file")).unwrap().size(), 0);
}

fn holes(share: &Share) {
    let file = share.new_file("file");
    let hole = 1 << 20;
    share.write(file, hole, b"data").unwrap();
    let seek = |offset, whence: i32| share.fs.lseek(&ROOT, file.0, file.1, offset, whence as u32);
    assert_eq!(seek(0, libc::SEEK_DATA).unwrap(), hole);
    assert_eq!(seek(0, libc::SEEK_HOLE).unwrap(), 0);
    assert_eq!(seek(hole, libc::SEEK_HOLE).unwrap(), hole + 4);
    assert_errno(seek(hole + 4, libc::SEEK_DATA), libc::ENXIO);
    assert_errno(seek(0, libc::SEEK_SET), errno::EINVAL);
    assert!(share.attr(file.0).unwrap().blocks * 512 < hole);
}

fn allocation(share: &Share) {
    let file = share.new_file("file");
    let allocate = |mode: i32, offset, len| {
        share.fs.fallocate(&ROOT, file.0, file.1, mode as u32, offset, len)
    };
    allocate(0, 0, 8192).unwrap();
    assert_eq!(share.attr(file.0).unwrap().size, 8192);
    share.write(file, 0, &[1; 8192]).unwrap();
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    allocate(punch, 0, 4096).unwrap();
    assert_eq!(share.read(file, 0, 8192).unwrap(), [[0; 4096], [1; 4096]].concat());
    allocate(libc::FALLOC_FL_KEEP_SIZE, 8192, 8192).unwrap();
    assert_eq!(share.attr(file.0).unwrap().size, 8192);
    assert_errno(allocate(0, 0, 0), errno::EINVAL);
    assert_errno(allocate(1 << 30, 0, 1), errno::EOPNOTSUPP);
}

fn copies(share: &Share) {
    let from = share.new_file("from");
    let to = share.new_file("to");
    share.write(from, 0, b"0123456789").unwrap();
    let copy = CopyRange { from, from_offset: 2, to, to_offset: 1, len: 5, flags: 0 };
    assert_eq!(share.fs.copy_file_range(&ROOT, &copy).unwrap(), 5);
    assert_eq!(share.read(to, 0, 100).unwrap(), b"\x0023456");
    let all = CopyRange { len: u64::MAX, from_offset: 8, ..copy };
    assert_errno(share.fs.copy_file_range(&ROOT, &CopyRange { flags: 1, ..copy }), errno::EINVAL);
    match share.fs.copy_file_range(&ROOT, &all) {
        Ok(copied) => assert_eq!(copied, 2),
        // The sum does not fit the kernel's file positions.
        Err(error) => assert_eq!(error.raw_os_error(), Some(errno::EOVERFLOW)),
    }
}

fn synchronization(share: &Share) {
    let file = share.new_file("file");
    share.write(file, 0, b"data").unwrap();
    share.fs.flush(&ROOT, file.0, file.1, 1).unwrap();
    share.fs.fsync(&ROOT, file.0, file.1, false).unwrap();
    share.fs.fsync(&ROOT, file.0, file.1, true).unwrap();
    share.fs.syncfs(&ROOT, NodeId::ROOT).unwrap();
    let directory = share.fs.opendir(&ROOT, NodeId::ROOT, 0).unwrap().handle.unwrap();
    share.fs.fsyncdir(&ROOT, NodeId::ROOT, directory, false).unwrap();
    assert_errno(share.fs.fsyncdir(&ROOT, file.0, file.1, false), errno::ENOTDIR);
    assert_errno(share.fs.fsync(&ROOT, NodeId::ROOT, directory, true), errno::EISDIR);
}

fn handles_are_checked(share: &Share) {
    let file = share.new_file("file");
    let other = share.new_file("other");
    assert_errno(share.read((file.0, other.1), 0, 1), errno::EBADF);
    assert_errno(share.read((file.0, Handle(4711)), 0, 1), errno::EBADF);
    assert_errno(share.release((file.0, other.1)), errno::EBADF);
    assert_errno(share.fs.getattr(&ROOT, file.0, Some(other.1)), errno::EBADF);
    let directory = share.fs.opendir(&ROOT, NodeId::ROOT, 0).unwrap().handle.unwrap();
    assert_errno(share.read((NodeId::ROOT, directory), 0, 1), errno::EISDIR);
    assert_errno(share.write((NodeId::ROOT, directory), 0, b"x"), errno::EISDIR);
    share.release(file).unwrap();
    assert_errno(share.release(file), errno::EBADF);
    assert_errno(share.write(file, 0, b"x"), errno::EBADF);
    assert_errno(share.fs.flush(&ROOT, file.0, file.1, 1), errno::EBADF);
}

fn access_modes_are_kept(share: &Share) {
    share.host_file("file", "data");
    let node = share.node("file");
    let reader = (node, share.open(node, libc::O_RDONLY).unwrap());
    let writer = (node, share.open(node, libc::O_WRONLY).unwrap());
    assert_errno(share.write(reader, 0, b"x"), errno::EBADF);
    assert_errno(share.read(writer, 0, 1), errno::EBADF);
    assert_errno(share.open(NodeId::ROOT, libc::O_RDWR), errno::EISDIR);
    assert_errno(share.fs.opendir(&ROOT, node, 0), errno::ENOTDIR);
}
