//! Each well-formed request: how the file system is called, and the reply, byte for byte.

use super::Guest;
use super::expected::{EXTENSIONS, entry, expected, le, listing};
use crate::abi::{
    GetattrIn, GetxattrIn, IoctlIn, MkdirIn, Opcode, OpenIn, Rename2In, SetattrIn, SetattrValid,
    SetupmappingIn, StatxIn,
};
use crate::errno;
use crate::testing::{NullFs, RequestBuilder as Request, valid};

/// Those that the file system never sees.
const NOT_FOR_THE_FILE_SYSTEM: [Opcode; 8] = [
    Opcode::Init,
    Opcode::Destroy,
    Opcode::Forget,
    Opcode::BatchForget,
    Opcode::Interrupt,
    Opcode::NotifyReply,
    Opcode::Bmap,
    Opcode::Poll,
];

fn for_the_file_system() -> impl Iterator<Item = Opcode> {
    Opcode::ALL.iter().copied().filter(|opcode| !NOT_FOR_THE_FILE_SYSTEM.contains(opcode))
}

/// A recorded call, with the identifiers written short and the caller, who is always the same, left out.
fn short(call: &str) -> String {
    let call = call.replace("NodeId(", "N").replace("Handle(", "H").replace(" 1000:100", "");
    let mut out = String::new();
    let mut open = false;
    for character in call.chars() {
        let digit = character.is_ascii_digit();
        let after_tag = out.ends_with('N') || out.ends_with('H');
        if digit && after_tag {
            open = true;
        }
        if open && character == ')' {
            open = false;
        } else {
            out.push(character);
        }
    }
    out
}

#[test]
fn every_request_makes_its_call_and_gets_its_reply() {
    let guest = Guest::mounted();
    for opcode in for_the_file_system() {
        let (call, body) = expected(opcode);
        let name = opcode.name();
        assert_eq!(guest.send(&valid(opcode)), (0, body), "{name}");
        let calls: Vec<_> = guest.calls().iter().map(|call| short(call)).collect();
        assert_eq!(calls, [call.replace("EXT", EXTENSIONS)], "{name}");
    }
}

#[test]
fn the_caller_is_the_request_s() {
    let guest = Guest::mounted();
    for opcode in for_the_file_system() {
        assert_eq!(guest.errno(&valid(opcode)), 0);
        let calls = guest.calls();
        let name = calls[0].split(' ').nth(1);
        assert_eq!(name, Some("1000:100"), "{}", opcode.name());
    }
}

#[test]
fn every_error_is_the_file_system_s() {
    let guest = Guest::mounted();
    guest.server.file_system().fail(errno::ESTALE);
    for opcode in for_the_file_system() {
        assert_eq!(guest.send(&valid(opcode)), (errno::ESTALE, vec![]), "{}", opcode.name());
    }
}

#[test]
fn a_reply_fits_exactly_or_is_not_begun() {
    let guest = Guest::mounted();
    for opcode in for_the_file_system() {
        let (_, body) = expected(opcode);
        let name = opcode.name();
        // These four answer what there is room for.
        let shrinks = matches!(opcode, Opcode::Read | Opcode::Readdir | Opcode::Readdirplus);
        let exact = super::HEADER + body.len();
        assert_eq!(guest.send_into(&valid(opcode), exact), (0, body.clone()), "{name}");
        let _ = guest.calls();
        if body.is_empty() || shrinks {
            continue;
        }
        let (error, _) = guest.send_into(&valid(opcode), exact - 1);
        let called = !guest.calls().is_empty();
        match opcode {
            // The file system is asked for no more than fits, and then has too much.
            Opcode::Getxattr | Opcode::Listxattr => assert_eq!(error, errno::ERANGE, "{name}"),
            // How long the target is, only the file system knows.
            Opcode::Readlink => assert!(called && error == errno::EINVAL, "{name}"),
            _ => assert!(!called && error == errno::EINVAL, "{name}: {error}"),
        }
    }
}

#[test]
fn requests_that_linux_answers_itself_are_enosys() {
    let guest = Guest::mounted();
    for opcode in [Opcode::Bmap, Opcode::Poll] {
        assert_eq!(guest.errno(&valid(opcode)), errno::ENOSYS, "{}", opcode.name());
    }
    for unknown in [0, 7, 19, 54, 4096, u32::MAX] {
        let request = Request::numbered(unknown).build();
        assert_eq!(guest.errno(&request), errno::ENOSYS, "{unknown}");
    }
    assert!(guest.calls().is_empty());
    assert_eq!(guest.server.counters().snapshot().malformed, 0);
}

#[test]
fn mappings_reach_the_window() {
    let mut guest = Guest::booting(
        NullFs::recording().with_file(tempfile::tempfile().expect("a temporary file")),
    );
    guest.errno(&valid(Opcode::Init));
    assert_eq!(guest.errno(&valid(Opcode::Setupmapping)), 0);
    assert_eq!(guest.errno(&valid(Opcode::Removemapping)), 0);
    let window = guest.window.take().expect("there is one");
    let seen = window.0.into_inner().expect("no panic");
    assert_eq!(
        seen,
        [
            "map 0x200000 at 0x400000 len 0x200000 true",
            "unmap 0x200000 len 0x200000",
            "unmap 0x400000 len 0x200000",
        ]
    );
    assert_eq!(guest.errno(&valid(Opcode::Setupmapping)), errno::ENOSYS, "no window");
    assert_eq!(guest.errno(&valid(Opcode::Removemapping)), errno::ENOSYS, "no window");
}

/// Each request makes this call.
fn assert_calls(cases: Vec<(Request, &str)>) {
    let guest = Guest::mounted();
    for (request, call) in cases {
        assert_eq!(guest.errno(&request.build()), 0, "{call}");
        assert_eq!(guest.calls().iter().map(|call| short(call)).collect::<Vec<_>>(), [call]);
    }
}

#[test]
fn setattr_changes_what_it_says() {
    let flags = SetattrValid::ATIME
        | SetattrValid::ATIME_NOW
        | SetattrValid::MTIME_NOW
        | SetattrValid::UID
        | SetattrValid::GID
        | SetattrValid::CTIME
        | SetattrValid::LOCKOWNER
        | SetattrValid::KILL_SUIDGID;
    let now = SetattrIn { valid: flags.bits(), uid: 5, gid: 6, ..SetattrIn::default() };
    let before_1970 = SetattrIn {
        valid: SetattrValid::ATIME.bits(),
        atime: -1i64 as u64,
        atimensec: 999_999_999,
        ..SetattrIn::default()
    };
    assert_calls(vec![
        (
            Request::new(Opcode::Setattr).with(&now),
            "setattr N7 None SetAttr { mode: None, uid: Some(5), gid: Some(6), size: None, \
             atime: Some(Now), mtime: Some(Now), kill_suidgid: true }",
        ),
        (
            Request::new(Opcode::Setattr).with(&before_1970),
            "setattr N7 None SetAttr { mode: None, uid: None, gid: None, size: None, \
             atime: Some(At(-1, 999999999)), mtime: None, kill_suidgid: false }",
        ),
    ]);
}

#[test]
fn optional_parts_of_requests_are_read() {
    let no_handle = GetattrIn { fh: 9, ..GetattrIn::default() };
    let handle = StatxIn { getattr_flags: 1, fh: 9, sx_flags: 0x2000, sx_mask: 1, reserved: 0 };
    let load = SetupmappingIn { fh: 9, len: 1, flags: 2, ..SetupmappingIn::default() };
    assert_calls(vec![
        (Request::new(Opcode::Lookup).name(b".."), "lookup N7 \"..\""),
        (Request::new(Opcode::Getattr).with(&no_handle), "getattr N7 None"),
        (Request::new(Opcode::Statx).with(&handle), "statx N7 Some(H9) 8192 1"),
        (
            Request::new(Opcode::Open).with(&OpenIn { flags: 0, open_flags: 0 }),
            "open N7 Open { flags: 0, kill_suidgid: false }",
        ),
        (
            Request::new(Opcode::Mkdir).with(&MkdirIn { mode: 0o700, umask: 0 }).name(b"bare"),
            "mkdir N7 \"bare\" Make { mode: 448, rdev: 0, umask: 0, \
             extensions: Extensions { supplementary_gid: None, security: [] } }",
        ),
        (
            Request::new(Opcode::Rename2)
                .with(&Rename2In { newdir: 7, flags: 2, padding: 0 })
                .name(b"a")
                .name(b"b"),
            "rename (N7, \"a\") (N7, \"b\") 2",
        ),
        (
            Request::new(Opcode::Setupmapping).with(&load),
            "setup_mapping N7 Some(H9) SetupMapping { file_offset: 0, len: 1, window_offset: 0, \
             writable: false }",
        ),
    ]);
}

#[test]
fn xattr_sizes_are_asked_and_told() {
    let guest = Guest::mounted();
    let get = |size| {
        let request = Request::new(Opcode::Getxattr).with(&GetxattrIn { size, padding: 0 });
        guest.send(&request.name(b"user.name").build())
    };
    let list = |size| {
        let request = Request::new(Opcode::Listxattr).with(&GetxattrIn { size, padding: 0 });
        guest.send(&request.build())
    };
    assert_eq!(get(0), (0, le![5u32, 0u32]));
    assert_eq!(list(0), (0, le![14u32, 0u32]));
    assert_eq!(get(4), (errno::ERANGE, vec![]));
    assert_eq!(get(5), (0, b"value".to_vec()));
    assert_eq!(list(13), (errno::ERANGE, vec![]));
    let _ = guest.calls();
    assert_eq!(get(u32::MAX).0, 0);
    let room = super::ROOM - super::HEADER;
    assert_eq!(guest.calls(), [format!("getxattr 1000:100 NodeId(7) \"user.name\" {room}")]);
}

#[test]
fn an_ioctl_may_answer_less_than_there_is_room_for() {
    let guest = Guest::mounted();
    let ioctl = |in_size, out_size| {
        let head = IoctlIn { fh: 9, in_size, out_size, ..IoctlIn::default() };
        let input = vec![7; in_size as usize];
        guest.send(&Request::new(Opcode::Ioctl).with(&head).bytes(&input).build())
    };
    assert_eq!(ioctl(0, 28), (0, le![6u32, 0u32, 0u32, 0u32]));
    assert_eq!(ioctl(4, 0), (0, le![6u32, 0u32, 0u32, 0u32]));
}

#[test]
fn a_listing_goes_on_where_the_guest_says() {
    let guest = Guest::mounted();
    for opcode in [Opcode::Readdir, Opcode::Readdirplus] {
        let head = if opcode == Opcode::Readdirplus { entry() } else { vec![] };
        let read = |offset: u64, size: u32| {
            let numbers = le![9u64, offset, size, 0u32, 0u64, 0u32, 0u32];
            guest.send(&Request::new(opcode).bytes(&numbers).build())
        };
        assert_eq!(read(2, 4096), (0, listing(2, &head)));
        assert_eq!(read(u64::MAX, 4096), (0, vec![]));
        let one = listing(3, &head);
        assert_eq!(read(3, one.len() as u32), (0, one.clone()));
        assert_eq!(read(3, one.len() as u32 - 1), (0, vec![]), "not half a name");
    }
}
