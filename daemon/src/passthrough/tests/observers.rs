//! An observer that cannot tell whether anybody has to learn of an inode's changes.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fuse::abi::Stamp;
use fuse::filesystem::Make;
use fuse::{FileSystem, NodeId, errno};

use super::share::{ROOT, assert_errno, config, cstring};
use crate::passthrough::{
    Expected, HostInode, InodeFileHandles, NameStamps, Observer, Passthrough, Pin, Tag,
};

#[derive(Debug, Default)]
struct Moody {
    refuses: AtomicBool,
}

impl Moody {
    fn answer<T>(&self, value: T) -> io::Result<T> {
        // Relaxed: one thread.
        if self.refuses.load(Ordering::Relaxed) { Err(errno::error(errno::EIO)) } else { Ok(value) }
    }
}

impl Observer for Moody {
    fn meet(&self, _: &HostInode<'_>) -> io::Result<(Tag, Option<Pin>)> {
        self.answer((Tag::default(), None))
    }

    fn expect(&self, _: Tag, _: (i32, &[u8]), _: BorrowedFd<'_>) -> Option<Expected> {
        None
    }

    fn reads_directories(&self, _: Tag) -> bool {
        true
    }

    fn settle(&self, expected: Tag, _: &HostInode<'_>) -> io::Result<Tag> {
        self.answer(expected)
    }

    fn meet_again(&self, _: Tag, _: BorrowedFd<'_>) {}

    fn tag(&self, _: &HostInode<'_>) -> io::Result<Tag> {
        self.answer(Tag::default())
    }

    fn names(&self, _: Tag, _: &mut dyn Iterator<Item = &[u8]>) -> NameStamps {
        NameStamps::new()
    }

    fn attributes(&self, _: Tag) -> Option<Stamp> {
        None
    }
}

#[test]
fn what_the_observer_refuses_the_guest_is_not_told_of() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["known", "unknown"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    for mode in [InodeFileHandles::Never, InodeFileHandles::Prefer] {
        let moody = Arc::new(Moody::default());
        let config =
            crate::passthrough::Config { shared_dir: dir.path().to_owned(), ..config(mode) };
        let observer = Arc::clone(&moody) as Arc<dyn Observer>;
        let served = Passthrough::observed(config.clone(), Some(observer)).unwrap();
        let look_up = |name| served.lookup(&ROOT, NodeId::ROOT, &cstring(name));
        look_up("known").unwrap();
        // Relaxed: one thread.
        moody.refuses.store(true, Ordering::Relaxed);
        assert!(look_up("known").is_ok(), "that was found out before");
        assert_errno(look_up("unknown"), errno::EIO);
        assert_errno(served.meaning(NodeId::ROOT, c"unknown"), errno::EIO);
        let made = served.mkdir(&ROOT, NodeId::ROOT, c"made", &Make::default());
        assert_errno(made, errno::EIO);
        assert_eq!(served.inodes.len(), 1, "what was known before");
        assert!(Passthrough::observed(config, Some(moody)).is_err());
        fs::remove_dir(dir.path().join("made")).unwrap();
    }
}
