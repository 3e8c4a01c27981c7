//! What replies are stamped with.

use std::fs;
use std::mem::offset_of;

use coherence::Snapshot;
use fuse::abi::{OpenReplyFlags, Stamp};
use fuse::dirs::DirPlusBuffer;
use fuse::filesystem::{Make, Open, SetAttr};
use fuse::{FileSystem, NodeId};
use zerocopy::{FromBytes, IntoBytes};

use super::kit::{House, ROOT};
use crate::passthrough::{Config, InodeFileHandles, Passthrough};

#[test]
fn a_change_of_one_s_own_is_stamped_with_what_it_left() {
    let house = House::new();
    let guest = house.guest();
    let (created, _) = guest.create("file", 0).unwrap();
    assert_eq!(guest.current(&created.stamp), "epad");
    let node = NodeId(created.nodeid);
    let set = SetAttr { mode: Some(0o600), ..SetAttr::default() };
    assert_eq!(guest.current(&guest.set(node, &set)), "pad");
    let cut = SetAttr { size: Some(0), ..SetAttr::default() };
    assert_eq!(guest.current(&guest.set(node, &cut)), "pad");
    let linked = guest.fs.link(&ROOT, node, NodeId::ROOT, c"second").unwrap();
    assert_eq!(guest.current(&linked.stamp), "epad");
    // What was moved the reply does not say, so it vouches for nothing.
    assert_eq!(guest.current(&guest.rename("second", "third", 0)), "");
    assert_eq!(guest.current(&guest.mkdir("dir").stamp), "epad");
    let link = guest.fs.symlink(&ROOT, NodeId::ROOT, c"link", c"file", &Make::default()).unwrap();
    assert_eq!(guest.current(&link.stamp), "epad");
}

#[test]
fn a_file_that_a_creation_found_and_cut_is_stamped_as_it_is_now() {
    let house = House::new();
    fs::write(house.path("file"), "contents").unwrap();
    let guest = house.guest();
    let (entry, opened) = guest.create("file", libc::O_TRUNC).unwrap();
    assert_eq!((entry.attr.size, guest.current(&entry.stamp).as_str()), (0, "epad"));
    assert!(opened.flags.contains(OpenReplyFlags::KEEP_CACHE));
    assert_eq!(fs::read(house.path("file")).unwrap(), b"");
}

#[test]
fn a_file_without_a_name_has_no_name_to_vouch_for() {
    let house = House::new();
    let guest = house.guest();
    let create = fuse::filesystem::Create {
        flags: libc::O_RDWR as u32,
        mode: libc::S_IFREG | 0o600,
        umask: 0,
        kill_suidgid: false,
        extensions: fuse::filesystem::Extensions::default(),
    };
    let (entry, _) = guest.fs.tmpfile(&ROOT, NodeId::ROOT, &create).unwrap();
    assert_eq!(guest.current(&entry.stamp), "pad");
}

#[test]
fn a_missing_name_is_vouched_for_and_dots_are_not() {
    let house = House::new();
    let guest = house.guest();
    let missing = guest.lookup(NodeId::ROOT, "missing").unwrap();
    assert_eq!((missing.nodeid, guest.current(&missing.stamp).as_str()), (0, "e"));
    let dot = guest.lookup(NodeId::ROOT, ".").unwrap();
    assert_eq!(guest.current(&dot.stamp), "pad");
}

#[test]
fn a_listing_brings_the_stamps_of_its_names() {
    let house = House::new();
    fs::write(house.path("file"), "contents").unwrap();
    let guest = house.guest();
    let opened = guest.fs.opendir(&ROOT, NodeId::ROOT, 0).unwrap();
    assert_eq!(guest.current(&opened.stamp), "a");
    assert!(opened.flags.contains(OpenReplyFlags::CACHE_DIR | OpenReplyFlags::KEEP_CACHE));
    let mut bytes = Vec::new();
    let mut out = DirPlusBuffer::new(&mut bytes, 4096, true);
    guest.fs.readdirplus(&ROOT, NodeId::ROOT, opened.handle.unwrap(), 0, &mut out).unwrap();
    // fuse_entry_out, stamp, fuse_dirent and a name of at most eight bytes.
    let stamps: Vec<_> = bytes
        .chunks(128 + 48 + 24 + 8)
        .map(|entry| Stamp::read_from_bytes(&entry[128..176]).unwrap())
        .map(|stamp| guest.current(&stamp))
        .collect();
    let (named, dots): (Vec<_>, Vec<_>) = stamps.into_iter().partition(|stamp| !stamp.is_empty());
    assert_eq!((named, dots.len()), (vec!["epad".to_owned()], 2));
}

#[test]
fn opendir_can_wait_where_it_cannot_be_refused_later() {
    assert_eq!(OpenReplyFlags::LATER.bits(), 1 << 31, "docs/protocol.md, section 5");
    let house = House::new();
    let waits = |inode_file_handles| {
        let guest = house.boot(Config { inode_file_handles, ..house.config() });
        guest.fs.init(&guest.offer()).unwrap();
        let opened = guest.fs.opendir(&ROOT, NodeId::ROOT, 0).unwrap();
        assert_eq!(guest.current(&opened.stamp), "a");
        opened.flags.contains(OpenReplyFlags::LATER)
    };
    // Who may use handles may read everything; who may not depends on the directory's mode.
    let mandatory = Config { inode_file_handles: InodeFileHandles::Mandatory, ..house.config() };
    let may_use_handles = Passthrough::new(mandatory).is_ok();
    assert_eq!(waits(InodeFileHandles::Prefer), may_use_handles);
    assert!(!waits(InodeFileHandles::Never));
}

#[test]
fn an_open_file_s_pages_are_kept() {
    let house = House::new();
    fs::write(house.path("file"), "contents").unwrap();
    let guest = house.guest();
    let open = Open { flags: libc::O_RDONLY as u32, kill_suidgid: false };
    let opened = guest.fs.open(&ROOT, guest.node("file"), &open).unwrap();
    assert!(opened.flags.contains(OpenReplyFlags::KEEP_CACHE));
}

#[test]
fn while_somebody_changes_a_thing_nothing_vouches_for_it() {
    let house = House::new();
    fs::write(house.path("file"), "contents").unwrap();
    let (guest, other) = (house.guest(), house.guest());
    let node = guest.node("file");
    let slots = guest.fs.slots(node).unwrap();
    let mut worker = other.engine.worker().unwrap();
    let change = worker.announce(crate::coherent::contents(slots)).unwrap();
    assert_eq!(guest.fs.getattr(&ROOT, node, None).unwrap().stamp, Stamp::default());
    let set = SetAttr { mode: Some(0o600), ..SetAttr::default() };
    assert_eq!(guest.set(node, &set), Stamp::default(), "our own change was not alone");
    change.publish();
    assert_eq!(guest.current(&guest.fs.getattr(&ROOT, node, None).unwrap().stamp), "pad");
}

#[test]
fn two_daemons_know_an_inode_by_the_same_slots() {
    let house = House::new();
    fs::write(house.path("file"), "contents").unwrap();
    fs::create_dir(house.path("dir")).unwrap();
    let by_handle = house.guest();
    let never = Config { inode_file_handles: InodeFileHandles::Never, ..house.config() };
    let by_descriptor = house.boot(never);
    by_descriptor.fs.init(&by_descriptor.offer()).unwrap();
    for name in ["file", "dir", "missing"] {
        let stamps =
            [&by_handle, &by_descriptor].map(|g| g.lookup(NodeId::ROOT, name).unwrap().stamp);
        assert_eq!(stamps[0].slots, stamps[1].slots, "{name}");
    }
}

#[test]
fn a_stamp_in_a_reply_is_the_stamp_of_the_table_s_layout() {
    let places = [Stamp::ENTRY, Stamp::PERM, Stamp::ATTR, Stamp::DATA];
    let mut in_reply = Stamp::default();
    for (place, number) in places.into_iter().zip(1..) {
        in_reply.slots[place] = 0x1122_3300 + number;
        in_reply.words[place] = 0x1122_3344_5566_7700 + u64::from(number);
    }
    let snapshot =
        |place: usize| Snapshot { slot: in_reply.slots[place], word: in_reply.words[place] };
    let of_the_table = coherence::Stamp {
        entry: snapshot(Stamp::ENTRY),
        perm: snapshot(Stamp::PERM),
        attr: snapshot(Stamp::ATTR),
        data: snapshot(Stamp::DATA),
    };
    assert_eq!(in_reply.as_bytes(), of_the_table.encode());
    assert_eq!(coherence::Stamp::decode(&of_the_table.encode()), of_the_table);
    assert_eq!(
        (offset_of!(Stamp, slots), offset_of!(Stamp, words), size_of::<Stamp>()),
        (0, 16, of_the_table.encode().len())
    );
}
