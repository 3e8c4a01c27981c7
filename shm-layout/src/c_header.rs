//! The C header for guests, written from the constants of this crate.

use core::fmt::{Result, Write};

use crate::header::OFFSETS;
use crate::negotiation as n;
use crate::{
    ABI_VERSION, BUSY_BITS, BUSY_MASK, BUSY_STUCK, FIRST_SLOT, GENERATION_ONE, HEADER_LEN, MAGIC,
    MAX_WORDS, MIN_WORDS, NOT_COVERED, STAMP_LEN, STAMP_SLOTS, StampSlot, TABLE_ID_LEN,
};

/// Every number that the header defines, by name.
pub const CONSTANTS: [(&str, u64); 27] = [
    ("SAMEPAGE_MAGIC", MAGIC),
    ("SAMEPAGE_ABI_VERSION", ABI_VERSION as u64),
    ("SAMEPAGE_HEADER_LEN", HEADER_LEN as u64),
    ("SAMEPAGE_TABLE_ID_LEN", TABLE_ID_LEN as u64),
    ("SAMEPAGE_FIRST_SLOT", FIRST_SLOT as u64),
    ("SAMEPAGE_NOT_COVERED", NOT_COVERED as u64),
    ("SAMEPAGE_MIN_WORDS", MIN_WORDS),
    ("SAMEPAGE_MAX_WORDS", MAX_WORDS),
    ("SAMEPAGE_BUSY_BITS", BUSY_BITS as u64),
    ("SAMEPAGE_BUSY_MASK", BUSY_MASK),
    ("SAMEPAGE_BUSY_STUCK", BUSY_STUCK),
    ("SAMEPAGE_GENERATION_ONE", GENERATION_ONE),
    ("SAMEPAGE_STAMP_LEN", STAMP_LEN as u64),
    ("SAMEPAGE_STAMP_SLOTS", STAMP_SLOTS as u64),
    ("SAMEPAGE_ENTRY", StampSlot::Entry as u64),
    ("SAMEPAGE_PERM", StampSlot::Perm as u64),
    ("SAMEPAGE_ATTR", StampSlot::Attr as u64),
    ("SAMEPAGE_DATA", StampSlot::Data as u64),
    ("SAMEPAGE_INIT_FLAG_BIT", n::INIT_FLAG_BIT as u64),
    ("SAMEPAGE_INIT_FLAGS2", n::INIT_FLAGS2 as u64),
    ("SAMEPAGE_OPENDIR_LATER", n::OPENDIR_LATER as u64),
    ("SAMEPAGE_RELEASE_IDLE", n::RELEASE_IDLE as u64),
    ("SAMEPAGE_INIT_IN_TABLE_ID_OFFSET", n::INIT_IN_TABLE_ID_OFFSET as u64),
    ("SAMEPAGE_SHMID", n::SHMID as u64),
    ("SAMEPAGE_IVSHMEM_VENDOR", n::IVSHMEM_VENDOR as u64),
    ("SAMEPAGE_IVSHMEM_DEVICE", n::IVSHMEM_DEVICE as u64),
    ("SAMEPAGE_IVSHMEM_BAR", n::IVSHMEM_BAR as u64),
];

/// Offsets that a C compiler must find for the members of `struct samepage_header` and `struct samepage_stamp`.
pub const MEMBERS: [(&str, &str, usize); 7] = [
    ("samepage_header", OFFSETS[0].0, OFFSETS[0].1),
    ("samepage_header", OFFSETS[1].0, OFFSETS[1].1),
    ("samepage_header", OFFSETS[2].0, OFFSETS[2].1),
    ("samepage_header", OFFSETS[3].0, OFFSETS[3].1),
    ("samepage_header", OFFSETS[4].0, OFFSETS[4].1),
    ("samepage_stamp", "slots", 0),
    ("samepage_stamp", "words", STAMP_SLOTS * size_of::<u32>()),
];

const TOP: &str = "\
/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 OR MIT */
/*
 * The Samepage version table, as a guest sees it: read-only shared memory.
 *
 * Generated from the crate shm-layout by `cargo run -p shm-layout --example c_header`; do not edit.
 * docs/protocol.md says what the numbers mean and in which order to use them.
 */
#ifndef SAMEPAGE_TABLE_H
#define SAMEPAGE_TABLE_H

#ifdef __KERNEL__
#include <linux/types.h>
#define SAMEPAGE_U32 __le32
#define SAMEPAGE_U64 __le64
#define SAMEPAGE_U8 __u8
#else
#include <stdint.h>
#define SAMEPAGE_U32 uint32_t
#define SAMEPAGE_U64 uint64_t
#define SAMEPAGE_U8 uint8_t
#endif
";

const STRUCTS: &str = "
/* The table's first bytes; the rest of its SAMEPAGE_HEADER_LEN bytes is zero. */
struct samepage_header {
\tSAMEPAGE_U64 magic;
\tSAMEPAGE_U32 abi_version;
\tSAMEPAGE_U32 header_len;
\tSAMEPAGE_U8 table_id[SAMEPAGE_TABLE_ID_LEN];
\tSAMEPAGE_U64 words; /* of the whole table, header included; a power of two */
};

/*
 * What follows a reply: slot numbers, then the words they had before the reply was read.
 * Slot SAMEPAGE_NOT_COVERED: do not cache. Check each number against the table's size before use.
 */
struct samepage_stamp {
\tSAMEPAGE_U32 slots[SAMEPAGE_STAMP_SLOTS];
\tSAMEPAGE_U64 words[SAMEPAGE_STAMP_SLOTS];
};

#endif /* SAMEPAGE_TABLE_H */
";

/// Writes the whole header.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut impl Write) -> Result {
    out.write_str(TOP)?;
    out.write_char('\n')?;
    for (name, value) in CONSTANTS {
        match value {
            0..=4096 => writeln!(out, "#define {name} {value}")?,
            _ if value > u64::from(u32::MAX) => writeln!(out, "#define {name} {value:#x}ULL")?,
            _ => writeln!(out, "#define {name} {value:#x}")?,
        }
    }
    out.write_str(STRUCTS)
}
