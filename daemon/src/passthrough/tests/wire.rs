//! Listings as the guest reads them.

use fuse::abi::Attr;
use fuse::dirs::{DirBuffer, DirPlusBuffer};
use fuse::{FileSystem, Handle, NodeId};

use super::share::{ROOT, Share};

/// Bytes of `fuse_entry_out`.
const ENTRY: usize = 40 + size_of::<Attr>();

/// A name from a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) ino: u64,
    pub(super) offset: u64,
    pub(super) kind: u32,
    /// READDIRPLUS: the inode, 0 where there is none.
    pub(super) nodeid: u64,
    /// READDIRPLUS: its `st_mode`, and `fuse_attr`'s flags.
    pub(super) mode: u32,
    pub(super) flags: u32,
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn parse(mut bytes: &[u8], plus: bool) -> Vec<Listed> {
    let mut names = Vec::new();
    let head = if plus { ENTRY } else { 0 };
    while !bytes.is_empty() {
        let (entry, dirent) = bytes.split_at(head);
        let length = u32_at(dirent, 16) as usize;
        names.push(Listed {
            name: String::from_utf8(dirent[24..24 + length].to_vec()).expect("test names are text"),
            ino: u64_at(dirent, 0),
            offset: u64_at(dirent, 8),
            kind: u32_at(dirent, 20),
            nodeid: if plus { u64_at(entry, 0) } else { 0 },
            mode: if plus { u32_at(entry, 40 + 60) } else { 0 },
            flags: if plus { u32_at(entry, 40 + 84) } else { 0 },
        });
        bytes = &bytes[(head + 24 + length).next_multiple_of(8)..];
    }
    names
}

impl Share {
    pub(super) fn opendir(&self, node: NodeId) -> Handle {
        self.fs.opendir(&ROOT, node, 0).expect("OPENDIR").handle.expect("a handle")
    }

    /// One READDIR with room for `size` bytes.
    pub(super) fn readdir(&self, dir: (NodeId, Handle), offset: u64, size: usize) -> Vec<Listed> {
        let mut bytes = Vec::new();
        let mut out = DirBuffer::new(&mut bytes, size);
        self.fs.readdir(&ROOT, dir.0, dir.1, offset, &mut out).expect("READDIR");
        parse(&bytes, false)
    }

    /// One READDIRPLUS with room for `size` bytes.
    pub(super) fn readdirplus(
        &self,
        dir: (NodeId, Handle),
        offset: u64,
        size: usize,
    ) -> Vec<Listed> {
        let mut bytes = Vec::new();
        let mut out = DirPlusBuffer::new(&mut bytes, size, false);
        self.fs.readdirplus(&ROOT, dir.0, dir.1, offset, &mut out).expect("READDIRPLUS");
        parse(&bytes, true)
    }

    /// The whole directory, `size` bytes at a time, from `offset` on.
    pub(super) fn list_from(
        &self,
        dir: (NodeId, Handle),
        mut offset: u64,
        size: usize,
    ) -> Vec<Listed> {
        let mut all = Vec::new();
        loop {
            let names = self.readdir(dir, offset, size);
            let Some(last) = names.last() else { return all };
            offset = last.offset;
            all.extend(names);
        }
    }
}
