//! What a million inodes cost. Run it alone, for it measures the process:
//!
//! ```sh
//! cargo test --release -p samepaged --lib -- --ignored --nocapture a_million_inodes
//! ```

use std::fs;

use fuse::{FileSystem, NodeId};

use super::share::{Share, config};
use crate::passthrough::InodeFileHandles;

const DIRECTORIES: usize = 1000;
const FILES: usize = 1000;

#[test]
#[ignore = "takes a minute; measures the whole process"]
fn a_million_inodes() {
    let share = Share::on_disk(&config(InodeFileHandles::Mandatory));
    for directory in 0..DIRECTORIES {
        let path = share.path(&format!("{directory}"));
        fs::create_dir(&path).unwrap();
        for file in 0..FILES {
            fs::File::create(path.join(format!("{file}"))).unwrap();
        }
    }
    let (memory, descriptors) = (resident(), open_descriptors());
    for directory in 0..DIRECTORIES {
        let node = share.node(&format!("{directory}"));
        for file in 0..FILES {
            let entry = share.lookup(node, &format!("{file}")).unwrap();
            // Needs a descriptor, which is cached.
            share.attr(NodeId(entry.nodeid)).unwrap();
        }
    }
    let inodes = share.fs.inodes.len();
    let held = open_descriptors() - descriptors;
    let bytes = (resident() - memory) / inodes as u64;
    println!("{inodes} inodes: {held} descriptors more, {bytes} bytes of memory an inode");
    assert_eq!(inodes, DIRECTORIES * FILES + DIRECTORIES);
    assert!(held < 10_000);
    assert!(bytes < 400);
    share.fs.destroy();
    let left = open_descriptors() - descriptors;
    println!(
        "after DESTROY: {left} descriptors more, {} KiB more",
        resident().saturating_sub(memory) / 1024
    );
    assert_eq!(left, 0);
}

/// Bytes of memory in use.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}
