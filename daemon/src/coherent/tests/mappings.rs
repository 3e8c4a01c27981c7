//! SETUPMAPPING: a file that may be stored into without a word is not cached by anybody.

use std::fs;
use std::io;

use fuse::filesystem::{Mappings, RemoveMapping, SetupMapping};
use fuse::{Held, Mapper, Mapping, NodeId, errno};
use parking_lot::Mutex;

use super::kit::{House, ROOT};

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

fn setup(writable: bool) -> SetupMapping {
    SetupMapping { file_offset: 0, len: 4096, window_offset: 0, writable }
}

#[test]
fn what_is_mapped_for_writing_is_cached_by_nobody() {
    let house = House::new();
    fs::write(house.path("file"), vec![0; 4096]).unwrap();
    let (writer, reader) = (house.guest(), house.guest());
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
    let writer = house.guest();
    let node = writer.node("file");
    let window = Window { broken: true, ..Window::default() };
    let failed = writer.fs.setup_mapping(&ROOT, node, None, &setup(true), &window);
    assert_eq!(failed.unwrap_err().raw_os_error(), Some(errno::EIO));
    assert_eq!(writer.current(&writer.found(NodeId::ROOT, "file").1), "epad");
}
