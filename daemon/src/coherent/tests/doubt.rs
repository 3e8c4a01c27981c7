//! What cannot be found out about an inode makes the operation fail: its changes might go unannounced, or be made under
//! another lock than other daemons take.

use std::fs::{self, File};
use std::os::fd::AsFd;

use fuse::NodeId;
use fuse::errno;

use super::kit::House;
use crate::passthrough::{HostInode, NameRule, Observer};

#[test]
fn a_directory_whose_flags_cannot_be_read_is_not_met() {
    let house = House::new();
    fs::write(house.path("file"), "").unwrap();
    let guest = house.guest();
    let file = File::open(house.path("file")).unwrap();
    let inode = HostInode {
        fd: file.as_fd(),
        device: 1,
        ino: 2,
        handle: None,
        is_directory: false,
        is_readable: false,
    };
    let observatory = &guest.fs.observatory;
    assert!(observatory.tag(&inode).is_ok());
    // What cannot be opened as a directory stands for any failure to read a directory's flags.
    let broken = HostInode { is_directory: true, ..inode };
    assert_eq!(observatory.tag(&broken).unwrap_err().raw_os_error(), Some(errno::ENOTDIR));
    assert!(observatory.meet(&broken).is_err());
}

#[test]
fn names_are_not_changed_where_the_lock_is_not_known() {
    let guest = House::new().guest();
    let root = guest.fs.inner.tag(NodeId::ROOT).unwrap();
    assert_eq!(root.names, NameRule::Bytewise);
    let observatory = &guest.fs.observatory;
    let lock = |names| {
        let tag = crate::passthrough::Tag { names, ..root };
        observatory.name_lock(tag, b"name").map(Option::unwrap)
    };
    assert_ne!(lock(NameRule::Bytewise).unwrap(), lock(NameRule::Folded).unwrap());
    assert_eq!(lock(NameRule::Unknown).unwrap_err().raw_os_error(), Some(errno::EACCES));
}
