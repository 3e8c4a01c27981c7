//! SETUPMAPPING: a file that may be stored into without a word is not cached by anybody.

use std::fs;
use std::io;
use std::sync::Arc;

use fuse::abi::{InitFlags, Stamp};
use fuse::filesystem::{Mappings, Offer, Release, RemoveMapping, SetAttr, SetupMapping};
use fuse::{FileSystem, Handle, Held, Mapper, Mapping, NodeId, errno};
use parking_lot::Mutex;

use super::kit::{Guest, House, ROOT};
use crate::passthrough::{Config, Mapped};

/// A window of one mapping.
#[derive(Default)]
struct Window {
    held: Mutex<Option<Held>>,
    broken: bool,
}

impl Mapper for Window {
    fn map(&self, mapping: &Mapping<'_>) -> io::Result<()> {
        if self.broken {
            return Err(errno::error(errno::EIO));
        }
        (*self.held.lock()).clone_from(&mapping.held);
        Ok(())
    }

    fn unmap(&self, _window_offset: u64, _len: u64) -> io::Result<()> {
        *self.held.lock() = None;
        Ok(())
    }
}

/// A share with a DAX window, of which no file says that it is to be mapped.
#[derive(Debug)]
struct OnDemand;

impl Mapped for OnDemand {
    fn maps(&self, _: u32, _: u64, _: &dyn Fn() -> bool) -> bool {
        false
    }

    fn follows(&self) -> bool {
        false
    }

    fn follow(&self, _: u64, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn fit(&self, _: u64, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn own_cut(&self, _: u64, _: u64) {}

    fn clear(&self) {}
}

fn with_window(house: &House) -> Config {
    Config { mapped: Some(Arc::new(OnDemand)), ..house.config() }
}

/// A guest that maps.
fn mapping_guest(house: &House) -> Guest {
    house.guest_of(with_window(house))
}

fn setup(writable: bool) -> SetupMapping {
    SetupMapping { file_offset: 0, len: 4096, window_offset: 0, writable }
}

#[test]
fn what_is_mapped_for_writing_is_cached_by_nobody() {
    let house = House::new();
    fs::write(house.path("file"), vec![0; 4096]).unwrap();
    let (writer, reader) = (mapping_guest(&house), house.guest());
    let node = writer.node("file");
    let before = reader.found(NodeId::ROOT, "file").1;
    assert_eq!(reader.current(&before), "epad");

    let window = Window::default();
    writer.fs.setup_mapping(&ROOT, node, None, &setup(false), &window).unwrap();
    assert_eq!(reader.current(&before), "epad", "reading changes nothing");
    writer.fs.setup_mapping(&ROOT, node, None, &setup(true), &window).unwrap();
    assert_eq!(reader.current(&before), "ep");
    let meanwhile = reader.found(NodeId::ROOT, "file").1;
    assert_eq!(reader.current(&meanwhile), "ep", "nor is what is read meanwhile");

    let all = [RemoveMapping { window_offset: 0, len: 4096 }];
    writer.fs.remove_mapping(&ROOT, node, &all, &window).unwrap();
    assert_eq!(reader.current(&before), "ep", "it may have changed");
    assert_eq!(reader.current(&reader.found(NodeId::ROOT, "file").1), "epad");
}

#[test]
fn a_mapping_that_fails_holds_nothing() {
    let house = House::new();
    fs::write(house.path("file"), vec![0; 4096]).unwrap();
    let writer = mapping_guest(&house);
    let node = writer.node("file");
    let window = Window { broken: true, ..Window::default() };
    let failed = writer.fs.setup_mapping(&ROOT, node, None, &setup(true), &window);
    assert_eq!(failed.unwrap_err().raw_os_error(), Some(errno::EIO));
    assert_eq!(writer.current(&writer.found(NodeId::ROOT, "file").1), "epad");
}

/// Whether anybody may cache the file.
fn is_cached(guest: &Guest) -> bool {
    guest.current(&guest.found(NodeId::ROOT, "file").1) == "epad"
}

fn try_close(guest: &Guest, node: NodeId, handle: Handle, idle: bool) -> io::Result<()> {
    let release = Release { flags: 0, lock_owner: 0, flush: false, flock_unlock: false, idle };
    guest.fs.release(&ROOT, node, handle, &release)
}

fn close(guest: &Guest, node: NodeId, handle: Handle, idle: bool) {
    try_close(guest, node, handle, idle).unwrap();
}

/// A guest has mapped a file for writing through a handle that is open.
fn store(guest: &Guest, window: &Window) -> (NodeId, Handle) {
    let node = guest.node("file");
    let handle = guest.open(node, libc::O_RDWR);
    guest.fs.setup_mapping(&ROOT, node, Some(handle), &setup(true), window).unwrap();
    (node, handle)
}

/// As [`store`], of a new guest.
fn storing(house: &House, window: &Window) -> (Guest, NodeId, Handle) {
    fs::write(house.path("file"), vec![0; 4096]).unwrap();
    let guest = mapping_guest(house);
    let (node, handle) = store(&guest, window);
    (guest, node, handle)
}

#[test]
fn a_mapping_that_nobody_stores_through_any_more_keeps_nobody_from_caching() {
    let (house, window) = (House::new(), Window::default());
    let (writer, node, first) = storing(&house, &window);
    let reader = house.guest();
    let other = writer.open(node, libc::O_WRONLY);
    let looks = writer.open(node, libc::O_RDONLY);
    close(&writer, node, first, true);
    close(&writer, node, looks, true);
    assert!(!is_cached(&reader), "another is open for writing");
    close(&writer, node, other, true);
    assert!(is_cached(&reader));
    // The mapping is still there, and the guest uses it without asking.
    let before = reader.found(NodeId::ROOT, "file").1;
    let again = writer.open(node, libc::O_RDWR);
    assert_eq!(reader.current(&before), "ep");
    close(&writer, node, again, true);
    assert_eq!(reader.current(&before), "ep", "it may have changed");
    assert!(is_cached(&reader));
    let (_, created) = writer.create("file", 0).unwrap();
    assert!(!is_cached(&reader));
    close(&writer, node, created.handle.unwrap(), true);
    assert!(is_cached(&reader));
    writer.fs.setup_mapping(&ROOT, node, None, &setup(true), &window).unwrap();
    assert!(!is_cached(&reader), "it says that it will store");
}

#[test]
fn a_mapping_is_stored_through_until_the_guest_says_that_it_is_not() {
    let (house, window) = (House::new(), Window::default());
    let (writer, node, handle) = storing(&house, &window);
    close(&writer, node, handle, false);
    assert!(!is_cached(&writer), "a page may still be the target of direct I/O");
    let again = writer.open(node, libc::O_RDWR);
    close(&writer, node, again, true);
    assert!(is_cached(&writer));
    // What is not open says nothing.
    let last = writer.open(node, libc::O_RDWR);
    close(&writer, node, last, false);
    assert!(try_close(&writer, node, last, true).is_err());
    assert!(!is_cached(&writer));
}

#[test]
fn a_guest_without_the_table_cannot_say_that_nothing_is_stored() {
    let (house, window) = (House::new(), Window::default());
    fs::write(house.path("file"), vec![0; 4096]).unwrap();
    let writer = house.boot(with_window(&house));
    writer.fs.init(&Offer { flags: InitFlags::empty(), ..writer.offer() }).unwrap();
    let (node, handle) = store(&writer, &window);
    close(&writer, node, handle, true);
    assert!(!is_cached(&house.guest()));
}

#[test]
fn what_is_stored_through_a_mapping_leaves_the_size_alone() {
    let (house, window) = (House::new(), Window::default());
    let (writer, node, _) = storing(&house, &window);
    let meanwhile = writer.found(NodeId::ROOT, "file").1;
    assert!(writer.is_current(&meanwhile, Stamp::PERM));
    writer.set(node, &SetAttr { size: Some(8192), ..SetAttr::default() });
    assert!(!writer.is_current(&meanwhile, Stamp::PERM));
}

#[test]
fn nothing_is_mapped_for_writing_where_nobody_asked_for_a_window() {
    let house = House::new();
    fs::write(house.path("file"), vec![0; 4096]).unwrap();
    let guest = house.guest();
    let (node, window) = (guest.node("file"), Window::default());
    let refused = guest.fs.setup_mapping(&ROOT, node, None, &setup(true), &window);
    assert_eq!(refused.unwrap_err().raw_os_error(), Some(errno::ENOSYS));
    assert!(window.held.lock().is_none());
}
