//! Other numbers for users and groups.

use std::os::unix::fs::{MetadataExt, chown};

use fuse::abi::InitFlags;
use fuse::filesystem::{Offer, SetAttr};
use fuse::{FileSystem, NodeId};

use super::share::*;
use crate::passthrough::{Config, InodeFileHandles, Negotiation};

fn translating(uid: &[&str], gid: &[&str]) -> Config {
    let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Config {
        translate_uid: rules(uid),
        translate_gid: rules(gid),
        posix_acl: Negotiation::Never,
        ..config(InodeFileHandles::Prefer)
    }
}

fn share(uid: &[&str], gid: &[&str]) -> Share {
    let share = Share::on_disk(&translating(uid, gid));
    share.fs.init(&Offer { flags: InitFlags::all(), ..Offer::default() }).unwrap();
    share
}

#[test]
fn what_a_guest_creates_belongs_to_others_on_the_host_and_not_in_the_guest() {
    if !is_root() {
        return;
    }
    let share = share(&["map:1234:70000:1"], &["map:5678:80000:1"]);
    let (entry, _) = share.create(&USER, NodeId::ROOT, "new", &creation(0o644)).unwrap();
    let seen = std::fs::metadata(share.path("new")).unwrap();
    assert_eq!((seen.uid(), seen.gid()), (70_000, 80_000));
    assert_eq!((entry.attr.uid, entry.attr.gid), (1234, 5678));
    let attr = share.attr(NodeId(entry.nodeid)).unwrap();
    assert_eq!((attr.uid, attr.gid), (1234, 5678));
    let statx = share.fs.statx(&ROOT, NodeId(entry.nodeid), None, 0, 0x7ff).unwrap().statx;
    assert_eq!((statx.uid, statx.gid), (1234, 5678));
}

#[test]
fn owners_are_translated_on_the_way_in() {
    if !is_root() {
        return;
    }
    let share = share(&["guest:0:1000:10", "forbid-guest:50:1"], &["squash-guest:0:7:100"]);
    share.host_file("file", "");
    let node = share.node("file");
    let owner = |uid, gid| SetAttr { uid: Some(uid), gid: Some(gid), ..SetAttr::default() };
    share.set(node, &owner(3, 99)).unwrap();
    let seen = std::fs::metadata(share.path("file")).unwrap();
    assert_eq!((seen.uid(), seen.gid()), (1003, 7));
    assert_errno(share.set(node, &owner(50, 1)), libc::EPERM);
    assert_eq!(std::fs::metadata(share.path("file")).unwrap().uid(), 1003);
    // One direction says nothing about the other.
    assert_eq!(share.attr(node).unwrap().uid, 1003);
}

#[test]
fn a_forbidden_user_creates_nothing() {
    let share = share(&["forbid-guest:1234:1"], &[]);
    assert_errno(share.create(&USER, NodeId::ROOT, "new", &creation(0o644)), libc::EPERM);
    assert!(!share.path("new").exists());
}

#[test]
fn everything_of_the_hosts_can_look_like_one_users() {
    if !is_root() {
        return;
    }
    let share = share(&["squash-host:0:1000:4294967295"], &["squash-host:0:1000:4294967295"]);
    for (name, id) in [("one", 0), ("other", 4_000_000_000)] {
        let path = share.host_file(name, "");
        chown(path, Some(id), Some(id)).unwrap();
        let entry = share.lookup(NodeId::ROOT, name).unwrap();
        assert_eq!((entry.attr.uid, entry.attr.gid), (1000, 1000));
    }
}

#[test]
fn rules_that_contradict_each_other_are_named() {
    let config = translating(&[], &["map:0:1:2", "guest:1:5:1"]);
    let error = crate::passthrough::Passthrough::new(config).unwrap_err().to_string();
    assert!(error.contains("--translate-gid: two rules"), "{error}");
}
