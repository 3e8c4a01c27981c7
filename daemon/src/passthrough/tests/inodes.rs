//! The store of inodes, by itself.

use std::sync::Arc;

use fuse::NodeId;

use crate::passthrough::InodeFileHandles;
use crate::passthrough::identity::{Identity, Name};
use crate::passthrough::inode::Inode;
use crate::passthrough::inodes::Inodes;
use crate::passthrough::mounts::Mounts;
use crate::passthrough::observer::Tag;
use crate::passthrough::stat::{self, FileType};

fn identity(ino: u64) -> Identity {
    Identity { mount: 1, name: Name::Number { device: 7, ino } }
}

struct Store {
    inodes: Inodes,
    mount: Arc<crate::passthrough::mounts::Mount>,
}

impl Store {
    fn new() -> Self {
        let dir = std::fs::File::open("/").unwrap();
        let stat = stat::stat(&dir).unwrap();
        let mounts = Mounts::new(InodeFileHandles::Never);
        let mount = mounts.of(std::os::fd::AsFd::as_fd(&dir), &stat).unwrap();
        let kind = (FileType::Directory, 7);
        let root = Inode::new(
            NodeId::ROOT,
            identity(2),
            kind,
            (Arc::clone(&mount), (Tag::default(), None)),
            None,
        );
        Self { inodes: Inodes::new(Arc::new(root)), mount }
    }

    fn look_up(&self, ino: u64) -> NodeId {
        let identity = identity(ino);
        if let Some(inode) = self.inodes.claim(&identity) {
            return inode.nodeid;
        }
        let kind = (FileType::Regular, 7);
        let mount = Arc::clone(&self.mount);
        let fresh = Inode::new(
            self.inodes.fresh_id(),
            identity,
            kind,
            (mount, (Tag::default(), None)),
            None,
        );
        self.inodes.insert(fresh).nodeid
    }
}

#[test]
fn the_root_is_found_by_what_the_host_calls_it() {
    let store = Store::new();
    assert_eq!(store.look_up(2), NodeId::ROOT);
    store.inodes.forget(NodeId::ROOT, u64::MAX);
    assert_eq!(store.look_up(2), NodeId::ROOT);
    store.inodes.clear();
    assert_eq!(store.look_up(2), NodeId::ROOT);
}

#[test]
fn an_insertion_that_comes_second_joins_the_first() {
    let store = Store::new();
    let node = store.look_up(5);
    let kind = (FileType::Regular, 7);
    let mount = Arc::clone(&store.mount);
    let late = Inode::new(
        store.inodes.fresh_id(),
        identity(5),
        kind,
        (mount, (Tag::default(), None)),
        None,
    );
    assert_eq!(store.inodes.insert(late).nodeid, node);
    store.inodes.forget(node, 1);
    assert!(store.inodes.get(node).is_some());
    store.inodes.forget(node, 1);
    assert!(store.inodes.get(node).is_none());
    assert_eq!(store.inodes.len(), 0);
}

#[test]
fn an_inode_on_its_way_out_is_not_claimed() {
    let store = Store::new();
    let node = store.look_up(5);
    let inode = store.inodes.get(node).unwrap();
    assert!(inode.forget(1));
    // Between that and its removal from the store.
    assert!(store.inodes.claim(&identity(5)).is_none());
    assert_eq!(store.look_up(5), node);
    store.inodes.forget(node, 1);
    assert_ne!(store.look_up(5), node);
}

#[test]
fn an_inode_that_came_back_stays() {
    let store = Store::new();
    let node = store.look_up(5);
    let inode = store.inodes.get(node).unwrap();
    assert!(inode.forget(1));
    // Another thread looks it up before this one removes it.
    assert_eq!(store.look_up(5), node);
    store.inodes.remove(Arc::clone(&inode));
    assert!(store.inodes.get(node).is_some());
    assert_eq!(store.look_up(5), node);
    // Both forget, and both remove.
    store.inodes.forget(node, 2);
    store.inodes.remove(inode);
    assert!(store.inodes.get(node).is_none());
    assert_ne!(store.look_up(5), node);
}

#[test]
fn many_threads_agree() {
    let store = Store::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for step in 0..20_000_u64 {
                    let node = store.look_up(100 + (step * (thread + 1)) % 7);
                    assert!(store.inodes.get(node).is_some());
                    store.inodes.forget(node, 1);
                }
            });
        }
    });
    assert_eq!(store.inodes.len(), 0);
}
