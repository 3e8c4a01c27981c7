//! Replies to a guest that looks at a version table.

use zerocopy::IntoBytes;

use super::expected::expected;
use super::{Guest, HEADER};
use crate::abi::{AttrOut, EntryOut, InitFlags, InitIn, MAJOR, Opcode, Stamp};
use crate::errno;
use crate::filesystem::{Attributes, Entry};
use crate::testing::{NullFs, RequestBuilder, answers, valid};

/// Whose stamp (see [`answers::stamp`]) ends which replies: docs/protocol.md, section 5.
const STAMPED: [(Opcode, u32); 14] = [
    (Opcode::Lookup, 1),
    (Opcode::Mknod, 1),
    (Opcode::Mkdir, 1),
    (Opcode::Symlink, 1),
    (Opcode::Link, 1),
    (Opcode::Create, 1),
    (Opcode::Tmpfile, 1),
    (Opcode::Getattr, 2),
    (Opcode::Setattr, 2),
    (Opcode::Statx, 3),
    (Opcode::Opendir, 4),
    (Opcode::Rename, 5),
    (Opcode::Rename2, 5),
    (Opcode::Write, 6),
];

fn coherent_guest() -> Guest {
    Guest::mounted_with(45, InitFlags::all())
}

#[test]
fn stamps_end_the_replies_that_have_one() {
    let guest = coherent_guest();
    for (opcode, whose) in STAMPED {
        let (_, mut body) = expected(opcode);
        live_a_day(opcode, &mut body);
        body.extend_from_slice(answers::stamp(whose).as_bytes());
        assert_eq!(guest.send(&valid(opcode)), (0, body), "{}", opcode.name());
    }
}

/// What is vouched for need not be asked about again: a day, of names and of attributes.
fn live_a_day(opcode: Opcode, body: &mut [u8]) {
    const DAY: [u8; 8] = 86_400u64.to_le_bytes();
    match opcode {
        Opcode::Getattr | Opcode::Setattr | Opcode::Statx => {
            body[..8].copy_from_slice(&DAY);
            body[8..12].fill(0);
        }
        Opcode::Opendir | Opcode::Rename | Opcode::Rename2 | Opcode::Write => {}
        _ => {
            body[16..24].copy_from_slice(&DAY);
            body[24..32].copy_from_slice(&DAY);
            body[32..40].fill(0);
        }
    }
}

#[test]
fn what_nothing_vouches_for_lives_as_without_a_table() {
    let entry = Entry { stamp: Stamp::default(), ..answers::entry() };
    assert_eq!(EntryOut::new(&entry, true), EntryOut::new(&entry, false));
    let attributes = Attributes { stamp: Stamp::default(), ..answers::attributes() };
    assert_eq!(AttrOut::new(&attributes, true), AttrOut::new(&attributes, false));
    // Attributes without the mode's slot are asked for again when somebody walks through.
    let mut half = answers::entry();
    half.stamp.slots[Stamp::PERM] = 0;
    let out = EntryOut::new(&half, true);
    assert_eq!((out.entry_valid, out.attr_valid), (86_400, 2));
}

#[test]
fn no_other_reply_has_one() {
    let guest = coherent_guest();
    for opcode in [Opcode::Open, Opcode::Unlink, Opcode::CopyFileRange, Opcode::Fallocate] {
        let (_, body) = expected(opcode);
        assert_eq!(guest.send(&valid(opcode)), (0, body), "{}", opcode.name());
    }
}

#[test]
fn nothing_is_changed_when_the_stamp_has_no_room() {
    let guest = coherent_guest();
    for (opcode, _) in STAMPED {
        let (_, body) = expected(opcode);
        let room = HEADER + body.len() + size_of::<crate::abi::Stamp>();
        let (error, _) = guest.send_into(&valid(opcode), room - 1);
        assert_eq!(error, errno::EINVAL, "{}", opcode.name());
        assert!(guest.calls().is_empty(), "{}", opcode.name());
        assert_eq!(guest.send_into(&valid(opcode), room).0, 0, "{}", opcode.name());
        let _ = guest.calls();
    }
}

#[test]
fn the_table_s_id_stands_where_the_protocol_says() {
    let id = *b"0123456789abcdef";
    let init = InitIn { major: MAJOR, minor: 45, table_id: id, ..InitIn::default() };
    let request = RequestBuilder::new(Opcode::Init).node(0).with(&init).build();
    // Behind fuse_in_header, at byte 48 of fuse_init_in.
    assert_eq!(request[40 + 48..], id);
    assert_eq!(Guest::booting(NullFs::recording()).errno(&request), 0);
}
