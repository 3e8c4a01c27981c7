use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use fuse::errno;
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::transport::chain::walk;
use crate::transport::testing::{BUFFERS, END, memory, readable, writable, write_chain};

const TABLE: Table = Table { address: GuestAddress(0), len: 16 };

// What the tests below put into memory fits.
const _: () = assert!(BUFFERS + 0x1000 * 8 < 0x4_0000 && 0x9_0000 + 3000 * 16 < END);

/// Calls `check` with a request whose readable part is `bytes`, cut into pieces of `cut` bytes, and as much room to reply.
fn with_request<T>(
    bytes: &[u8],
    cut: usize,
    check: impl FnOnce(&mut Readable<'_, '_>, &mut Writable<'_, '_>) -> T,
) -> T {
    let memory = memory();
    let mut descriptors = Vec::new();
    for (piece, at) in bytes.chunks(cut).zip((BUFFERS..).step_by(0x1000)) {
        memory.write_slice(piece, GuestAddress(at)).unwrap();
        descriptors.push(readable(at, piece.len() as u32));
    }
    for (piece, at) in bytes.chunks(cut).zip((0x4_0000..).step_by(0x1000)) {
        descriptors.push(writable(at, piece.len() as u32));
    }
    let table = Table { len: descriptors.len() as u32, ..TABLE };
    write_chain(&memory, 0, 0, &descriptors);
    let chain = walk(&memory, table, 0).unwrap();
    check(
        &mut Readable { buffers: &chain.readable, position: 0 },
        &mut Writable { buffers: &chain.writable },
    )
}

/// What the reply area holds.
fn contents(reply: &Writable<'_, '_>) -> Vec<u8> {
    let mut bytes = vec![0; reply.capacity()];
    reply.buffers.copy_out(0, &mut bytes).unwrap();
    bytes
}

fn file_with(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn read_back(file: &File) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn headers_are_read_across_pieces() {
    with_request(b"0123456789", 3, |request, _| {
        let mut first = [0; 4];
        request.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"0123");
        let mut rest = [0; 6];
        request.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"456789");
        assert_eq!(request.remaining(), 0);
        let error = request.read_exact(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_short_request_is_not_consumed_in_part() {
    with_request(b"abc", 2, |request, _| {
        assert!(request.read_exact(&mut [0; 4]).is_err());
        assert_eq!(request.remaining(), 3);
    });
}

#[test]
fn replies_are_written_anywhere_in_the_room() {
    with_request(b"..........", 4, |_, reply| {
        reply.write_at(3, b"body").unwrap();
        reply.write_at(0, b"hd").unwrap();
        assert_eq!(contents(reply), b"hd\0body\0\0\0");
        for at in [7, 11, usize::MAX] {
            let error = reply.write_at(at, b"body").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        }
    });
}

#[test]
fn a_write_goes_from_the_guests_pages_into_the_file() {
    let file = file_with(b"0123456789");
    with_request(b"HEADdata", 3, |request, _| {
        request.read_exact(&mut [0; 4]).unwrap();
        let written = request.write_to(file.as_fd(), 100, 2, WriteMode::empty()).unwrap();
        assert_eq!((written, request.remaining()), (4, 0));
    });
    assert_eq!(read_back(&file), b"01data6789");
}

#[test]
fn a_write_takes_no_more_than_asked() {
    let file = file_with(b"");
    with_request(b"abcdef", 4, |request, _| {
        assert_eq!(request.write_to(file.as_fd(), 5, 0, WriteMode::empty()).unwrap(), 5);
        assert_eq!(request.remaining(), 1);
    });
    assert_eq!(read_back(&file), b"abcde");
}

#[test]
fn appending_ignores_the_offset() {
    let file = file_with(b"log:");
    with_request(b"line", 4, |request, _| {
        request.write_to(file.as_fd(), 4, 0, WriteMode::APPEND | WriteMode::DSYNC).unwrap();
    });
    assert_eq!(read_back(&file), b"log:line");
}

#[test]
fn a_read_goes_from_the_file_into_the_guests_pages() {
    let file = file_with(b"0123456789");
    with_request(b"............", 5, |_, reply| {
        assert_eq!(reply.read_file_at(2, file.as_fd(), 4, 3).unwrap(), 4);
        assert_eq!(contents(reply), b"\0\x003456\0\0\0\0\0\0");
        assert_eq!(reply.read_file_at(2, file.as_fd(), 100, 5).unwrap(), 5, "the file ends");
        assert_eq!(reply.read_file_at(2, file.as_fd(), 100, 0).unwrap(), 10, "the room ends");
        assert_eq!(reply.read_file_at(2, file.as_fd(), 100, 10).unwrap(), 0);
        assert_eq!(reply.read_file_at(99, file.as_fd(), 1, 0).unwrap(), 0, "no room");
    });
}

#[test]
fn offsets_beyond_what_a_file_can_have_are_invalid() {
    let file = file_with(b"");
    with_request(b"x", 1, |request, reply| {
        for offset in [u64::MAX, i64::MAX as u64 + 1] {
            let error = request.write_to(file.as_fd(), 1, offset, WriteMode::empty()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno::EINVAL));
            let error = reply.read_file_at(0, file.as_fd(), 1, offset).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno::EINVAL));
        }
    });
}

#[test]
fn the_kernels_refusal_reaches_the_caller() {
    let read_only = File::open("/proc/self/exe").unwrap();
    with_request(b"x", 1, |request, _| {
        let error = request.write_to(read_only.as_fd(), 1, 0, WriteMode::empty()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(errno::EBADF));
        assert_eq!(request.remaining(), 1, "nothing was consumed");
    });
}

#[test]
fn more_pieces_than_one_system_call_takes() {
    let memory = memory();
    let count = 3000;
    let descriptors: Vec<_> = (0..count).map(|index| readable(BUFFERS + index * 2, 1)).collect();
    for index in 0..count {
        memory.write_obj((index % 251) as u8, GuestAddress(BUFFERS + index * 2)).unwrap();
    }
    let table = Table { address: GuestAddress(0x9_0000), len: count as u32 };
    write_chain(&memory, table.address.0, 0, &descriptors);
    let chain = walk(&memory, table, 0).unwrap();
    let file = file_with(b"");
    let mut request = Readable { buffers: &chain.readable, position: 0 };
    let written = request.write_to(file.as_fd(), 10_000, 0, WriteMode::empty()).unwrap();
    assert_eq!(written, count as usize);
    let expected: Vec<u8> = (0..count).map(|index| (index % 251) as u8).collect();
    assert_eq!(read_back(&file), expected);
}

proptest! {
    /// Cutting a request into pieces changes nothing, wherever the cuts and the reads are.
    #[test]
    fn pieces_do_not_matter(
        bytes in proptest::collection::vec(any::<u8>(), 1..2000),
        cut in 300usize..2000,
        reads in proptest::collection::vec(0usize..300, 0..10),
        at in 0usize..100,
    ) {
        with_request(&bytes, cut, |request, reply| {
            let mut seen = Vec::new();
            for len in reads {
                let mut part = vec![0; len];
                let fits = len <= request.remaining();
                prop_assert_eq!(request.read_exact(&mut part).is_ok(), fits);
                if fits {
                    seen.extend(part);
                }
            }
            prop_assert_eq!(&seen[..], &bytes[..seen.len()]);
            let file = file_with(b"");
            let left = request.remaining();
            prop_assert_eq!(request.write_to(file.as_fd(), usize::MAX, 0, WriteMode::empty()).unwrap(), left);
            prop_assert_eq!(&read_back(&file)[..], &bytes[seen.len()..]);

            let room = reply.capacity().saturating_sub(at).min(left);
            prop_assert_eq!(reply.read_file_at(at, file.as_fd(), left, 0).unwrap(), room);
            let reply = contents(reply);
            prop_assert_eq!(&reply[at.min(reply.len())..][..room], &bytes[seen.len()..][..room]);
            Ok(())
        })?;
    }
}
