//! Replies under construction: the body first, the header last.

use std::io;
use std::os::fd::BorrowedFd;

use zerocopy::{Immutable, IntoBytes};

use crate::abi::{AttrOut, EntryOut, OpenOut, OutHeader, Stamp, StatxOut, WriteOut};
use crate::errno;
use crate::failure::{Failure, Outcome};
use crate::filesystem::{Attributes, Entry, Opened, StatxAttributes, Written};
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
    stamped: bool,
}

impl<'a> Reply<'a> {
    /// None where not even the header fits.
    pub(super) fn new(writer: &'a mut dyn ReplyWriter) -> Option<Self> {
        let room = writer.capacity().checked_sub(BODY)?.min(MAX_BODY);
        Some(Self { writer, room, stamped: false })
    }

    /// Bytes that the body may have.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Whether the guest expects stamps in replies.
    pub(super) fn carry_stamps(&mut self, stamped: bool) {
        self.stamped = stamped;
    }

    /// Whether the guest expects stamps.
    pub(super) fn stamped(&self) -> bool {
        self.stamped
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

    /// What stands in the body so far, and the stamp behind it where the guest expects one.
    pub(super) fn stamp(&mut self, end: usize, stamp: &Stamp) -> Outcome<usize> {
        if self.stamped { self.bytes(end, stamp.as_bytes()) } else { Ok(end) }
    }

    /// A name's inode.
    pub(super) fn entry(&mut self, entry: &Entry) -> Outcome<usize> {
        let end = self.put(&EntryOut::new(entry, self.stamped))?;
        self.stamp(end, &entry.stamp)
    }

    /// A new name's inode, and the handle that it was opened with.
    pub(super) fn entry_opened(&mut self, (entry, opened): &(Entry, Opened)) -> Outcome<usize> {
        let end =
            self.put_with(&EntryOut::new(entry, self.stamped), OpenOut::from(opened).as_bytes())?;
        self.stamp(end, &entry.stamp)
    }

    /// An inode's attributes.
    pub(super) fn attributes(&mut self, attributes: &Attributes) -> Outcome<usize> {
        let end = self.put(&AttrOut::new(attributes, self.stamped))?;
        self.stamp(end, &attributes.stamp)
    }

    /// An inode's attributes, the extended ones.
    pub(super) fn statx(&mut self, attributes: &StatxAttributes) -> Outcome<usize> {
        let end = self.put(&StatxOut::new(attributes, self.stamped))?;
        self.stamp(end, &attributes.stamp)
    }

    /// A file's handle.
    pub(super) fn opened(&mut self, opened: &Opened) -> Outcome<usize> {
        self.put(&OpenOut::from(opened))
    }

    /// A directory's handle.
    pub(super) fn opened_dir(&mut self, opened: &Opened) -> Outcome<usize> {
        let end = self.put(&OpenOut::from(opened))?;
        self.stamp(end, &opened.stamp)
    }

    /// What was written.
    pub(super) fn written(&mut self, written: &Written) -> Outcome<usize> {
        let end = self.put(&WriteOut { size: written.size as u32, padding: 0 })?;
        self.stamp(end, &written.stamp)
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
