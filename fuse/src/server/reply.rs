//! Replies under construction: the body first, the header last.

use std::io;
use std::os::fd::BorrowedFd;

use zerocopy::{Immutable, IntoBytes};

use crate::abi::{AttrOut, EntryOut, OpenOut, OutHeader};
use crate::errno;
use crate::failure::{Failure, Outcome};
use crate::filesystem::{Attributes, Entry, Opened};
use crate::io::{DataSink, ReplyWriter};

use super::ProtocolError;

/// Where the body begins.
const BODY: usize = size_of::<OutHeader>();
/// Longest body: the header's length has 32 bits. Linux reads no more than this at once either (`MAX_RW_COUNT`).
const MAX_BODY: usize = 0x7FFF_F000;

/// A reply whose header fits. Functions that write return the body's length.
pub(super) struct Reply<'a> {
    writer: &'a mut dyn ReplyWriter,
    room: usize,
}

impl<'a> Reply<'a> {
    /// None where not even the header fits.
    pub(super) fn new(writer: &'a mut dyn ReplyWriter) -> Option<Self> {
        let room = writer.capacity().checked_sub(BODY)?.min(MAX_BODY);
        Some(Self { writer, room })
    }

    /// Bytes that the body may have.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// A guest that leaves no room for `len` bytes of answer has made a malformed request.
    pub(super) fn require(&self, len: usize) -> Outcome<()> {
        if len <= self.room { Ok(()) } else { Err(Failure::Malformed) }
    }

    /// A body of one structure.
    pub(super) fn put<T: IntoBytes + Immutable>(&mut self, value: &T) -> Outcome<usize> {
        self.bytes(0, value.as_bytes())
    }

    /// A body of one structure and what follows it.
    pub(super) fn put_with<T: IntoBytes + Immutable>(
        &mut self,
        value: &T,
        rest: &[u8],
    ) -> Outcome<usize> {
        let end = self.put(value)?;
        self.bytes(end, rest)
    }

    /// Bytes at a position in the body; returns where they end.
    pub(super) fn bytes(&mut self, at: usize, bytes: &[u8]) -> Outcome<usize> {
        let end = at + bytes.len();
        self.require(end)?;
        self.writer.write_at(BODY + at, bytes).map_err(Failure::Memory)?;
        Ok(end)
    }

    /// A name's inode.
    pub(super) fn entry(&mut self, entry: &Entry) -> Outcome<usize> {
        self.put(&EntryOut::from(entry))
    }

    /// A new name's inode, and the handle that it was opened with.
    pub(super) fn entry_opened(&mut self, (entry, opened): &(Entry, Opened)) -> Outcome<usize> {
        self.put_with(&EntryOut::from(entry), OpenOut::from(opened).as_bytes())
    }

    /// An inode's attributes.
    pub(super) fn attributes(&mut self, attributes: &Attributes) -> Outcome<usize> {
        self.put(&AttrOut::from(attributes))
    }

    /// A handle.
    pub(super) fn opened(&mut self, opened: &Opened) -> Outcome<usize> {
        self.put(&OpenOut::from(opened))
    }

    /// A place for up to `size` bytes of a file.
    pub(super) fn sink(&mut self, size: usize) -> Sink<'_> {
        Sink { writer: self.writer, filled: 0, size: size.min(self.room) }
    }

    /// Writes the header; returns the whole reply's length.
    pub(super) fn finish(
        self,
        unique: u64,
        outcome: Outcome<usize>,
    ) -> Result<usize, ProtocolError> {
        let (body, errno) = match outcome {
            Ok(body) => (body, 0),
            Err(Failure::Malformed) => (0, errno::EINVAL),
            Err(Failure::Errno(errno)) => (0, errno),
            Err(Failure::Memory(error)) => return Err(ProtocolError::Memory(error)),
        };
        let len = BODY + body;
        // MAX_BODY keeps the length within 32 bits.
        let header = OutHeader { len: len as u32, error: -errno, unique };
        self.writer.write_at(0, header.as_bytes()).map_err(ProtocolError::Memory)?;
        Ok(len)
    }
}

/// Room for file data in a reply's body.
pub(super) struct Sink<'a> {
    writer: &'a mut dyn ReplyWriter,
    filled: usize,
    size: usize,
}

impl Sink<'_> {
    /// Bytes that have come.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }
}

impl DataSink for Sink<'_> {
    fn room(&self) -> usize {
        self.size - self.filled
    }

    fn read_from(&mut self, file: BorrowedFd<'_>, len: usize, offset: u64) -> io::Result<usize> {
        let len = len.min(self.room());
        let came = self.writer.read_file_at(BODY + self.filled, file, len, offset)?.min(len);
        self.filled += came;
        Ok(came)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > self.room() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.writer.write_at(BODY + self.filled, bytes)?;
        self.filled += bytes.len();
        Ok(())
    }
}
