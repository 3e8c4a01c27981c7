//! What has nothing to do with each other is checked apart.
//!
//! A history has an order if each of its objects has one (Herlihy and Wing: linearizability is local). Directories are such
//! objects where nothing is renamed or linked from one to the other; else those belong together between which there was
//! such an operation. Ambiguities of the one part multiply with those of no other.

use crate::log::Entry;
use crate::op::DIRECTORIES;

/// The positions of the entries, part by part.
pub(crate) fn parts(entries: &[Entry]) -> Vec<Vec<usize>> {
    let mut leaders: Vec<u8> = (0..DIRECTORIES).collect();
    for operation in entries.iter().map(|entry| entry.operation) {
        if operation.call.has_second_path() {
            let [one, other] =
                [operation.path, operation.to].map(|path| leaders[usize::from(path.directory)]);
            leaders.iter_mut().filter(|leader| **leader == other).for_each(|leader| *leader = one);
        }
    }
    let mut parts = vec![Vec::new(); usize::from(DIRECTORIES)];
    for (number, entry) in entries.iter().enumerate() {
        let leader = leaders[usize::from(entry.operation.path.directory)];
        parts[usize::from(leader)].push(number);
    }
    parts.retain(|part| !part.is_empty());
    parts
}
