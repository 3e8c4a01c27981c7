use proptest::prelude::*;

use super::*;

#[test]
fn nothing_covered_is_all_zero() {
    assert_eq!(Stamp::NOT_COVERED.encode(), [0; STAMP_LEN]);
}

#[test]
fn slots_come_first_then_words_little_endian() {
    let stamp = Stamp {
        entry: Snapshot { slot: 0x0102_0304, word: 0x1112_1314_1516_1718 },
        data: Snapshot { slot: 9, word: 10 },
        ..Stamp::NOT_COVERED
    };
    let bytes = stamp.encode();
    assert_eq!(bytes[..4], [4, 3, 2, 1]);
    assert_eq!(bytes[16..24], [0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]);
    assert_eq!((bytes[12], bytes[40]), (9, 10));
}

proptest! {
    #[test]
    fn any_stamp_survives_the_wire(raw in any::<[(u32, u64); 4]>()) {
        let [entry, perm, attr, data] = raw.map(|(slot, word)| Snapshot { slot, word });
        let stamp = Stamp { entry, perm, attr, data };
        prop_assert_eq!(Stamp::decode(&stamp.encode()), stamp);
    }
}
