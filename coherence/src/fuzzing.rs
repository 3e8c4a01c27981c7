//! What fuzzers run of this crate, and its tests in small: bytes that come from files and from the kernel.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};
use shm_layout::{Header, Snapshot};

use crate::View;
use crate::watch::records;

/// Reads `input` as what fanotify tells.
///
/// # Panics
/// Where something is told of that is not in the input.
pub fn watch_events(input: &[u8]) {
    for event in records::events(input) {
        let Ok(event) = event else { return };
        let Ok(subject) = event.subject() else { continue };
        for (_, name) in [subject.name, subject.old_name, subject.new_name].into_iter().flatten() {
            assert!(name.len() <= input.len() && !name.contains(&0));
        }
    }
}

/// Reads `input` as a table's header: the words, and as a file that a guest's program opens.
///
/// # Panics
/// Where a header is taken that would be written differently, or a word outside the table is believed.
pub fn table_header(input: &[u8]) {
    let word = |index: usize| {
        let bytes = input.chunks(8).nth(index).unwrap_or_default();
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let Ok(header) = Header::decode(word) else { return };
    assert!(crate::valid_words(header.words));
    assert!(header.encode().iter().enumerate().all(|(index, &written)| written == word(index)));
    open(input, &header);
}

/// A file that begins with `input` and may be shorter than its header says.
fn open(input: &[u8], header: &Header) {
    let Ok(file) = memfd_create("table", MemfdFlags::CLOEXEC).map(File::from) else { return };
    let words = input.len() as u64 % 3;
    let len = header.table_bytes().min(1 << 16).saturating_sub(words);
    if file.set_len(len).is_err() || file.write_all_at(input, 0).is_err() {
        return;
    }
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let Ok(view) = View::open(&path) else { return };
    assert!(view.header().table_bytes() <= file.metadata().map_or(0, |meta| meta.len()));
    for slot in [0, 1, 511, 512, u32::MAX, header.words as u32] {
        // Whether it is current is all the same: it may be asked.
        let _ = view.is_current(Snapshot { slot, word: u64::from(slot) });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_events(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            watch_events(&input);
        }

        #[test]
        fn any_words_are_a_header_or_an_error(
            words in proptest::sample::select(vec![0, 4096, 8192, 1 << 27]),
            rest in proptest::collection::vec(any::<u8>(), 0..3),
        ) {
            let header = Header { id: [7; 16], words };
            let words = header.encode();
            let mut input: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            input.extend(rest);
            table_header(&input);
        }
    }
}
