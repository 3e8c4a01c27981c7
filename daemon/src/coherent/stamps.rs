//! Snapshots of slots, as replies carry them.

use coherence::watch::Coverage;
use coherence::{InodeSlots, Published, SlotIndex, Snapshot};
use fuse::abi::Stamp;

/// Puts `snapshot` into a place of `stamp`.
pub(super) fn set(stamp: &mut Stamp, place: usize, snapshot: Snapshot) {
    stamp.slots[place] = snapshot.slot;
    stamp.words[place] = snapshot.word;
}

/// A stamp with one place filled in.
pub(super) fn only(place: usize, snapshot: Snapshot) -> Stamp {
    let mut stamp = Stamp::default();
    set(&mut stamp, place, snapshot);
    stamp
}

/// A stamp for an inode, from snapshots of perm, attr and data.
pub(super) fn of_inode([perm, attr, data]: [Snapshot; 3]) -> Stamp {
    let mut stamp = Stamp::default();
    set(&mut stamp, Stamp::PERM, perm);
    set(&mut stamp, Stamp::ATTR, attr);
    set(&mut stamp, Stamp::DATA, data);
    stamp
}

/// The stamp of an inode whose attributes were read inside a change of it.
pub(super) fn published(
    slots: Option<InodeSlots>,
    published: &Published,
    cover: Option<&Coverage<'_>>,
) -> Stamp {
    let Some(slots) = slots else { return Stamp::default() };
    of_inode([slots.perm, slots.attr, slots.data].map(|slot| after(published, slot, cover)))
}

/// What vouches for a slot after a change. `cover` is of before the change: one that has been lost and is back does not
/// stand.
pub(super) fn after(
    published: &Published,
    slot: SlotIndex,
    cover: Option<&Coverage<'_>>,
) -> Snapshot {
    match cover {
        Some(cover) if cover.stands() => published.snapshot(slot),
        _ => Snapshot::NOT_COVERED,
    }
}

/// Puts the places of an inode from `other` into `stamp`, the name's left alone.
pub(super) fn replace_inode(stamp: &mut Stamp, other: &Stamp) {
    for place in [Stamp::PERM, Stamp::ATTR, Stamp::DATA] {
        copy(stamp, other, place);
    }
}

/// Puts one place from `other` into `stamp`.
pub(super) fn copy(stamp: &mut Stamp, other: &Stamp, place: usize) {
    stamp.slots[place] = other.slots[place];
    stamp.words[place] = other.words[place];
}
