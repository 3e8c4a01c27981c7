//! Who gets stamps at all.

use std::fs;

use fuse::abi::{InitFlags, OpenReplyFlags, Stamp};
use fuse::filesystem::{Offer, SetAttr};
use fuse::{Agreement, FileSystem, NodeId};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::kit::{Guest, House, ROOT};
use crate::migration::Options;
use crate::passthrough::{CachePolicy, Config, SaveError};

fn agrees(guest: &Guest, offer: &Offer) -> bool {
    guest.fs.init(offer).unwrap().contains(InitFlags::VERSION_TABLE)
}

#[test]
fn only_a_guest_with_this_very_table_gets_stamps() {
    let house = House::new();
    let guest = house.boot(house.config());
    let offer = guest.offer();
    assert!(agrees(&guest, &offer));
    let mut other = offer;
    other.table_id[15] ^= 1;
    assert!(!agrees(&guest, &other));
    let flags = InitFlags::all() - InitFlags::VERSION_TABLE;
    assert!(!agrees(&guest, &Offer { flags, ..offer }));
}

#[test]
fn a_guest_that_shall_not_cache_gets_none() {
    let house = House::new();
    let guest = house.boot(Config { cache: CachePolicy::Never, ..house.config() });
    assert!(!agrees(&guest, &guest.offer()));
}

#[test]
fn a_stock_guest_is_served_as_without_a_table() {
    let house = House::new();
    fs::write(house.path("file"), "contents").unwrap();
    let guest = house.boot(house.config());
    guest.fs.init(&(InitFlags::all() - InitFlags::VERSION_TABLE).into()).unwrap();
    assert_eq!(guest.found(NodeId::ROOT, "file").1, Stamp::default());
    assert!(guest.lookup(NodeId::ROOT, "missing").is_err(), "no negative entries");
    let opened = guest.fs.opendir(&ROOT, NodeId::ROOT, 0).unwrap();
    assert_eq!((opened.stamp, opened.flags), (Stamp::default(), OpenReplyFlags::empty()));
}

#[test]
fn a_stock_guest_that_was_taken_over_announces_too_and_a_coherent_one_stays() {
    let house = House::new();
    fs::write(house.path("file"), "contents").unwrap();
    let stock = house.boot(house.config());
    stock.fs.init(&(InitFlags::all() - InitFlags::VERSION_TABLE).into()).unwrap();
    let node = stock.node("file");
    let agreement = Agreement { minor: 45, flags: InitFlags::empty() };
    let state = stock.fs.save(agreement, Options::default()).unwrap();
    let moved = house.boot(house.config());
    moved.fs.restore(&state, Options::default()).unwrap();
    let coherent = house.guest();
    let (_, stamp) = coherent.found(NodeId::ROOT, "file");
    assert!(coherent.is_current(&stamp, Stamp::ATTR));
    moved.set(node, &SetAttr { mode: Some(0o600), ..SetAttr::default() });
    assert!(!coherent.is_current(&stamp, Stamp::ATTR), "nobody was told");
    let refused = coherent.fs.save(agreement, Options::default());
    assert!(matches!(refused, Err(SaveError::Coherent)), "{refused:?}");
}

#[test]
fn a_stock_guest_s_changes_are_announced() {
    let house = House::new();
    let (stock, coherent) = (house.boot(house.config()), house.guest());
    stock.fs.init(&(InitFlags::all() - InitFlags::VERSION_TABLE).into()).unwrap();
    let missing = coherent.lookup(NodeId::ROOT, "missing").unwrap().stamp;
    stock.create("missing", 0).unwrap();
    assert_eq!(coherent.current(&missing), "");
}

#[test]
fn a_guest_that_has_gone_gets_no_more() {
    let house = House::new();
    let guest = house.guest();
    guest.fs.destroy();
    guest.fs.init(&(InitFlags::all() - InitFlags::VERSION_TABLE).into()).unwrap();
    assert!(guest.lookup(NodeId::ROOT, "missing").is_err());
}

#[test]
fn file_systems_beyond_what_there_are_numbers_for_get_none_and_are_counted() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: mounting needs root");
    }
    let house = House::new();
    // This thread's own, and gone with it.
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .unwrap();
    let guest = house.guest();
    let mut stamped = |number: u32| {
        let path = house.path(&number.to_string());
        fs::create_dir(&path).unwrap();
        mount(Some("none"), &path, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        guest.current(&guest.found(NodeId::ROOT, &number.to_string()).1).contains('a')
    };
    // The shared directory's is the first.
    assert!((2..=255).all(&mut stamped));
    assert_eq!(guest.refused_inodes(), 0);
    assert!((256..=257).all(|number| !stamped(number)));
    assert_eq!(guest.refused_inodes(), 2);
    assert!(guest.found(NodeId::ROOT, "2").1 != Stamp::default(), "the first still are");
}
