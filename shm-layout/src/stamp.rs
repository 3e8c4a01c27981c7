//! What travels with a reply.

use crate::{NOT_COVERED, WORD_LEN};

/// Slots of a stamp.
pub const STAMP_SLOTS: usize = 4;

/// Bytes of a stamp on the wire.
pub const STAMP_LEN: usize = STAMP_SLOTS * (size_of::<u32>() + WORD_LEN);

const WORDS_OFFSET: usize = STAMP_SLOTS * size_of::<u32>();

/// The places of a stamp, in their order on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StampSlot {
    /// What the name means, "nothing" included.
    Entry = 0,
    /// Type, mode, owner, ACLs, flags.
    Perm = 1,
    /// Every attribute but atime, xattrs, symlink target, directory listing.
    Attr = 2,
    /// File contents.
    Data = 3,
}

/// A slot and its word at the moment of an observation: a copy made after that moment is current for as long as the
/// slot's word is *equal* to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// Index of the slot in the table, or [`NOT_COVERED`].
    pub slot: u32,
    /// The word. Zero when not covered.
    pub word: u64,
}

impl Snapshot {
    /// Vouches for nothing: what comes with it must not be cached.
    pub const NOT_COVERED: Self = Self { slot: NOT_COVERED, word: 0 };

    /// Whether it vouches for anything.
    #[must_use]
    pub const fn covers(self) -> bool {
        self.slot != NOT_COVERED
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Self::NOT_COVERED
    }
}

/// Four snapshots, as a reply carries them: 48 bytes, little-endian.
///
/// ```text
/// byte  0  u32 × 4  slots: entry, perm, attr, data
///      16  u64 × 4  words, in the same order
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp {
    /// The name.
    pub entry: Snapshot,
    /// What a path walk needs.
    pub perm: Snapshot,
    /// Attributes.
    pub attr: Snapshot,
    /// Contents.
    pub data: Snapshot,
}

impl Stamp {
    /// Vouches for nothing.
    pub const NOT_COVERED: Self = Self {
        entry: Snapshot::NOT_COVERED,
        perm: Snapshot::NOT_COVERED,
        attr: Snapshot::NOT_COVERED,
        data: Snapshot::NOT_COVERED,
    };

    /// The snapshots in their order on the wire.
    #[must_use]
    pub const fn snapshots(&self) -> [Snapshot; STAMP_SLOTS] {
        [self.entry, self.perm, self.attr, self.data]
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; STAMP_LEN] {
        let mut bytes = [0; STAMP_LEN];
        let (slots, words) = bytes.split_at_mut(WORDS_OFFSET);
        let places = slots.chunks_exact_mut(size_of::<u32>()).zip(words.chunks_exact_mut(WORD_LEN));
        for ((slot, word), snapshot) in places.zip(self.snapshots()) {
            slot.copy_from_slice(&snapshot.slot.to_le_bytes());
            word.copy_from_slice(&snapshot.word.to_le_bytes());
        }
        bytes
    }

    /// A stamp from its bytes. Slot numbers are as the sender wrote them: check them against the table's size.
    #[must_use]
    pub fn decode(bytes: &[u8; STAMP_LEN]) -> Self {
        let (slots, words) = bytes.split_at(WORDS_OFFSET);
        let mut snapshots = [Snapshot::NOT_COVERED; STAMP_SLOTS];
        let places = slots.chunks_exact(size_of::<u32>()).zip(words.chunks_exact(WORD_LEN));
        for (snapshot, (slot, word)) in snapshots.iter_mut().zip(places) {
            let fold = |word: u64, &byte: &u8| word << 8 | u64::from(byte);
            snapshot.slot = slot.iter().rev().fold(0, fold) as u32;
            snapshot.word = word.iter().rev().fold(0, fold);
        }
        let [entry, perm, attr, data] = snapshots;
        Self { entry, perm, attr, data }
    }
}

#[cfg(test)]
#[path = "stamp_tests.rs"]
mod tests;
