use proptest::prelude::*;

use super::*;

const KEY: HashKey = *b"sixteen byte key";

fn placement(words: u64) -> Placement {
    Placement::new(KEY, words)
}

#[test]
fn an_inodes_slots_stand_side_by_side_in_one_cache_line() {
    let slots = placement(1 << 20).inode_slots(InodeKey(7));
    let perm = slots.perm.get();
    assert_eq!((slots.attr.get(), slots.data.get()), (perm + 1, perm + 2));
    assert_eq!(perm / 8, slots.data.get() / 8);
    assert_eq!(perm % BUCKET_SLOTS, 1);
}

#[test]
fn handle_and_inode_number_are_different_identities() {
    let placement = placement(1 << 20);
    let dev = 0x0102_0304_0506_0708_u64;
    let handle = Identity::Handle { fsid: [0, 0], kind: 0, handle: &dev.to_le_bytes() };
    assert_ne!(placement.inode(&handle), placement.inode(&Identity::Inode { dev, ino: 0 }));
}

#[test]
fn key_parent_and_name_all_count() {
    let of = |key: HashKey, parent, name: &[u8]| {
        Placement::new(key, 1 << 26).entry(InodeKey(parent), name)
    };
    let all = [of(KEY, 1, b"a"), of(KEY, 1, b"b"), of(KEY, 2, b"a"), of([0; 16], 1, b"a")];
    for (i, a) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|b| a != b), "{all:?}");
    }
}

/// docs/protocol.md, section 8, byte for byte: another daemon may be written from it.
#[test]
fn placement_is_what_the_protocol_page_says() {
    let words = 1_u64 << 16;
    let placement = placement(words);
    let sip = |parts: &[&[u8]]| SipHasher13::new_with_key(&KEY).hash(&parts.concat());
    let bucket = |h: u64| 128 + ((u128::from(h) * u128::from(words / 4 - 128)) >> 64) as u32;

    let (fsid, kind, handle) = ([-2, 3], 0x81, b"\x01\x02handle");
    let of_handle = sip(&[&[1], &(-2_i32).to_le_bytes(), &[3, 0, 0, 0], &[0x81, 0, 0, 0], handle]);
    assert_eq!(placement.inode(&Identity::Handle { fsid, kind, handle }), InodeKey(of_handle));
    let (dev, ino) = (0x0102_0304_0506, 77_u64);
    let of_number = sip(&[&[2], &u64::to_le_bytes(dev), &ino.to_le_bytes()]);
    assert_eq!(placement.inode(&Identity::Inode { dev, ino }), InodeKey(of_number));

    let InodeSlots { perm, attr, data } = placement.inode_slots(InodeKey(of_number));
    let first = 4 * bucket(sip(&[&[3], &of_number.to_le_bytes()]));
    assert_eq!([perm, attr, data].map(SlotIndex::get), [1, 2, 3].map(|n| first + n));
    let entry = placement.entry(InodeKey(of_number), b"name").get();
    assert_eq!(entry, 4 * bucket(sip(&[&[4], &of_number.to_le_bytes(), b"name"])));
}

proptest! {
    #[test]
    fn every_slot_lies_behind_the_header_and_inside_the_table(
        log in 12..27_u32, key in any::<HashKey>(), dev in any::<u64>(), ino in any::<u64>(),
        name in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let words = 1_u64 << log;
        let placement = Placement::new(key, words);
        let inode = placement.inode(&Identity::Inode { dev, ino });
        let InodeSlots { perm, attr, data } = placement.inode_slots(inode);
        let entry = placement.entry(inode, &name);
        for slot in [perm, attr, data, entry] {
            prop_assert!(slot.get() >= FIRST_SLOT && u64::from(slot.get()) < words);
        }
        prop_assert_eq!(entry.get() % BUCKET_SLOTS, 0);
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of a million")]
/// Pearson's statistic of `counts` against the uniform distribution, scaled to a standard normal deviate.
fn deviation(counts: &[u32]) -> f64 {
    let total: u64 = counts.iter().map(|&n| u64::from(n)).sum();
    let expected = total as f64 / counts.len() as f64;
    let squares = counts.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected);
    let freedom = (counts.len() - 1) as f64;
    (squares.sum::<f64>() - freedom) / (2.0 * freedom).sqrt()
}

/// A million identities as file systems make them: running inode numbers, running names. Chi-square over all buckets.
#[test]
fn a_million_identities_spread_evenly() {
    const MILLION: u64 = 1_000_000;
    let words = 1_u64 << 16;
    let placement = placement(words);
    let buckets = (words as u32 - FIRST_SLOT) / BUCKET_SLOTS;
    let (mut inodes, mut names) = (vec![0; buckets as usize], vec![0; buckets as usize]);
    let root = placement.inode(&Identity::Inode { dev: 1, ino: 1 });
    for ino in 0..MILLION {
        let inode = placement.inode(&Identity::Inode { dev: 64769, ino });
        let bucket = |slot: SlotIndex| ((slot.get() - FIRST_SLOT) / BUCKET_SLOTS) as usize;
        inodes[bucket(placement.inode_slots(inode).attr)] += 1;
        names[bucket(placement.entry(root, format!("file{ino}").as_bytes()))] += 1;
    }
    // Fixed key and identities: the same figure every time. Five sigmas would be one key in three million.
    for (what, counts) in [("inodes", inodes), ("names", names)] {
        let sigmas = deviation(&counts);
        assert!(sigmas.abs() < 5.0, "{what} are {sigmas:.1} sigmas from even");
    }
}
