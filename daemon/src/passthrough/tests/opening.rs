//! Files that are opened when they are first read, not when the guest says that it opens them.

use std::fs;

use fuse::{FileSystem, NodeId};

use super::on_every_share;
use super::share::{ROOT, Share};

on_every_share! { reading_opens, names_come_and_go, what_cannot_wait, all_read_at_once }

/// Whether opening is put off for now. Only what is remembered by handle can be: that shows what the daemon may read.
fn is_put_off(share: &Share, file: (NodeId, fuse::Handle)) -> bool {
    share.fs.handles.get(file.0, file.1).unwrap().is_put_off()
}

fn opened(share: &Share, name: &str, flags: i32) -> (NodeId, fuse::Handle) {
    let node = share.node(name);
    (node, share.open(node, flags).unwrap())
}

fn reading_opens(share: &Share) {
    share.host_file("file", "data");
    let file = opened(share, "file", libc::O_RDONLY);
    assert_eq!(is_put_off(share, file), share.has_handles());
    assert_eq!(share.fs.getattr(&ROOT, file.0, Some(file.1)).unwrap().attr.size, 4);
    assert_eq!(is_put_off(share, file), share.has_handles(), "attributes need no open file");
    assert_eq!(share.read(file, 0, 100).unwrap(), b"data");
    assert!(!is_put_off(share, file));
    share.release(file).unwrap();
    let unread = opened(share, "file", libc::O_RDONLY);
    share.release(unread).unwrap();
    assert_eq!(share.fs.handles.len(), 0);
}

/// Whatever the host does with the names and the cache with its descriptors, it stays the file that was opened.
fn names_come_and_go(share: &Share) {
    share.host_file("file", "old");
    let file = opened(share, "file", libc::O_RDONLY);
    share.host_file("new", "new");
    fs::rename(share.path("new"), share.path("file")).unwrap();
    share.fs.descriptors.shed();
    assert_eq!(share.read(file, 0, 100).unwrap(), b"old");
    let new = opened(share, "file", libc::O_RDONLY);
    share.unlink(NodeId::ROOT, "file").unwrap();
    share.fs.descriptors.shed();
    assert_eq!(share.read(new, 0, 100).unwrap(), b"new");
}

fn what_cannot_wait(share: &Share) {
    share.host_file("file", "data");
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_WRONLY | libc::O_TRUNC] {
        assert!(!is_put_off(share, opened(share, "file", flags)), "{flags:#o}");
    }
    assert_eq!(fs::read(share.path("file")).unwrap(), b"", "cut at once");
    let file = opened(share, "file", libc::O_RDONLY);
    share.write(file, 0, b"no").unwrap_err();
}

fn all_read_at_once(share: &Share) {
    share.host_file("file", "data");
    let file = opened(share, "file", libc::O_RDONLY);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(share.read(file, 0, 100).unwrap(), b"data"));
        }
    });
}
