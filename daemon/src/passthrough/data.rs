//! READ, WRITE and what else works on an open file's data.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use fuse::abi::InitFlags;
use fuse::filesystem::{CopyRange, Read, Write};
use fuse::io::{DataSink, DataSource, WriteMode};
use fuse::{Context, Handle, NodeId, errno};
use rustix::fs::{FallocateFlags, OFlags, SeekFrom};

use super::Passthrough;
use super::credentials::WithoutFsetid;
use super::stat::stat;
use crate::sys;

impl Passthrough {
    pub(super) fn do_read(
        &self,
        node: NodeId,
        handle: Handle,
        read: &Read,
        sink: &mut dyn DataSink,
    ) -> io::Result<usize> {
        let file = self.handles.file(node, handle)?;
        sink.read_from(file.as_fd(), read.size as usize, read.offset)
    }

    pub(super) fn do_write(
        &self,
        node: NodeId,
        handle: Handle,
        write: &Write,
        source: &mut dyn DataSource,
    ) -> io::Result<usize> {
        let file = self.handles.file(node, handle)?;
        let append = write.flags & OFlags::APPEND.bits() != 0 && !write.delayed;
        let mode = if append { WriteMode::APPEND } else { WriteMode::empty() };
        let _guard = WithoutFsetid::when(write.kill_suidgid)?;
        self.drop_capability(file.as_fd())?;
        let size = write.size as usize;
        let written = if write.delayed {
            write_all(source, file.as_fd(), size, write.offset)?
        } else {
            source.write_to(file.as_fd(), size, write.offset, mode)?
        };
        self.has_grown(file.as_fd())?;
        Ok(written)
    }

    /// As closing one of several descriptors of the file does: whoever closes loses all record locks on it. What could not
    /// be written, as network file systems find out then, only who may have written is told.
    pub(super) fn do_flush(&self, node: NodeId, handle: Handle, owner: u64) -> io::Result<()> {
        let file = self.handles.get(node, handle)?;
        self.locks.forget_owner(node, owner);
        if !file.writes() {
            return Ok(());
        }
        sys::close(rustix::io::fcntl_dupfd_cloexec(&*file, 0)?)
    }

    pub(super) fn do_fsync(&self, node: NodeId, handle: Handle, datasync: bool) -> io::Result<()> {
        sync(self.handles.file(node, handle)?.as_fd(), datasync)
    }

    pub(super) fn do_fsyncdir(
        &self,
        node: NodeId,
        handle: Handle,
        datasync: bool,
    ) -> io::Result<()> {
        let directory = self.handles.get(node, handle)?;
        directory.listing()?;
        sync(directory.as_fd(), datasync)
    }

    pub(super) fn do_fallocate(
        &self,
        context: &Context,
        node: NodeId,
        handle: Handle,
        mode: u32,
        range: (u64, u64),
    ) -> io::Result<()> {
        let file = self.handles.file(node, handle)?;
        let mode = FallocateFlags::from_bits_retain(mode);
        let _guard = WithoutFsetid::when(self.kills_privileges(context))?;
        self.drop_capability(file.as_fd())?;
        let cutting = if mode.contains(FallocateFlags::COLLAPSE_RANGE) {
            let size = stat(file.as_fd())?.size().saturating_sub(range.1);
            self.before_cut(file.as_fd(), size)?
        } else {
            None
        };
        rustix::fs::fallocate(&*file, mode, range.0, range.1)?;
        drop(cutting);
        self.has_grown(file.as_fd())
    }

    pub(super) fn do_lseek(
        &self,
        node: NodeId,
        handle: Handle,
        offset: u64,
        whence: u32,
    ) -> io::Result<u64> {
        let file = self.handles.file(node, handle)?;
        let position = match whence as i32 {
            libc::SEEK_DATA => SeekFrom::Data(offset),
            libc::SEEK_HOLE => SeekFrom::Hole(offset),
            // The guest's kernel knows the position; the host's means nothing.
            _ => return Err(errno::error(errno::EINVAL)),
        };
        Ok(rustix::fs::seek(&*file, position)?)
    }

    pub(super) fn do_copy(&self, context: &Context, copy: &CopyRange) -> io::Result<u64> {
        if copy.flags != 0 {
            return Err(errno::error(errno::EINVAL));
        }
        let from = self.handles.file(copy.from.0, copy.from.1)?;
        let to = self.handles.file(copy.to.0, copy.to.1)?;
        let (mut from_offset, mut to_offset) = (copy.from_offset, copy.to_offset);
        let length = usize::try_from(copy.len).unwrap_or(usize::MAX);
        let _guard = WithoutFsetid::when(self.kills_privileges(context))?;
        self.drop_capability(to.as_fd())?;
        let copied = rustix::fs::copy_file_range(
            &*from,
            Some(&mut from_offset),
            &*to,
            Some(&mut to_offset),
            length,
        )?;
        self.has_grown(to.as_fd())?;
        Ok(copied as u64)
    }

    /// Requests that change data but do not say whether the caller may leave suid in place: only root may. With
    /// idmapped mounts the guest's kernel does not tell who calls, and that counts as not root.
    fn kills_privileges(&self, context: &Context) -> bool {
        context.uid != 0 && self.session.has(InitFlags::HANDLE_KILLPRIV_V2)
    }
}

/// All or an error. What the guest's page cache held back was acknowledged to its programs long ago, and Linux takes no
/// notice of how much of it was written (`fuse_writepage_end`): only an error reaches the next `fsync(2)`.
fn write_all(
    source: &mut dyn DataSource,
    file: BorrowedFd<'_>,
    size: usize,
    offset: u64,
) -> io::Result<usize> {
    let mut done = 0;
    while done < size {
        let position =
            offset.checked_add(done as u64).ok_or_else(|| errno::error(errno::EINVAL))?;
        match source.write_to(file, size - done, position, WriteMode::empty())? {
            0 => return Err(errno::error(errno::EIO)),
            written => done += written,
        }
    }
    Ok(done)
}

fn sync(file: BorrowedFd<'_>, datasync: bool) -> io::Result<()> {
    Ok(if datasync { rustix::fs::fdatasync(file) } else { rustix::fs::fsync(file) }?)
}
