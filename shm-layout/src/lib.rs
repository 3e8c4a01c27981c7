//! The bytes of the version table.
//!
//! A table is a shared region of 64-bit little-endian words. The first [`FIRST_SLOT`] words (4 KiB) are the
//! [`Header`]; every other word is a *slot*: a [`SlotWord`] that counts the changes of whatever hashes to it. Daemons
//! move the words, guests only read them and compare.
//!
//! This crate says what each byte means and nothing else: no mapping, no system call, no protocol (that is the
//! `coherence` crate's), and no `std`. `include/samepage_table.h` says the same to C and is generated from here
//! (`cargo run -p shm-layout --example c_header`); a test compiles it and compares every number.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod c_header;
mod header;
pub mod negotiation;
mod slot;
mod stamp;
pub mod word;

pub use header::{
    ABI_VERSION, HEADER_LEN, Header, HeaderError, MAGIC, TABLE_ID_LEN, TableId, valid_words,
};
pub use slot::{BUSY_BITS, BUSY_MASK, BUSY_STUCK, GENERATION_ONE, SlotWord};
pub use stamp::{STAMP_LEN, STAMP_SLOTS, Snapshot, Stamp, StampSlot};
pub use word::SharedU64;

/// Bytes of a word.
pub const WORD_LEN: usize = size_of::<u64>();

/// The first word that is a slot; the words below it are the header.
pub const FIRST_SLOT: u32 = (HEADER_LEN / WORD_LEN) as u32;

/// The slot number that means "not covered: do not cache". It lies inside the header, so no slot can have it.
pub const NOT_COVERED: u32 = 0;

/// The smallest table, in words (header included): 32 KiB.
pub const MIN_WORDS: u64 = 1 << 12;

/// The largest table, in words (header included): 512 MiB.
pub const MAX_WORDS: u64 = 1 << 26;

const _: () = {
    assert!(cfg!(target_endian = "little"), "the table's words are little-endian");
    assert!(size_of::<SharedU64>() == WORD_LEN || cfg!(loom));
    assert!(align_of::<SharedU64>() == WORD_LEN || cfg!(loom));
    assert!(FIRST_SLOT as usize * WORD_LEN == HEADER_LEN);
    assert!(NOT_COVERED < FIRST_SLOT);
    assert!(MIN_WORDS.is_power_of_two() && MAX_WORDS.is_power_of_two());
    assert!(MAX_WORDS <= u32::MAX as u64, "a slot number fits in 32 bits");
};
