//! A VMM as strict as QEMU 11.1, and a guest.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use fuse::{Mapper, Mapping, errno};
use parking_lot::Mutex;

use crate::dax::{FileId, Footprint, Front, PAGE, Window};

pub(in crate::dax) const PAGES: u64 = 1 << 9;

/// Which byte of which file is at a place of the window.
pub(in crate::dax) type Place = (FileId, u64);

/// What the VMM has mapped: length, file, position in the file.
#[derive(Debug, Default)]
pub(in crate::dax) struct Vmm {
    pub(in crate::dax) mapped: Mutex<BTreeMap<u64, (u64, FileId, u64)>>,
    /// Refuse everything.
    pub(in crate::dax) broken: Mutex<bool>,
    pub(in crate::dax) asked: Mutex<u32>,
    /// Regions that are not ours.
    pub(in crate::dax) others: Mutex<usize>,
    /// How many looks it takes until what was taken away is gone.
    pub(in crate::dax) looks: Mutex<u32>,
    /// What was taken away and is not gone: file, and the byte behind its last one.
    lingering: Mutex<Vec<(FileId, u64)>>,
}

impl Vmm {
    /// What the guest finds at a byte of the window.
    pub(in crate::dax) fn at(&self, offset: u64) -> Option<Place> {
        let mapped = self.mapped.lock();
        let (start, (len, file, from)) = mapped.range(..=offset).next_back()?;
        (offset - start < *len).then(|| (*file, from + (offset - start)))
    }

    /// What the guest finds in each page of the window.
    pub(in crate::dax) fn pages(&self) -> Vec<Option<Place>> {
        let mut pages = vec![None; PAGES as usize];
        for (start, (len, file, from)) in &*self.mapped.lock() {
            for offset in (0..*len).step_by(PAGE as usize) {
                pages[((start + offset) / PAGE) as usize] = Some((*file, from + offset));
            }
        }
        pages
    }

    pub(in crate::dax) fn len(&self) -> usize {
        self.mapped.lock().len()
    }

    fn ask(&self) -> io::Result<()> {
        *self.asked.lock() += 1;
        if *self.broken.lock() { refuse("the VMM has gone") } else { Ok(()) }
    }
}

fn refuse<T>(why: &str) -> io::Result<T> {
    Err(io::Error::other(why.to_owned()))
}

impl Front for Vmm {
    fn map(
        &self,
        file: BorrowedFd<'_>,
        file_offset: u64,
        window_offset: u64,
        len: u64,
    ) -> io::Result<()> {
        self.ask()?;
        let end = window_offset + len;
        assert!(len > 0 && end <= PAGES * PAGE, "{window_offset:#x}+{len:#x}: outside");
        assert!(window_offset.is_multiple_of(PAGE) && file_offset.is_multiple_of(PAGE));
        let size = rustix::fs::fstat(file)?.st_size as u64;
        if file_offset + len > size {
            return refuse("backing store size too small");
        }
        let mut mapped = self.mapped.lock();
        let before = mapped.range(..end).next_back();
        assert!(before.is_none_or(|(start, (len, ..))| start + len <= window_offset), "overlap");
        mapped.insert(window_offset, (len, id(file), file_offset));
        assert!(mapped.len() + *self.others.lock() < 500, "QEMU aborts");
        Ok(())
    }

    fn unmap(&self, window_offset: u64, len: u64) -> io::Result<()> {
        self.ask()?;
        let mut mapped = self.mapped.lock();
        match mapped.get(&window_offset) {
            Some(&(found, file, from)) if found == len => {
                mapped.remove(&window_offset);
                if *self.looks.lock() > 0 {
                    self.lingering.lock().push((file, from + len));
                }
            }
            _ => return refuse("Shared memory mapping not found"),
        }
        Ok(())
    }

    fn regions(&self) -> usize {
        self.len() + *self.others.lock()
    }
}

impl Footprint for Vmm {
    fn reaches(&self, file: BorrowedFd<'_>, from: u64) -> io::Result<bool> {
        let (mut looks, mut lingering) = (self.looks.lock(), self.lingering.lock());
        *looks = looks.saturating_sub(1);
        if *looks == 0 {
            lingering.clear();
        }
        let file = id(file);
        let reaches = |(of, end): (FileId, u64)| of == file && end > from;
        let mapped = self.mapped.lock();
        let mapped = mapped.values().map(|(len, file, from)| (*file, from + len));
        Ok(mapped.chain(lingering.iter().copied()).any(reaches))
    }
}

/// A window that a VMM has.
pub(in crate::dax) fn window() -> (Arc<Window>, Arc<Vmm>) {
    let window = Arc::new(Window::new("2M".parse().unwrap()).unwrap());
    assert_eq!(window.size(), PAGES * PAGE);
    let vmm = Arc::new(Vmm::default());
    window.attach(vmm.clone());
    window.owned_by(None, Some(vmm.clone()));
    (window, vmm)
}

/// A new file of this size.
pub(in crate::dax) fn file(size: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(size).unwrap();
    file
}

pub(in crate::dax) fn id(file: impl AsFd) -> FileId {
    let stat = rustix::fs::fstat(file).unwrap();
    FileId { device: stat.st_dev, inode: stat.st_ino }
}

/// SETUPMAPPING, all in bytes.
pub(in crate::dax) fn map(
    window: &Window,
    file: &File,
    (file_offset, window_offset, len): (u64, u64, u64),
) -> Result<(), i32> {
    let mapping =
        Mapping { file: file.as_fd(), file_offset, window_offset, len, writable: true, held: None };
    window.map(&mapping).map_err(|error| errno::number(&error))
}

/// One stretch of REMOVEMAPPING, in bytes.
pub(in crate::dax) fn unmap(window: &Window, offset: u64, len: u64) -> Result<(), i32> {
    window.unmap(offset, len).map_err(|error| errno::number(&error))
}
