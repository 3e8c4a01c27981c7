//! READDIR and READDIRPLUS.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use fuse::{FileSystem, NodeId, errno};

use super::on_every_share;
use super::share::{ROOT, Share, assert_errno};
use super::wire::Listed;

on_every_share! {
    small_directories, many_names_in_small_portions, any_offset_resumes, rewinding_looks_again,
    entries_come_with_inodes, what_does_not_fit_costs_nothing, names_vanish_meanwhile, many_open_streams,
    two_readers_of_one_stream, removed_directories,
}

fn names(listed: &[Listed]) -> Vec<&str> {
    let mut names: Vec<_> = listed.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn fill(share: &Share, count: usize) {
    for number in 0..count {
        share.host_file(&format!("file-{number}-{}", "x".repeat(number % 50)), "");
    }
}

fn small_directories(share: &Share) {
    let path = share.host_file("file", "");
    fs::create_dir(share.path("dir")).unwrap();
    symlink("file", share.path("link")).unwrap();
    let root = (NodeId::ROOT, share.opendir(NodeId::ROOT));
    let listed = share.readdir(root, 0, 4096);
    assert_eq!(names(&listed), [".", "..", "dir", "file", "link"]);
    let find = |name: &str| listed.iter().find(|entry| entry.name == name).unwrap();
    assert_eq!(find("file").ino, fs::metadata(path).unwrap().ino());
    assert_eq!(find("file").kind, u32::from(libc::DT_REG));
    assert_eq!(find("dir").kind, u32::from(libc::DT_DIR));
    assert_eq!(find("link").kind, u32::from(libc::DT_LNK));
    assert_eq!(share.readdir(root, listed.last().unwrap().offset, 4096), []);
    assert_errno(
        share.fs.readdir(
            &ROOT,
            share.node("file"),
            root.1,
            0,
            &mut fuse::dirs::DirBuffer::new(&mut Vec::new(), 100),
        ),
        errno::EBADF,
    );
}

fn many_names_in_small_portions(share: &Share) {
    fill(share, 3000);
    let root = (NodeId::ROOT, share.opendir(NodeId::ROOT));
    for size in [300, 4096, 1 << 20] {
        let listed = share.list_from(root, 0, size);
        assert_eq!(listed.len(), 3002);
        assert_eq!(names(&listed).iter().collect::<HashSet<_>>().len(), 3002);
    }
}

fn any_offset_resumes(share: &Share) {
    fill(share, 500);
    let root = (NodeId::ROOT, share.opendir(NodeId::ROOT));
    let all = share.list_from(root, 0, 4096);
    for start in [400, 3, 250, 0, 501, 100] {
        assert_eq!(share.list_from(root, all[start].offset, 1000), all[start + 1..]);
    }
    // In the middle of what was fetched, but not where it stopped.
    let some = share.readdir(root, 0, 2000);
    let middle = some[some.len() / 2].offset;
    assert_eq!(share.readdir(root, middle, 100)[0], all[some.len() / 2 + 1]);
}

fn rewinding_looks_again(share: &Share) {
    fill(share, 10);
    let root = (NodeId::ROOT, share.opendir(NodeId::ROOT));
    // Fetched, but there was no room for any.
    assert!(share.readdir(root, 0, 10).is_empty());
    share.host_file("early", "");
    assert!(names(&share.readdir(root, 0, 1 << 16)).contains(&"early"));
    assert!(!share.readdir(root, 0, 300).is_empty());
    share.host_file("new", "");
    assert!(names(&share.readdir(root, 0, 1 << 16)).contains(&"new"));
    let end = share.list_from(root, 0, 1 << 16).last().unwrap().offset;
    assert_eq!(share.readdir(root, end, 4096), []);
    fs::remove_file(share.path("new")).unwrap();
    assert!(!names(&share.readdir(root, 0, 1 << 16)).contains(&"new"));
}

fn entries_come_with_inodes(share: &Share) {
    share.host_file("file", "");
    fs::create_dir(share.path("dir")).unwrap();
    let file = share.node("file");
    let root = (NodeId::ROOT, share.opendir(NodeId::ROOT));
    let listed = share.readdirplus(root, 0, 4096);
    assert_eq!(names(&listed), [".", "..", "dir", "file"]);
    let find = |name: &str| listed.iter().find(|entry| entry.name == name).unwrap();
    assert_eq!((find(".").nodeid, find("..").nodeid), (0, 0));
    assert_eq!(find("file").nodeid, file.0);
    assert_eq!(find("file").mode & libc::S_IFMT, libc::S_IFREG);
    assert_eq!(find("dir").mode & libc::S_IFMT, libc::S_IFDIR);
    // The listing counted a second lookup.
    share.fs.forget(file, 1);
    assert!(share.attr(file).is_ok());
    share.fs.forget(file, 1);
    assert_errno(share.attr(file), errno::EBADF);
    share.fs.forget(NodeId(find("dir").nodeid), 1);
    assert_eq!(share.fs.inodes.len(), 0);
}

fn what_does_not_fit_costs_nothing(share: &Share) {
    fill(share, 200);
    let root = (NodeId::ROOT, share.opendir(NodeId::ROOT));
    let mut offset = 0;
    let mut nodes = HashSet::new();
    loop {
        let listed = share.readdirplus(root, offset, 1000);
        let Some(last) = listed.last() else { break };
        offset = last.offset;
        nodes.extend(listed.iter().map(|entry| entry.nodeid).filter(|node| *node != 0));
        assert_eq!(share.fs.inodes.len(), nodes.len());
    }
    assert_eq!(nodes.len(), 200);
    for node in nodes {
        share.fs.forget(NodeId(node), 1);
    }
    assert_eq!(share.fs.inodes.len(), 0);
}

fn names_vanish_meanwhile(share: &Share) {
    fill(share, 100);
    let root = (NodeId::ROOT, share.opendir(NodeId::ROOT));
    let first = share.readdirplus(root, 0, 1000);
    for name in fs::read_dir(share.path("")).unwrap() {
        fs::remove_file(name.unwrap().path()).unwrap();
    }
    let rest = share.readdirplus(root, first.last().unwrap().offset, 1 << 20);
    assert!(rest.iter().all(|entry| entry.nodeid == 0 && entry.name.starts_with('.')));
}

/// More than may keep what they fetched.
fn many_open_streams(share: &Share) {
    fill(share, 40);
    let streams: Vec<_> = (0..200).map(|_| share.opendir(NodeId::ROOT)).collect();
    let mut offsets = vec![0; streams.len()];
    let mut counts = vec![0; streams.len()];
    for _ in 0..60 {
        for ((stream, offset), count) in streams.iter().zip(&mut offsets).zip(&mut counts) {
            let listed = share.readdir((NodeId::ROOT, *stream), *offset, 120);
            *offset = listed.last().map_or(*offset, |entry| entry.offset);
            *count += listed.len();
        }
    }
    assert!(counts.iter().all(|count| *count == 42), "{counts:?}");
}

fn two_readers_of_one_stream(share: &Share) {
    fill(share, 300);
    let root = (NodeId::ROOT, share.opendir(NodeId::ROOT));
    let whole = share.list_from(root, 0, 4096);
    std::thread::scope(|scope| {
        for size in [200, 500, 3000] {
            let whole = &whole;
            scope.spawn(move || assert_eq!(&share.list_from(root, 0, size), whole));
        }
    });
}

fn removed_directories(share: &Share) {
    fs::create_dir(share.path("dir")).unwrap();
    let node = share.node("dir");
    let dir = share.opendir(node);
    fs::remove_dir(share.path("dir")).unwrap();
    let mut bytes = Vec::new();
    let mut out = fuse::dirs::DirBuffer::new(&mut bytes, 4096);
    assert_errno(share.fs.readdir(&ROOT, node, dir, 0, &mut out), errno::ENOENT);
}
