//! How many descriptors are in use.

use std::fs;

use fuse::{FileSystem, NodeId, errno};

use super::on_every_share;
use super::share::{ROOT, Share, assert_errno, config, cstring};
use crate::passthrough::{Config, InodeFileHandles};

on_every_share! { opening_and_closing, failed_requests_leak_nothing }

fn opening_and_closing(share: &Share) {
    let before = share.fs.descriptors.left();
    let file = share.new_file("file");
    let again = (file.0, share.open(file.0, libc::O_RDONLY).unwrap());
    let directory = share.fs.opendir(&ROOT, NodeId::ROOT, 0).unwrap().handle.unwrap();
    assert!(share.fs.descriptors.left() <= before - 3);
    share.release(file).unwrap();
    share.release(again).unwrap();
    share.release((NodeId::ROOT, directory)).unwrap();
    share.fs.forget(file.0, 1);
    assert_eq!(share.fs.descriptors.left(), before);
    assert_eq!((share.fs.handles.len(), share.fs.inodes.len()), (0, 0));
}

fn failed_requests_leak_nothing(share: &Share) {
    let before = share.fs.descriptors.left();
    share.host_file("file", "");
    let file = share.node("file");
    assert_errno(share.fs.opendir(&ROOT, file, 0), errno::ENOTDIR);
    assert_errno(share.open(NodeId::ROOT, libc::O_WRONLY), errno::EISDIR);
    assert_errno(share.mkdir(file, "x"), errno::ENOTDIR);
    assert_errno(share.lookup(file, "x"), errno::ENOTDIR);
    share.fs.forget(file, 1);
    assert_eq!(share.fs.descriptors.left(), before);
}

fn limited(mode: InodeFileHandles) -> Share {
    Share::on_disk(&Config { max_descriptors: Some(400), ..config(mode) })
}

#[test]
fn without_handles_each_inode_costs_one() {
    let share = limited(InodeFileHandles::Never);
    let free = share.fs.descriptors.left();
    let name = |number| format!("file{number}");
    for number in 0..=free {
        share.host_file(&name(number), "");
    }
    let nodes: Vec<_> = (0..free).map(|number| share.node(&name(number))).collect();
    assert_errno(share.lookup(NodeId::ROOT, &name(free)), libc::EMFILE);
    assert_errno(share.open(nodes[0], libc::O_RDONLY), libc::EMFILE);
    // What is known goes on working, and what is forgotten makes room.
    assert!(share.attr(nodes[0]).is_ok());
    share.fs.forget(nodes[1], 1);
    assert!(share.lookup(NodeId::ROOT, &name(free)).is_ok());
}

#[test]
fn with_handles_inodes_cost_nothing() {
    let share = limited(InodeFileHandles::Prefer);
    if !handles_work(&share) {
        return;
    }
    let free = share.fs.descriptors.left();
    for number in 0..1000 {
        let name = format!("dir{number}");
        fs::create_dir(share.path(&name)).unwrap();
        let node = share.node(&name);
        assert!(share.attr(node).is_ok());
    }
    assert_eq!(share.fs.inodes.len(), 1000);
    // The cache holds a quarter.
    assert!(share.fs.descriptors.left() >= free - 100);
    // And gives way to open files.
    share.host_file("file", "");
    let node = share.node("file");
    // One is what the first files wait by.
    let files: Vec<_> = (1..free).map(|_| share.open(node, libc::O_RDONLY).unwrap()).collect();
    assert_errno(share.open(node, libc::O_RDONLY), libc::EMFILE);
    assert!(share.attr(share.node("dir1")).is_ok());
    for handle in files {
        share.release((node, handle)).unwrap();
    }
    assert_eq!(share.fs.descriptors.left(), free);
}

/// Places of inodes that the guest has forgotten are taken again, or each would keep an inode's memory.
#[test]
fn the_cache_does_not_fill_with_what_is_forgotten() {
    let share = Share::on_disk(&config(InodeFileHandles::Prefer));
    if !handles_work(&share) {
        return;
    }
    for number in 0..2000 {
        let name = format!("dir{number}");
        fs::create_dir(share.path(&name)).unwrap();
        let node = share.node(&name);
        assert!(share.attr(node).is_ok());
        fs::remove_dir(share.path(&name)).unwrap();
        share.fs.forget(node, 1);
    }
    let places = share.fs.descriptors.places();
    assert!(places < 20, "{places} places for nothing");
}

#[test]
fn a_descriptor_in_use_survives_eviction() {
    let share = limited(InodeFileHandles::Prefer);
    for number in 0..300 {
        fs::create_dir_all(share.path(&format!("dir{number}/sub"))).unwrap();
    }
    let nodes: Vec<_> = (0..300).map(|number| share.node(&format!("dir{number}"))).collect();
    std::thread::scope(|scope| {
        for start in [0, 100, 200] {
            let (share, nodes) = (&share, &nodes);
            scope.spawn(move || {
                for step in 0..3000 {
                    let node = nodes[(start + step * 7) % nodes.len()];
                    let entry = share.lookup(node, "sub").unwrap();
                    share.fs.forget(NodeId(entry.nodeid), 1);
                }
            });
        }
    });
}

/// Beyond the limit inodes that lost their last name are stale; nothing else breaks.
#[test]
fn unlinked_inodes_are_limited() {
    let share = limited(InodeFileHandles::Prefer);
    if !handles_work(&share) {
        return;
    }
    let unlink = |number| {
        let name = format!("file{number}");
        share.host_file(&name, "");
        let node = share.node(&name);
        share.fs.unlink(&ROOT, NodeId::ROOT, &cstring(&name)).unwrap();
        node
    };
    let nodes: Vec<_> = (0..150).map(unlink).collect();
    for node in &nodes[..100] {
        assert!(share.attr(*node).is_ok());
    }
    share.fs.descriptors.shed();
    for node in &nodes[100..] {
        assert_errno(share.attr(*node), errno::ESTALE);
    }
    for node in nodes {
        share.fs.forget(node, 1);
    }
    assert!(share.attr(unlink(150)).is_ok());
}

fn handles_work(share: &Share) -> bool {
    if !share.has_handles() {
        eprintln!("skipped: no file handles here");
    }
    share.has_handles()
}
