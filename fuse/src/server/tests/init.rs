//! INIT: versions, lengths and capabilities.

use zerocopy::FromBytes;

use super::{Guest, HEADER, MAX_WRITE};
use crate::abi::{InitFlags, InitIn, InitOut, Opcode};
use crate::errno;
use crate::server::{Server, ServerConfig};
use crate::testing::{MemoryReply, MemoryRequest, NullFs, RequestBuilder, init, init_short, valid};

/// What the server grants whether the file system wants it or not.
const WIRE: InitFlags = InitFlags::INIT_EXT
    .union(InitFlags::BIG_WRITES)
    .union(InitFlags::MAX_PAGES)
    .union(InitFlags::MAP_ALIGNMENT)
    .union(InitFlags::SETXATTR_EXT);

fn out(reply: &(i32, Vec<u8>)) -> InitOut {
    assert_eq!(reply.0, 0);
    InitOut::read_from_bytes(&reply.1).expect("64 bytes")
}

fn flags(out: &InitOut) -> InitFlags {
    InitFlags::from_bits_retain(u64::from(out.flags) | u64::from(out.flags2) << 32)
}

fn versions(major: u32, minor: u32) -> (i32, Vec<u8>) {
    let request = InitIn { major, minor, ..InitIn::default() };
    let request = RequestBuilder::new(Opcode::Init).node(0).with(&request).build();
    Guest::booting(NullFs::recording()).send(&request)
}

#[test]
fn limits_and_versions_are_answered() {
    let guest = Guest::booting(NullFs::recording());
    let answer = out(&guest.send(&init(41, InitFlags::all())));
    let expected = InitOut {
        major: 7,
        minor: 41,
        max_readahead: 0x20000,
        flags: answer.flags,
        max_background: 64,
        congestion_threshold: 48,
        max_write: MAX_WRITE,
        time_gran: 1,
        max_pages: 256,
        map_alignment: 21,
        flags2: answer.flags2,
        ..InitOut::default()
    };
    assert_eq!(answer, expected);
}

#[test]
fn the_lower_minor_version_is_spoken() {
    for (theirs, spoken) in [(27, 27), (31, 31), (44, 44), (45, 45), (46, 45), (u32::MAX, 45)] {
        assert_eq!(out(&versions(7, theirs)).minor, spoken, "{theirs}");
    }
    assert_eq!(versions(7, 26).0, errno::EPROTO);
    assert_eq!(versions(7, 0).0, errno::EPROTO);
    assert_eq!(versions(6, 45).0, errno::EPROTO);
    assert_eq!(versions(0, 0).0, errno::EPROTO);
}

#[test]
fn a_newer_major_version_is_told_ours_and_tries_again() {
    let guest = Guest::booting(NullFs::recording());
    // All but the two numbers may look different there.
    let request = RequestBuilder::new(Opcode::Init).bytes(&[8, 0, 0, 0, 1, 0, 0, 0, 9]).build();
    let answer = out(&guest.send(&request));
    assert_eq!(answer, InitOut { major: 7, minor: 45, ..InitOut::default() });
    assert!(guest.calls().is_empty());
    assert_eq!(guest.errno(&valid(Opcode::Lookup)), errno::EIO, "not mounted yet");
    assert_eq!(guest.errno(&init(45, InitFlags::all())), 0);
    assert_eq!(guest.errno(&valid(Opcode::Lookup)), 0);
}

#[test]
fn the_short_request_has_no_flags2() {
    let guest = Guest::booting(NullFs::recording());
    let offered = InitFlags::ASYNC_READ | InitFlags::SETXATTR_EXT;
    let answer = out(&guest.send(&init_short(27, offered)));
    assert_eq!(flags(&answer), offered);
    assert_eq!((answer.max_pages, answer.map_alignment), (0, 0), "not offered, not answered");
    let bad = init_short(27, offered | InitFlags::INIT_EXT);
    assert_eq!(guest.errno(&bad), errno::EINVAL, "INIT_EXT promises flags2");
}

#[test]
fn flags2_counts_only_with_init_ext() {
    let guest = Guest::booting(NullFs::recording());
    let request = InitIn {
        major: 7,
        minor: 45,
        flags: InitFlags::ASYNC_READ.bits() as u32,
        flags2: u32::MAX,
        ..InitIn::default()
    };
    let request = RequestBuilder::new(Opcode::Init).with(&request).build();
    assert_eq!(flags(&out(&guest.send(&request))), InitFlags::ASYNC_READ);
}

#[test]
fn the_file_system_chooses_from_what_both_sides_can_do() {
    let fs = NullFs::recording()
        .wanting(InitFlags::WRITEBACK_CACHE | InitFlags::SUBMOUNTS | InitFlags::SECURITY_CTX);
    let guest = Guest::booting(fs);
    let offered = InitFlags::all() - InitFlags::SUBMOUNTS;
    let granted = InitFlags::WRITEBACK_CACHE | InitFlags::SECURITY_CTX | WIRE;
    assert_eq!(flags(&out(&guest.send(&init(45, offered)))), granted);
}

#[test]
fn what_this_server_cannot_do_is_never_offered_nor_granted() {
    let guest = Guest::booting(NullFs::recording());
    let everything = InitFlags::from_bits_retain(u64::MAX);
    let granted = flags(&out(&guest.send(&init(45, everything))));
    let refused = InitFlags::SPLICE_READ
        | InitFlags::SPLICE_WRITE
        | InitFlags::SPLICE_MOVE
        | InitFlags::INIT_RESERVED
        | InitFlags::PASSTHROUGH
        | InitFlags::HAS_RESEND
        | InitFlags::OVER_IO_URING
        | InitFlags::REQUEST_TIMEOUT;
    assert_eq!(granted, InitFlags::all() - refused);
    assert_eq!(guest.calls(), [format!("init 0:0 {granted:?}")]);
}

#[test]
fn without_a_window_there_is_no_dax() {
    let config = ServerConfig { max_write: 1, max_background: 0, map_alignment: None };
    let server = Server::new(NullFs::new(), config);
    let mut reply = MemoryReply::new(80);
    let request = init(45, InitFlags::all());
    server.handle(&mut MemoryRequest::new(&request), &mut reply, None).expect("a reply");
    let answer = out(&(0, reply.bytes()[HEADER..].to_vec()));
    assert!(!flags(&answer).intersects(InitFlags::MAP_ALIGNMENT | InitFlags::HAS_INODE_DAX));
    assert_eq!(answer.map_alignment, 0);
    assert_eq!(answer.max_write, 4096, "the kernel's least");
    assert_eq!(answer.max_pages, 1);
    assert_eq!(answer.congestion_threshold, 0, "the guest's own");
}

#[test]
fn init_that_fails_mounts_nothing() {
    let guest = Guest::booting(NullFs::recording());
    guest.server.file_system().fail(errno::EACCES);
    assert_eq!(guest.errno(&init(45, InitFlags::all())), errno::EACCES);
    guest.server.file_system().fail(0);
    assert_eq!(guest.errno(&valid(Opcode::Lookup)), errno::EIO);
}

#[test]
fn malformed_inits_are_refused() {
    let guest = Guest::booting(NullFs::recording());
    for len in [0, 4, 8, 15, 17, 63] {
        let body = [&7u32.to_le_bytes()[..], &45u32.to_le_bytes(), &[0; 56]].concat();
        let request = RequestBuilder::new(Opcode::Init).bytes(&body[..len]).build();
        assert_eq!(guest.errno(&request), errno::EINVAL, "{len} bytes");
    }
    let whole = init(45, InitFlags::all());
    assert_eq!(guest.send_into(&whole, HEADER + 63).0, errno::EINVAL, "no room for the answer");
    assert!(guest.calls().is_empty());
}
