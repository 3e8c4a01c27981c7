//! SETUPMAPPING and REMOVEMAPPING.

use std::io;
use std::sync::Mutex;

use fuse::abi::InitFlags;
use fuse::filesystem::{Mappings, RemoveMapping, SetupMapping};
use fuse::{FileSystem, Mapper, Mapping, NodeId, errno};
use rustix::fs::OFlags;

use super::on_every_share;
use super::share::{ROOT, Share, assert_errno, config, creation};
use crate::passthrough::{Config, InodeFileHandles};

on_every_share! { files_are_mapped, only_files_are_mapped }

/// What the descriptor allows, position in the file, in the window, length, writable.
type Mapped = (OFlags, u64, u64, u64, bool);

/// Notes down what is asked of it.
#[derive(Default)]
struct Notes {
    mapped: Mutex<Vec<Mapped>>,
    unmapped: Mutex<Vec<(u64, u64)>>,
}

impl Mapper for Notes {
    fn map(&self, mapping: &Mapping<'_>) -> io::Result<()> {
        let mode = rustix::fs::fcntl_getfl(mapping.file)? & OFlags::RWMODE;
        self.mapped.lock().unwrap().push((
            mode,
            mapping.file_offset,
            mapping.window_offset,
            mapping.len,
            mapping.writable,
        ));
        Ok(())
    }

    fn unmap(&self, window_offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Err(errno::error(errno::EINVAL));
        }
        self.unmapped.lock().unwrap().push((window_offset, len));
        Ok(())
    }
}

fn setup(writable: bool) -> SetupMapping {
    SetupMapping { file_offset: 4096, len: 8192, window_offset: 1 << 21, writable }
}

fn files_are_mapped(share: &Share) {
    share.host_file("file", "data");
    let node = share.node("file");
    let notes = Notes::default();
    share.fs.setup_mapping(&ROOT, node, None, &setup(true), &notes).unwrap();
    let handle = share.open(node, libc::O_RDONLY).unwrap();
    share.fs.setup_mapping(&ROOT, node, Some(handle), &setup(false), &notes).unwrap();
    let expected = |writable| (OFlags::RDWR, 4096, 1 << 21, 8192, writable);
    assert_eq!(*notes.mapped.lock().unwrap(), [expected(true), expected(false)]);
    let stretch = |window_offset, len| RemoveMapping { window_offset, len };
    let two = [stretch(0, 4096), stretch(8192, 4096)];
    share.fs.remove_mapping(&ROOT, node, &two, &notes).unwrap();
    assert_eq!(*notes.unmapped.lock().unwrap(), [(0, 4096), (8192, 4096)]);
    let bad = share.fs.remove_mapping(&ROOT, node, &[stretch(0, 0)], &notes);
    assert_errno(bad, errno::EINVAL);
}

fn only_files_are_mapped(share: &Share) {
    let notes = Notes::default();
    let map = |node, handle| share.fs.setup_mapping(&ROOT, node, handle, &setup(false), &notes);
    assert_errno(map(NodeId::ROOT, None), errno::EINVAL);
    assert_errno(map(NodeId(99), None), errno::EBADF);
    let file = share.new_file("file");
    assert_errno(map(file.0, Some(fuse::Handle(99))), errno::EBADF);
    assert!(notes.mapped.lock().unwrap().is_empty());
}

#[test]
fn read_only_shares_map_for_reading() {
    let share = Share::on_disk(&Config { readonly: true, ..config(InodeFileHandles::Prefer) });
    share.host_file("file", "data");
    let node = share.node("file");
    let notes = Notes::default();
    let refused = share.fs.setup_mapping(&ROOT, node, None, &setup(true), &notes);
    assert_errno(refused, errno::EROFS);
    share.fs.setup_mapping(&ROOT, node, None, &setup(false), &notes).unwrap();
    assert_eq!(notes.mapped.lock().unwrap()[0].0, OFlags::RDONLY);
}

/// Says that a file of one size is mapped, and refuses another.
#[derive(Debug, Default)]
struct Sizes {
    told: Mutex<Vec<u64>>,
    cleared: std::sync::atomic::AtomicUsize,
}

impl crate::passthrough::Mapped for Sizes {
    fn maps(&self, mode: u32, size: u64, is_marked: &dyn Fn() -> bool) -> bool {
        mode & 0o111 == 0 && (size == 8 || is_marked())
    }

    fn follows(&self) -> bool {
        true
    }

    fn follow(&self, _device: u64, _inode: u64, size: u64) -> io::Result<()> {
        self.told.lock().unwrap().push(size);
        if size == 9 { Err(errno::error(errno::EIO)) } else { Ok(()) }
    }

    fn fit(&self, _device: u64, _inode: u64, size: u64) -> io::Result<()> {
        self.told.lock().unwrap().push(1000 + size);
        Ok(())
    }

    fn own_cut(&self, _device: u64, _inode: u64) {}

    fn clear(&self) {
        self.cleared.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn who_maps_is_told_of_sizes_before_the_guest_is() {
    use fuse::abi::AttrFlags;
    let sizes = std::sync::Arc::new(Sizes::default());
    let mapped: std::sync::Arc<dyn crate::passthrough::Mapped> = sizes.clone();
    let share =
        Share::on_disk(&Config { mapped: Some(mapped), ..config(InodeFileHandles::Prefer) });
    share.host_file("file", "12345678");
    let entry = share.lookup(NodeId::ROOT, "file").unwrap();
    assert_eq!(entry.attr.flags, AttrFlags::DAX.bits());
    let node = NodeId(entry.nodeid);
    share.host_file("file", "123456789");
    assert_errno(share.fs.getattr(&ROOT, node, None), errno::EIO);
    assert_errno(share.lookup(NodeId::ROOT, "file"), errno::EIO);
    share.host_file("file", "1");
    assert_eq!(share.fs.getattr(&ROOT, node, None).unwrap().attr.flags, 0);
    assert_eq!(*sizes.told.lock().unwrap(), [8, 9, 9, 1]);
    // Marked for it.
    let mark = |value: &str| {
        let path = share.path("file");
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(path, c"user.samepage.dax", value.as_bytes(), flags).unwrap();
        share.fs.getattr(&ROOT, node, None).unwrap().attr.flags
    };
    assert_eq!(mark("1"), AttrFlags::DAX.bits());
    assert_eq!([mark("0"), mark("11"), mark("111")], [0; 3]);
    sizes.told.lock().unwrap().truncate(4);
    let before = sizes.cleared.load(std::sync::atomic::Ordering::SeqCst);
    share.fs.destroy();
    assert_eq!(sizes.cleared.load(std::sync::atomic::Ordering::SeqCst), before + 1);
}

#[test]
fn a_guest_that_goes_by_what_attributes_say_gets_none_without_it() {
    let statx = |share: &Share| share.fs.statx(&ROOT, NodeId::ROOT, None, 0, 0x7ff);
    let mapped: std::sync::Arc<dyn crate::passthrough::Mapped> = std::sync::Arc::<Sizes>::default();
    let share =
        Share::on_disk(&Config { mapped: Some(mapped), ..config(InodeFileHandles::Prefer) });
    share.fs.init(&InitFlags::all().into()).unwrap();
    assert_errno(statx(&share), errno::ENOSYS);
    share.fs.init(&(InitFlags::all() - InitFlags::HAS_INODE_DAX).into()).unwrap();
    statx(&share).unwrap();
    let share = Share::on_disk(&config(InodeFileHandles::Prefer));
    share.fs.init(&InitFlags::all().into()).unwrap();
    statx(&share).unwrap();
}

/// Notes what is to be cut and what has grown; refuses to have a file of one size.
#[derive(Debug, Default)]
struct Others(Mutex<Vec<(&'static str, u64)>>);

impl crate::passthrough::Neighbours for Others {
    fn before_cut(
        &self,
        _device: u64,
        _inode: u64,
        size: u64,
    ) -> io::Result<crate::passthrough::Cutting> {
        self.0.lock().unwrap().push(("cut", size));
        if size == 3 { Err(errno::error(libc::EBUSY)) } else { Ok(Box::new(())) }
    }

    fn mind_growth(&self) -> bool {
        true
    }

    fn grown(&self, _device: u64, _inode: u64, size: u64) -> io::Result<()> {
        self.0.lock().unwrap().push(("grown", size));
        Ok(())
    }
}

#[test]
fn whoever_else_maps_a_file_is_asked_before_it_is_cut() {
    use fuse::filesystem::{Create, SetAttr};
    let (others, sizes) = (std::sync::Arc::<Others>::default(), std::sync::Arc::<Sizes>::default());
    let mapped: std::sync::Arc<dyn crate::passthrough::Mapped> = sizes.clone();
    let neighbours: std::sync::Arc<dyn crate::passthrough::Neighbours> = others.clone();
    let config = config(InodeFileHandles::Prefer);
    let config = Config { mapped: Some(mapped), neighbours: Some(neighbours), ..config };
    let share = Share::on_disk(&config);
    let heard = || std::mem::take(&mut *others.0.lock().unwrap());
    let length = || std::fs::metadata(share.path("file")).unwrap().len();
    share.host_file("file", "12345678");
    let node = share.node("file");
    let cut = |size| {
        let set = SetAttr { size: Some(size), ..SetAttr::default() };
        share.fs.setattr(&ROOT, node, None, &set)
    };
    cut(4).unwrap();
    assert_eq!((heard(), length()), (vec![("cut", 4)], 4));
    assert_errno(cut(3), libc::EBUSY);
    assert_eq!((heard(), length()), (vec![("cut", 3)], 4));
    cut(6).unwrap();
    assert_eq!((heard(), length()), (vec![("cut", 6), ("grown", 6)], 6));
    share.open(node, libc::O_RDWR).unwrap();
    assert_eq!(heard(), []);
    share.open(node, libc::O_RDWR | libc::O_TRUNC).unwrap();
    assert_eq!((heard(), length()), (vec![("cut", 0)], 0));
    // A guest that makes a file which turns out to be there has not let go of it either.
    share.host_file("file", "12345678");
    sizes.told.lock().unwrap().clear();
    let create = Create { flags: (libc::O_RDWR | libc::O_TRUNC) as u32, ..creation(0o644) };
    share.fs.create(&ROOT, NodeId::ROOT, c"file", &create).unwrap();
    assert_eq!((heard(), length()), (vec![("cut", 0)], 0));
    assert!(sizes.told.lock().unwrap().contains(&1000));
}
