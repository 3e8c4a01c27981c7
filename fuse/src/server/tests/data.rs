//! READ and WRITE, whose data never enters a buffer of the server's.

use std::fs::File;
use std::io::{Read as _, Seek, Write as _};
use std::os::fd::BorrowedFd;

use super::{Guest, HEADER, MAX_WRITE};
use crate::abi::{InitFlags, Opcode, ReadIn, WriteIn};
use crate::errno;
use crate::io::ReplyWriter;
use crate::testing::{MemoryRequest, NullFs, RequestBuilder, init};

fn guest_with(content: &[u8]) -> (Guest, File) {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(content).expect("content");
    let shared = file.try_clone().expect("a second descriptor");
    let guest = Guest::booting(NullFs::recording().with_file(shared));
    assert_eq!(guest.errno(&init(45, InitFlags::all() - InitFlags::VERSION_TABLE)), 0);
    (guest, file)
}

fn read(offset: u64, size: u32) -> Vec<u8> {
    let read = ReadIn { fh: 9, offset, size, ..ReadIn::default() };
    RequestBuilder::new(Opcode::Read).with(&read).build()
}

fn write(offset: u64, size: u32, data: &[u8]) -> Vec<u8> {
    let write = WriteIn { fh: 9, offset, size, write_flags: 1, ..WriteIn::default() };
    RequestBuilder::new(Opcode::Write).with(&write).bytes(data).build()
}

#[test]
fn a_read_fills_the_reply_from_the_file() {
    let (guest, _file) = guest_with(b"0123456789");
    assert_eq!(guest.send(&read(2, 5)), (0, b"23456".to_vec()));
    assert_eq!(guest.send(&read(8, 5)), (0, b"89".to_vec()), "the file's end");
    assert_eq!(guest.send(&read(10, 5)), (0, vec![]));
    assert_eq!(guest.send(&read(0, 0)), (0, vec![]));
    assert_eq!(guest.server.counters().snapshot().bytes_read, 7);
}

#[test]
fn a_read_never_goes_beyond_the_room() {
    let (guest, _file) = guest_with(b"0123456789");
    assert_eq!(guest.send_into(&read(0, 10), HEADER + 4), (0, b"0123".to_vec()));
    assert_eq!(guest.send_into(&read(0, u32::MAX), HEADER + 4), (0, b"0123".to_vec()));
    assert_eq!(guest.send_into(&read(0, 10), HEADER), (0, vec![]));
    let (outcome, reply) = guest.try_send(&read(0, 3), HEADER + 8);
    assert_eq!(outcome.expect("a reply"), HEADER + 3);
    assert_eq!(reply.bytes()[HEADER..], *b"012\xAA\xAA\xAA\xAA\xAA", "nor beyond what was asked");
}

/// A reply area as large as a guest can make believe, by naming the same memory again and again.
struct Vast;

impl ReplyWriter for Vast {
    fn capacity(&self) -> usize {
        usize::MAX
    }

    fn write_at(&mut self, _: usize, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn read_file_at(
        &mut self,
        _: usize,
        _: BorrowedFd<'_>,
        len: usize,
        _: u64,
    ) -> std::io::Result<usize> {
        Ok(len)
    }
}

#[test]
fn a_reply_s_length_stays_within_32_bits() {
    let (guest, _file) = guest_with(b"");
    let request = read(0, u32::MAX);
    let len = guest.server.handle(&mut MemoryRequest::new(&request), &mut Vast, None);
    assert_eq!(len.expect("a reply"), HEADER + 0x7FFF_F000);
}

#[test]
fn a_write_takes_the_data_behind_its_header() {
    let (guest, mut file) = guest_with(b"0123456789");
    assert_eq!(guest.send(&write(3, 4, b"wxyz")), (0, vec![4, 0, 0, 0, 0, 0, 0, 0]));
    let mut content = String::new();
    file.rewind().expect("a file");
    file.read_to_string(&mut content).expect("text");
    assert_eq!(content, "012wxyz789");
    assert_eq!(guest.server.counters().snapshot().bytes_written, 4);
}

#[test]
fn a_write_s_size_is_its_data_s() {
    let guest = Guest::mounted();
    for (size, data) in
        [(5, &b"four"[..]), (3, b"four"), (0, b"four"), (u32::MAX, b"four"), (1, b"")]
    {
        assert_eq!(guest.errno(&write(0, size, data)), errno::EINVAL, "{size}");
    }
    assert!(guest.calls().is_empty());
    assert_eq!(guest.errno(&write(0, 0, b"")), 0);
}

#[test]
fn a_write_of_more_than_was_agreed_is_refused() {
    let guest = Guest::mounted();
    let most = vec![1; MAX_WRITE as usize];
    assert_eq!(guest.errno(&write(0, MAX_WRITE, &most)), 0);
    let more = vec![1; MAX_WRITE as usize + 1];
    assert_eq!(guest.errno(&write(0, MAX_WRITE + 1, &more)), errno::EINVAL);
}

#[test]
fn positions_beyond_any_file_are_refused() {
    let guest = Guest::mounted();
    let end = i64::MAX as u64;
    assert_eq!(guest.errno(&read(end, 1)), errno::EINVAL);
    assert_eq!(guest.errno(&read(u64::MAX, 0)), errno::EINVAL);
    assert_eq!(guest.errno(&write(end - 3, 4, b"four")), errno::EINVAL);
    assert!(guest.calls().is_empty());
    assert_eq!(guest.errno(&write(end - 4, 4, b"four")), 0);
}
