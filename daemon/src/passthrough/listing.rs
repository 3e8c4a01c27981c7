//! READDIR and READDIRPLUS.

use std::ffi::CStr;
use std::io;
use std::iter;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use fuse::abi::Stamp;
use fuse::dirs::{DirBuffer, DirEntry, DirPlusBuffer};
use fuse::filesystem::Entry;
use fuse::{Handle, NodeId, errno};

use super::Passthrough;
use super::dir_stream::{Following, HostEntry};
use super::inode::Inode;
use super::lookup::Found;
use super::observer::{NameStamps, Tag};

impl Passthrough {
    pub(super) fn do_readdir(
        &self,
        node: NodeId,
        handle: Handle,
        offset: u64,
        out: &mut DirBuffer<'_>,
    ) -> io::Result<()> {
        let directory = self.handles.get(node, handle)?;
        let mut stream = directory.listing()?.lock();
        stream.read(directory.as_fd(), offset, |entry, _| out.push(&guest_entry(entry)))
    }

    pub(super) fn do_readdirplus(
        &self,
        node: NodeId,
        handle: Handle,
        offset: u64,
        out: &mut DirPlusBuffer<'_>,
    ) -> io::Result<()> {
        let inode = self.inode(node)?;
        let directory = self.handles.get(node, handle)?;
        let mut stream = directory.listing()?.lock();
        // What vouches for the names that come next, the next one last.
        let mut ahead = NameStamps::new();
        stream.read(directory.as_fd(), offset, |entry, following| {
            let name = ahead.pop().or_else(|| {
                ahead = self.observe_names(inode.tag, entry, following);
                ahead.pop()
            });
            self.deliver(&inode, entry, name.as_ref(), out)
        })
    }

    /// What vouches for `entry` and some of those that follow it, the last one first.
    fn observe_names(
        &self,
        dir: Tag,
        entry: &HostEntry<'_>,
        following: Following<'_>,
    ) -> NameStamps {
        let Some(observer) = self.observer.as_deref() else { return NameStamps::new() };
        let names = iter::once(entry.name).chain(following.map(|entry| entry.name));
        let mut stamps = observer.names(dir, &mut names.map(CStr::to_bytes));
        stamps.reverse();
        stamps
    }

    /// Adds `entry`, unless it does not fit: then it costs no lookup either.
    fn deliver(
        &self,
        parent: &Arc<Inode>,
        entry: &HostEntry<'_>,
        name: Option<&Stamp>,
        out: &mut DirPlusBuffer<'_>,
    ) -> bool {
        if !out.fits(entry.name.to_bytes().len()) {
            return false;
        }
        let unknown = || Entry::negative(Duration::ZERO);
        let attributes = if entry.is_dot() {
            unknown()
        } else {
            match self.lookup_below(parent, entry.name, Found::Listed) {
                Ok(attributes) => match name {
                    Some(name) => Entry { stamp: with_name(attributes.stamp, name), ..attributes },
                    None => attributes,
                },
                // It went while we were reading.
                Err(error) if error.raw_os_error() == Some(errno::ENOENT) => return true,
                // The guest learns why when it asks.
                Err(_) => unknown(),
            }
        };
        let pushed = out.push(&guest_entry(entry), &attributes);
        if !pushed {
            self.inodes.forget(NodeId(attributes.nodeid), 1);
        }
        pushed
    }
}

/// What vouches for an inode, and for the name that led to it.
fn with_name(mut stamp: Stamp, name: &Stamp) -> Stamp {
    (stamp.slots[Stamp::ENTRY], stamp.words[Stamp::ENTRY]) =
        (name.slots[Stamp::ENTRY], name.words[Stamp::ENTRY]);
    stamp
}

fn guest_entry<'a>(entry: &HostEntry<'a>) -> DirEntry<'a> {
    DirEntry {
        ino: entry.ino,
        offset: entry.offset,
        kind: entry.kind.into(),
        name: entry.name.to_bytes(),
    }
}
