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

#define SAMEPAGE_MAGIC 0x45474150454d4153ULL
#define SAMEPAGE_ABI_VERSION 1
#define SAMEPAGE_HEADER_LEN 4096
#define SAMEPAGE_TABLE_ID_LEN 16
#define SAMEPAGE_FIRST_SLOT 512
#define SAMEPAGE_NOT_COVERED 0
#define SAMEPAGE_MIN_WORDS 4096
#define SAMEPAGE_MAX_WORDS 0x4000000
#define SAMEPAGE_BUSY_BITS 16
#define SAMEPAGE_BUSY_MASK 0xffff
#define SAMEPAGE_BUSY_STUCK 0xffff
#define SAMEPAGE_GENERATION_ONE 0x10000
#define SAMEPAGE_STAMP_LEN 48
#define SAMEPAGE_STAMP_SLOTS 4
#define SAMEPAGE_ENTRY 0
#define SAMEPAGE_PERM 1
#define SAMEPAGE_ATTR 2
#define SAMEPAGE_DATA 3
#define SAMEPAGE_INIT_FLAG_BIT 62
#define SAMEPAGE_INIT_FLAGS2 0x40000000
#define SAMEPAGE_OPENDIR_LATER 0x80000000
#define SAMEPAGE_RELEASE_IDLE 0x80000000
#define SAMEPAGE_INIT_IN_TABLE_ID_OFFSET 48
#define SAMEPAGE_SHMID 1
#define SAMEPAGE_IVSHMEM_VENDOR 0x1af4
#define SAMEPAGE_IVSHMEM_DEVICE 0x1110
#define SAMEPAGE_IVSHMEM_BAR 2

/* The table's first bytes; the rest of its SAMEPAGE_HEADER_LEN bytes is zero. */
struct samepage_header {
	SAMEPAGE_U64 magic;
	SAMEPAGE_U32 abi_version;
	SAMEPAGE_U32 header_len;
	SAMEPAGE_U8 table_id[SAMEPAGE_TABLE_ID_LEN];
	SAMEPAGE_U64 words; /* of the whole table, header included; a power of two */
};

/*
 * What follows a reply: slot numbers, then the words they had before the reply was read.
 * Slot SAMEPAGE_NOT_COVERED: do not cache. Check each number against the table's size before use.
 */
struct samepage_stamp {
	SAMEPAGE_U32 slots[SAMEPAGE_STAMP_SLOTS];
	SAMEPAGE_U64 words[SAMEPAGE_STAMP_SLOTS];
};

#endif /* SAMEPAGE_TABLE_H */
