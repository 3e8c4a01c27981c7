//! Byte buffers in place of guest memory.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use crate::io::{DataSource, ReplyWriter, WriteMode};

/// A request in a byte slice.
#[derive(Debug)]
pub struct MemoryRequest<'a> {
    rest: &'a [u8],
}

impl<'a> MemoryRequest<'a> {
    /// A request of these bytes, `fuse_in_header` first.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl DataSource for MemoryRequest<'_> {
    fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn write_to(
        &mut self,
        file: BorrowedFd<'_>,
        len: usize,
        offset: u64,
        mode: WriteMode,
    ) -> io::Result<usize> {
        let mut file = File::from(file.try_clone_to_owned()?);
        let data = &self.rest[..len.min(self.rest.len())];
        let written = if mode.contains(WriteMode::APPEND) {
            file.seek(SeekFrom::End(0))?;
            file.write(data)?
        } else {
            file.write_at(data, offset)?
        };
        if mode.intersects(WriteMode::SYNC | WriteMode::DSYNC) {
            file.sync_all()?;
        }
        self.rest = &self.rest[written..];
        Ok(written)
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        let (bytes, rest) =
            self.rest.split_at_checked(buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        self.rest = rest;
        Ok(())
    }
}

/// Room for a reply, filled with `0xAA` at first.
#[derive(Debug)]
pub struct MemoryReply {
    bytes: Vec<u8>,
}

impl MemoryReply {
    /// Room for `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { bytes: vec![0xAA; capacity] }
    }

    /// The whole area, written or not.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn slice(&mut self, at: usize, len: usize) -> io::Result<&mut [u8]> {
        let end = at.checked_add(len).ok_or(io::ErrorKind::WriteZero)?;
        self.bytes.get_mut(at..end).ok_or_else(|| io::ErrorKind::WriteZero.into())
    }
}

impl ReplyWriter for MemoryReply {
    fn capacity(&self) -> usize {
        self.bytes.len()
    }

    fn write_at(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.slice(at, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn read_file_at(
        &mut self,
        at: usize,
        file: BorrowedFd<'_>,
        len: usize,
        offset: u64,
    ) -> io::Result<usize> {
        let file = File::from(file.try_clone_to_owned()?);
        file.read_at(self.slice(at, len)?, offset)
    }
}
