//! What inodes cost that a guest knows: it lists a large tree with READDIRPLUS and forgets nothing.

use anyhow::{Result, ensure};
use samepage_tests::framework::daemon::usage::Usage;
use serde::Serialize;

use crate::jobs::{Fixture, TREE_WIDTH};
use crate::options::Options;
use crate::session::Session;
use crate::subject::{Size, Subject};

/// What a daemon holds after that.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Inodes {
    /// How many a guest has looked up, directories included.
    pub(crate) count: usize,
    /// Resident memory in KiB before and after.
    pub(crate) resident_kib: [u64; 2],
    /// Open descriptors afterwards.
    pub(crate) descriptors: usize,
}

impl Inodes {
    /// Bytes that each inode has added.
    pub(crate) fn bytes_each(&self) -> f64 {
        let [before, after] = self.resident_kib;
        after.saturating_sub(before) as f64 * 1024.0 / self.count as f64
    }
}

/// Makes a tree of about `count` inodes and lets a guest of each daemon know all of it.
///
/// # Errors
/// No room for the tree; a daemon does not list it, or not all of it.
pub(crate) fn measure(options: &Options, fixture: &Fixture, count: usize) -> Result<[Inodes; 2]> {
    let directories = count.div_ceil(TREE_WIDTH);
    fixture.tree(directories)?;
    let size = Size { guests: 1, queues: 1, depth: 1 };
    let one = |number: usize, command| -> Result<Inodes> {
        let mut subject = Subject::start(command, fixture, number, size, &options.cache)?;
        let (session, pid) = subject.first()?;
        let before = Usage::of(pid)?;
        let count = list(session, directories)?;
        let after = Usage::of(pid)?;
        let resident_kib = [before.resident_kib, after.resident_kib];
        Ok(Inodes { count, resident_kib, descriptors: after.descriptors })
    };
    let both = [one(0, &options.daemon)?, one(1, &options.against)?];
    ensure!(both[0].count == both[1].count, "the daemons list different trees");
    Ok(both)
}

/// Lets the first guest of each daemon know about `count` inodes, besides those that its jobs need.
///
/// # Errors
/// As for [`measure`].
pub(crate) fn introduce(
    fixture: &Fixture,
    subjects: [&mut Subject; 2],
    count: usize,
) -> Result<()> {
    let directories = count.div_ceil(TREE_WIDTH);
    fixture.tree(directories)?;
    for subject in subjects {
        list(subject.first()?.0, directories)?;
    }
    Ok(())
}

fn list(session: &mut Session, directories: usize) -> Result<usize> {
    let mut count = 0;
    for number in 0..directories {
        let node = session.node(&format!("tree/{number:04}"))?;
        // "." and ".." are not looked up, the directory is.
        count += session.list(node)? - 2 + 1;
    }
    Ok(count)
}
