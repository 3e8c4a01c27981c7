//! The seams between a transport and the server: bytes in, bytes out, and file data that passes by.
//!
//! A transport (virtqueues, or a byte buffer in a test) implements [`RequestReader`] and [`ReplyWriter`].
//! File data never enters a buffer of ours: the file system hands its descriptor to [`DataSource`] or [`DataSink`],
//! and the transport moves the bytes straight between guest memory and the file (`preadv2`, `pwritev2`).

use std::io;
use std::os::fd::BorrowedFd;

bitflags::bitflags! {
    /// How [`DataSource::write_to`] writes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct WriteMode: u32 {
        /// At the file's end, whatever the offset says (`RWF_APPEND`).
        const APPEND = 1;
        /// Data is on the disk when the call returns (`RWF_DSYNC`).
        const DSYNC = 2;
        /// Data and metadata are on the disk when the call returns (`RWF_SYNC`).
        const SYNC = 4;
    }
}

/// The data of a WRITE request, still in the guest's memory.
pub trait DataSource {
    /// Bytes not consumed yet.
    fn remaining(&self) -> usize;

    /// Writes up to `len` bytes to `file` at `offset` and consumes as many as were written.
    ///
    /// # Errors
    /// What the write answers; `EFAULT` where the guest named memory that does not exist.
    fn write_to(
        &mut self,
        file: BorrowedFd<'_>,
        len: usize,
        offset: u64,
        mode: WriteMode,
    ) -> io::Result<usize>;

    /// Copies the next bytes out, for file systems that keep data in memory.
    ///
    /// # Errors
    /// `UnexpectedEof` where fewer bytes remain; `EFAULT` for memory that does not exist.
    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()>;
}

/// Room for the data of a READ reply, in the guest's memory.
pub trait DataSink {
    /// Bytes that still fit.
    fn room(&self) -> usize;

    /// Reads up to `len` bytes (never more than fit) from `file` at `offset`; returns how many came, 0 at the end.
    ///
    /// # Errors
    /// What the read answers; `EFAULT` where the guest named memory that does not exist.
    fn read_from(&mut self, file: BorrowedFd<'_>, len: usize, offset: u64) -> io::Result<usize>;

    /// Copies `bytes` in, for file systems that keep data in memory.
    ///
    /// # Errors
    /// `EFAULT` for memory that does not exist; `WriteZero` where they do not fit.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A request's bytes, in order. What is not read as headers is the data of a WRITE.
pub trait RequestReader: DataSource {}

impl<T: DataSource> RequestReader for T {}

/// Room for a reply. The server writes the body first and the header, which tells the length, last:
/// so positions are absolute, 0 is the first byte of `fuse_out_header`.
pub trait ReplyWriter {
    /// Bytes the guest provided for the whole reply, header included.
    fn capacity(&self) -> usize;

    /// Copies `bytes` to position `at`.
    ///
    /// # Errors
    /// `WriteZero` where they do not fit; `EFAULT` for memory that does not exist.
    fn write_at(&mut self, at: usize, bytes: &[u8]) -> io::Result<()>;

    /// Reads up to `len` bytes from `file` at `offset` into position `at`; returns how many came.
    ///
    /// # Errors
    /// What the read answers; `EFAULT` for memory that does not exist.
    fn read_file_at(
        &mut self,
        at: usize,
        file: BorrowedFd<'_>,
        len: usize,
        offset: u64,
    ) -> io::Result<usize>;
}
