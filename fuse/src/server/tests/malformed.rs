//! Requests that no Linux sends: each gets an error, and the server goes on.

use super::Guest;
use crate::abi::{
    AccessIn, CopyFileRangeIn, FallocateIn, IoctlIn, LinkIn, LseekIn, Opcode, ReadIn,
    RemovemappingIn, Rename2In, RenameIn, SetattrIn, SetattrValid, SetupmappingIn, SetxattrExtIn,
    SetxattrIn, StatxIn,
};
use crate::errno::{E2BIG, EINVAL, ENAMETOOLONG, ENOTTY, ERANGE};
use crate::server::ProtocolError;
use crate::testing::{RequestBuilder as Request, valid};

/// Each is answered with this errno, and the file system hears of none.
fn assert_refused(expected: i32, requests: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let guest = Guest::mounted();
    for (why, request) in requests {
        assert_eq!(guest.errno(&request), expected, "{why}");
        assert!(guest.calls().is_empty(), "{why}");
    }
    assert_eq!(guest.errno(&valid(Opcode::Getattr)), 0, "the server serves on");
}

fn refused(expected: i32, requests: Vec<(&str, Request)>) {
    let requests = requests.into_iter().map(|(why, request)| (why.to_owned(), request.build()));
    assert_refused(expected, requests);
}

/// Requests with a reply that are served at all.
fn answered() -> impl Iterator<Item = Opcode> {
    let unserved = [Opcode::Bmap, Opcode::Poll];
    Opcode::ALL.iter().copied().filter(move |op| !op.is_one_way() && !unserved.contains(op))
}

#[test]
fn requests_shorter_than_a_header_stop_the_queue() {
    let guest = Guest::mounted();
    let request = valid(Opcode::Lookup);
    for len in 0..40 {
        let (outcome, _) = guest.try_send(&request[..len], 4096);
        assert!(matches!(outcome, Err(ProtocolError::ShortHeader(got)) if got == len));
    }
    let counted = guest.server.counters().snapshot();
    assert_eq!((counted.malformed, counted.unknown.requests, counted.unknown.errors), (40, 40, 40));
    assert!(guest.calls().is_empty());
}

#[test]
fn a_reply_area_shorter_than_a_header_stops_the_queue() {
    let guest = Guest::mounted();
    for &opcode in Opcode::ALL.iter().filter(|opcode| !opcode.is_one_way()) {
        for capacity in [0, 1, 15] {
            let (outcome, _) = guest.try_send(&valid(opcode), capacity);
            let Err(ProtocolError::NoReplyRoom { opcode: number, capacity: told }) = outcome else {
                panic!("{}: {outcome:?}", opcode.name())
            };
            assert_eq!((number, told), (opcode as u32, capacity));
        }
    }
    assert!(guest.calls().is_empty());
}

#[test]
fn every_request_cut_short_anywhere_is_refused() {
    assert_refused(
        EINVAL,
        answered().filter(|op| *op != Opcode::Destroy).flat_map(|opcode| {
            let whole = valid(opcode);
            (40..whole.len()).map(move |len| {
                let mut request = whole[..len].to_vec();
                request[..4].copy_from_slice(&(len as u32).to_le_bytes());
                (format!("{} of {len} bytes", opcode.name()), request)
            })
        }),
    );
}

#[test]
fn every_request_with_something_behind_it_is_refused() {
    // A longer INIT is a later kernel's; its length says nothing yet.
    assert_refused(
        EINVAL,
        answered().filter(|op| *op != Opcode::Init).flat_map(|opcode| {
            [1, 8, 4096].map(|more| {
                let mut request = valid(opcode);
                request.resize(request.len() + more, 0);
                let len = request.len() as u32;
                request[..4].copy_from_slice(&len.to_le_bytes());
                (format!("{} and {more} bytes", opcode.name()), request)
            })
        }),
    );
}

#[test]
fn every_request_that_tells_a_wrong_length_is_refused() {
    assert_refused(
        EINVAL,
        answered().flat_map(|opcode| {
            let right = valid(opcode).len() as u32;
            [0, 39, 40.min(right - 1), right - 1, right + 1, u32::MAX].map(|len| {
                let mut request = valid(opcode);
                request[..4].copy_from_slice(&len.to_le_bytes());
                (format!("{} telling {len} bytes", opcode.name()), request)
            })
        }),
    );
}

#[test]
fn every_request_on_node_0_is_refused() {
    let without = [Opcode::Init, Opcode::Destroy];
    assert_refused(
        EINVAL,
        answered().filter(|op| !without.contains(op)).map(|opcode| {
            let mut request = valid(opcode);
            request[16..24].fill(0);
            (opcode.name().to_owned(), request)
        }),
    );
}

#[test]
fn bodies_are_bounded() {
    let huge = vec![b'x'; 1 << 20];
    assert_refused(
        EINVAL,
        answered()
            .filter(|op| *op != Opcode::Write)
            .map(|opcode| (opcode.name().to_owned(), Request::new(opcode).bytes(&huge).build())),
    );
}

/// The requests that carry names, each with `name` in one of its places.
fn naming(name: &[u8]) -> Vec<(&'static str, Request)> {
    let new = Request::new;
    vec![
        ("UNLINK", new(Opcode::Unlink).name(name)),
        ("RMDIR", new(Opcode::Rmdir).name(name)),
        ("SYMLINK", new(Opcode::Symlink).name(name).name(b"target")),
        ("MKNOD", new(Opcode::Mknod).bytes(&[0; 16]).name(name)),
        ("MKDIR", new(Opcode::Mkdir).bytes(&[0; 8]).name(name)),
        ("CREATE", new(Opcode::Create).bytes(&[0; 16]).name(name)),
        ("LINK", new(Opcode::Link).with(&LinkIn { oldnodeid: 8 }).name(name)),
        ("RENAME from", new(Opcode::Rename).with(&RenameIn { newdir: 8 }).name(name).name(b"n")),
        ("RENAME to", new(Opcode::Rename).with(&RenameIn { newdir: 8 }).name(b"n").name(name)),
        ("RENAME2 to", new(Opcode::Rename2).with(&[8u64, 0]).name(b"n").name(name)),
    ]
}

#[test]
fn bad_names_are_refused_everywhere() {
    for name in [&b""[..], b"/", b"a/b", b"/etc/passwd", b"../x", b"a\0b", b"a\0"] {
        refused(EINVAL, naming(name));
        refused(EINVAL, vec![("LOOKUP", Request::new(Opcode::Lookup).name(name))]);
    }
    refused(EINVAL, naming(b"."));
    refused(EINVAL, naming(b".."));
    refused(ENAMETOOLONG, naming(&[b'n'; 256]));
    refused(ENAMETOOLONG, vec![("LOOKUP", Request::new(Opcode::Lookup).name(&[b'n'; 256]))]);
    let guest = Guest::mounted();
    for (why, request) in naming(&[b'n'; 255]) {
        assert_eq!(guest.errno(&request.build()), 0, "{why}");
    }
}

#[test]
fn long_names_are_no_broken_protocol() {
    let guest = Guest::mounted();
    guest.errno(&Request::new(Opcode::Lookup).name(&[b'n'; 256]).build());
    assert_eq!(guest.server.counters().snapshot().malformed, 0);
    guest.errno(&Request::new(Opcode::Lookup).name(b"").build());
    assert_eq!(guest.server.counters().snapshot().malformed, 1);
}

#[test]
fn names_that_do_not_end_are_refused() {
    refused(
        EINVAL,
        vec![
            ("LOOKUP", Request::new(Opcode::Lookup).bytes(b"name")),
            ("TMPFILE", Request::new(Opcode::Tmpfile).bytes(&[0; 16]).bytes(b"/")),
            (
                "RENAME",
                Request::new(Opcode::Rename).with(&RenameIn { newdir: 8 }).name(b"a").bytes(b"b"),
            ),
            ("SYMLINK", Request::new(Opcode::Symlink).name(b"a").bytes(b"target")),
            ("REMOVEXATTR", Request::new(Opcode::Removexattr).bytes(b"user.name")),
            ("GETXATTR", Request::new(Opcode::Getxattr).bytes(&[0; 8]).bytes(b"user.name")),
        ],
    );
}

#[test]
fn symlink_targets_are_bounded() {
    let symlink = |target: &[u8]| Request::new(Opcode::Symlink).name(b"name").name(target);
    refused(EINVAL, vec![("empty", symlink(b""))]);
    refused(ENAMETOOLONG, vec![("long", symlink(&[b't'; 4096]))]);
    assert_eq!(Guest::mounted().errno(&symlink(&[b't'; 4095]).build()), 0);
}

#[test]
fn xattrs_are_bounded() {
    let set = |size: u32, name: &[u8], value: &[u8]| {
        Request::new(Opcode::Setxattr)
            .with(&SetxattrIn { size, flags: 0 })
            .with(&SetxattrExtIn::default())
            .name(name)
            .bytes(value)
    };
    let long = [b'n'; 256];
    refused(
        EINVAL,
        vec![
            ("no name", set(1, b"", b"v")),
            ("value too short", set(2, b"user.n", b"v")),
            ("value too long", set(1, b"user.n", b"vv")),
        ],
    );
    refused(
        ERANGE,
        vec![
            ("SETXATTR", set(1, &long, b"v")),
            ("REMOVEXATTR", Request::new(Opcode::Removexattr).name(&long)),
        ],
    );
    let most = vec![0; 1 << 16];
    refused(
        E2BIG,
        vec![
            ("one more", set((1 << 16) + 1, b"user.n", &most)),
            ("absurd", set(u32::MAX, b"user.n", b"v")),
        ],
    );
    assert_eq!(Guest::mounted().errno(&set(1 << 16, &[b'n'; 255], &most).build()), 0);
}

#[test]
fn numbers_that_mean_nothing_are_refused() {
    let setattr = |setattr: SetattrIn| Request::new(Opcode::Setattr).with(&setattr);
    let none = SetattrIn::default();
    let time = |valid: SetattrValid| SetattrIn {
        valid: valid.bits(),
        atimensec: 1_000_000_000,
        mtimensec: u32::MAX,
        ..none
    };
    refused(
        EINVAL,
        vec![
            ("unknown change", setattr(SetattrIn { valid: 1 << 12, ..none })),
            ("negative size", setattr(SetattrIn { valid: 8, size: 1 << 63, ..none })),
            ("atime of UTIME_OMIT's kind", setattr(time(SetattrValid::ATIME))),
            ("mtime of UTIME_OMIT's kind", setattr(time(SetattrValid::MTIME))),
            (
                "statx flags",
                Request::new(Opcode::Statx)
                    .with(&StatxIn { sx_flags: 0x1000, ..StatxIn::default() }),
            ),
            ("rename to node 0", Request::new(Opcode::Rename).with(&[0u64]).name(b"a").name(b"b")),
            (
                "rename flags",
                Request::new(Opcode::Rename2)
                    .with(&Rename2In { newdir: 8, flags: 8, padding: 0 })
                    .name(b"a")
                    .name(b"b"),
            ),
            ("link of node 0", Request::new(Opcode::Link).with(&[0u64]).name(b"a")),
            ("access", Request::new(Opcode::Access).with(&AccessIn { mask: 8, padding: 0 })),
        ],
    );
}

#[test]
fn ranges_outside_any_file_are_refused() {
    let end = i64::MAX as u64;
    let copy = CopyFileRangeIn { nodeid_out: 8, len: 2, ..CopyFileRangeIn::default() };
    let setup = SetupmappingIn { len: 2, flags: 2, ..SetupmappingIn::default() };
    let fallocate = |offset, length| {
        let fallocate = FallocateIn { offset, length, ..FallocateIn::default() };
        Request::new(Opcode::Fallocate).with(&fallocate)
    };
    let lseek = |offset, whence| {
        Request::new(Opcode::Lseek).with(&LseekIn { offset, whence, ..LseekIn::default() })
    };
    let copying = |copy: CopyFileRangeIn| Request::new(Opcode::CopyFileRange).with(&copy);
    let mapping = |setup: SetupmappingIn| Request::new(Opcode::Setupmapping).with(&setup);
    let read = ReadIn { offset: end, size: 1, ..ReadIn::default() };
    refused(
        EINVAL,
        vec![
            ("READ", Request::new(Opcode::Read).with(&read)),
            ("FALLOCATE", fallocate(end, 1)),
            ("FALLOCATE that wraps", fallocate(u64::MAX, u64::MAX)),
            ("LSEEK", lseek(end + 1, 3)),
            ("LSEEK whence", lseek(0, 2)),
            ("LSEEK whence", lseek(0, 5)),
            ("COPY from", copying(CopyFileRangeIn { off_in: end, ..copy })),
            ("COPY to", copying(CopyFileRangeIn { off_out: end, ..copy })),
            ("COPY to node 0", copying(CopyFileRangeIn { nodeid_out: 0, ..copy })),
            ("SETUPMAPPING file", mapping(SetupmappingIn { foffset: end, ..setup })),
            ("SETUPMAPPING window", mapping(SetupmappingIn { moffset: u64::MAX, ..setup })),
            ("SETUPMAPPING flags", mapping(SetupmappingIn { flags: 4, ..setup })),
        ],
    );
}

#[test]
fn absurd_counts_are_refused() {
    let remove = |count| Request::new(Opcode::Removemapping).with(&RemovemappingIn { count });
    let ioctl = |in_size, out_size| {
        Request::new(Opcode::Ioctl).with(&IoctlIn { in_size, out_size, ..IoctlIn::default() })
    };
    refused(
        EINVAL,
        vec![
            ("REMOVEMAPPING of nothing", remove(1)),
            ("REMOVEMAPPING of 4 billion", remove(u32::MAX)),
            ("REMOVEMAPPING that wraps", remove(1 << 28)),
            ("REMOVEMAPPING outside", remove(1).with(&[u64::MAX, 1])),
            ("IOCTL in", ioctl(1, 0)),
            ("IOCTL in", ioctl(u32::MAX, 0)),
            ("IOCTL out", ioctl(0, u32::MAX)),
            ("IOCTL out", ioctl(0, 1 << 17)),
            ("IOCTL out without room", ioctl(0, 1 << 15)),
        ],
    );
    refused(
        ENOTTY,
        vec![(
            "unrestricted IOCTL",
            Request::new(Opcode::Ioctl).with(&IoctlIn { flags: 2, ..IoctlIn::default() }),
        )],
    );
}
