//! Listings, byte for byte.

use std::time::Duration;

use zerocopy::IntoBytes;

use super::{DirBuffer, DirEntry, DirPlusBuffer};
use crate::abi::{Attr, Stamp};
use crate::filesystem::Entry;

fn entry(name: &[u8]) -> DirEntry<'_> {
    DirEntry { ino: 7, offset: 3, kind: 8, name }
}

#[test]
fn an_entry_is_header_name_and_padding() {
    let mut bytes = vec![0xFF; 3];
    let mut listing = DirBuffer::new(&mut bytes, 4096);
    assert!(listing.push(&entry(b"abc")));
    assert_eq!(listing.room(), 4096 - 32);
    let expected = [
        &7u64.to_le_bytes()[..],
        &3u64.to_le_bytes(),
        &3u32.to_le_bytes(),
        &8u32.to_le_bytes(),
        b"abc\0\0\0\0\0",
    ]
    .concat();
    assert_eq!(bytes, expected);
}

#[test]
fn padding_counts_when_an_entry_is_fitted_in() {
    let mut bytes = Vec::new();
    let mut listing = DirBuffer::new(&mut bytes, 31);
    assert!(!listing.push(&entry(b"abc")), "32 bytes with padding");
    assert!(bytes.is_empty());
    assert!(DirBuffer::new(&mut bytes, 32).push(&entry(b"abc")));
    assert!(DirBuffer::new(&mut bytes, 32).push(&entry(b"abcdefgh")));
    assert!(!DirBuffer::new(&mut bytes, 32).push(&entry(b"abcdefghi")));
}

#[test]
fn a_plus_entry_has_its_attributes_before_it() {
    let mut bytes = Vec::new();
    let mut listing = DirPlusBuffer::new(&mut bytes, 160, false);
    let attributes = Entry {
        nodeid: 9,
        generation: 0,
        attr: Attr { ino: 7, ..Attr::default() },
        entry_ttl: Duration::from_millis(1500),
        attr_ttl: Duration::from_secs(2),
        stamp: Stamp::default(),
    };
    assert!(listing.fits(8));
    assert!(!listing.fits(9));
    assert!(listing.push(&entry(b"abc"), &attributes));
    assert_eq!(listing.room(), 0);
    assert!(!listing.push(&entry(b"d"), &attributes));
    assert_eq!(bytes.len(), 160);
    assert_eq!(bytes[..8], 9u64.to_le_bytes());
    assert_eq!(bytes[16..24], 1u64.to_le_bytes());
    assert_eq!(bytes[24..32], 2u64.to_le_bytes());
    assert_eq!(bytes[32..36], 500_000_000u32.to_le_bytes());
    assert_eq!(bytes[40..48], 7u64.to_le_bytes(), "attributes follow the lifetimes");
    assert_eq!(bytes[128..136], 7u64.to_le_bytes(), "the name's inode number");
    assert_eq!(&bytes[152..], b"abc\0\0\0\0\0");
}

#[test]
fn a_stamp_stands_between_attributes_and_name() {
    let mut bytes = Vec::new();
    let mut listing = DirPlusBuffer::new(&mut bytes, 160 + 48, true);
    let stamp = Stamp { slots: [600, 601, 602, 603], words: [1 << 16, 2 << 16, 3 << 16, 4 << 16] };
    let attributes = Entry { nodeid: 9, stamp, ..Entry::negative(Duration::ZERO) };
    assert!(listing.fits(8) && !listing.fits(9));
    assert!(listing.push(&entry(b"abc"), &attributes));
    assert_eq!(bytes.len(), 208);
    assert_eq!(&bytes[128..176], stamp.as_bytes());
    assert_eq!(bytes[176..184], 7u64.to_le_bytes(), "the name's inode number");
}

#[test]
fn an_absurd_name_length_does_not_fit() {
    let mut bytes = Vec::new();
    assert!(!DirPlusBuffer::new(&mut bytes, usize::MAX - 1, true).fits(usize::MAX));
}
