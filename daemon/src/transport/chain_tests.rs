use proptest::prelude::*;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::transport::testing::{
    BUFFERS, END, INDIRECT, NEXT, SEAM, WRITE, memory, readable, writable, write_chain,
    write_descriptor,
};

const TABLE: Table = Table { address: GuestAddress(0), len: 16 };

/// Where tests put indirect tables.
const INDIRECT_TABLE: u64 = 0xa000;

fn lengths(descriptors: &[Descriptor]) -> Result<(usize, usize), ChainError> {
    let memory = memory();
    write_chain(&memory, 0, 0, descriptors);
    walk(&memory, TABLE, 0).map(|chain| (chain.readable.len(), chain.writable.len()))
}

fn indirect(len: u32, flags: u16) -> Descriptor {
    Descriptor::new(INDIRECT_TABLE, len, INDIRECT | flags, 0)
}

#[test]
fn readable_then_writable() {
    let chain = [readable(BUFFERS, 40), readable(BUFFERS + 100, 8), writable(BUFFERS + 200, 16)];
    assert_eq!(lengths(&chain), Ok((48, 16)));
    assert_eq!(lengths(&[readable(BUFFERS, 1)]), Ok((1, 0)));
    assert_eq!(lengths(&[writable(BUFFERS, 1)]), Ok((0, 1)));
}

#[test]
fn the_bytes_are_the_buffers_in_their_order() {
    let memory = memory();
    memory.write_slice(b"world", GuestAddress(BUFFERS)).unwrap();
    memory.write_slice(b"hello ", GuestAddress(BUFFERS + 64)).unwrap();
    write_chain(&memory, 0, 3, &[readable(BUFFERS + 64, 6), readable(BUFFERS, 5)]);
    let chain = walk(&memory, TABLE, 3).unwrap();
    let mut bytes = [0; 11];
    chain.readable.copy_out(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello world");
}

#[test]
fn a_buffer_may_cross_from_one_region_into_the_next() {
    let memory = memory();
    memory.write_slice(b"across", GuestAddress(SEAM - 3)).unwrap();
    write_chain(&memory, 0, 0, &[readable(SEAM - 3, 6)]);
    let chain = walk(&memory, TABLE, 0).unwrap();
    let mut bytes = [0; 6];
    chain.readable.copy_out(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"across");
}

#[test]
fn writable_before_readable_is_refused() {
    let chain = [writable(BUFFERS, 16), readable(BUFFERS + 16, 40)];
    assert_eq!(lengths(&chain), Err(ChainError::ReadableAfterWritable));
}

#[test]
fn buffers_outside_memory_are_refused() {
    let outside = |address, len| Err(ChainError::BufferOutsideMemory { address, len });
    assert_eq!(lengths(&[readable(END, 1)]), outside(END, 1));
    assert_eq!(lengths(&[readable(END - 1, 2)]), outside(END - 1, 2));
    assert_eq!(lengths(&[writable(u64::MAX, 2)]), outside(u64::MAX, 2));
    assert_eq!(lengths(&[writable(u64::MAX - 3, u32::MAX)]), outside(u64::MAX - 3, u32::MAX));
}

#[test]
fn empty_buffers_are_refused() {
    let empty = Err(ChainError::EmptyBuffer { address: BUFFERS });
    assert_eq!(lengths(&[readable(BUFFERS, 0)]), empty);
    assert_eq!(lengths(&[readable(BUFFERS, 40), writable(BUFFERS, 0)]), empty);
}

#[test]
fn heads_and_links_beyond_the_table_are_refused() {
    let memory = memory();
    let missing = |index| Err(ChainError::NoSuchDescriptor { index, len: 16 });
    assert_eq!(walk(&memory, TABLE, 16).map(drop), missing(16));
    assert_eq!(walk(&memory, TABLE, u16::MAX).map(drop), missing(65_535));
    write_descriptor(&memory, 0, 0, Descriptor::new(BUFFERS, 8, NEXT, 999));
    assert_eq!(walk(&memory, TABLE, 0).map(drop), missing(999));
}

#[test]
fn a_table_outside_memory_is_refused() {
    let memory = memory();
    for address in [END, u64::MAX - 8] {
        let table = Table { address: GuestAddress(address), len: 16 };
        assert_eq!(
            walk(&memory, table, 1).map(drop),
            Err(ChainError::TableOutsideMemory { address }),
        );
    }
}

#[test]
fn loops_are_refused() {
    let memory = memory();
    write_descriptor(&memory, 0, 0, Descriptor::new(BUFFERS, 8, NEXT, 0));
    assert_eq!(walk(&memory, TABLE, 0).map(drop), Err(ChainError::TooLong { limit: 16 }));
    write_descriptor(&memory, 0, 1, Descriptor::new(BUFFERS, 8, NEXT, 2));
    write_descriptor(&memory, 0, 2, Descriptor::new(BUFFERS, 8, NEXT, 1));
    assert_eq!(walk(&memory, TABLE, 1).map(drop), Err(ChainError::TooLong { limit: 16 }));
}

#[test]
fn a_whole_table_is_no_loop() {
    let chain: Vec<_> = (0..16).map(|index| readable(BUFFERS + index * 8, 8)).collect();
    assert_eq!(lengths(&chain), Ok((128, 0)));
}

#[test]
fn more_than_four_gibibytes_are_refused() {
    let memory = memory();
    let long = u32::MAX - 4; // Not in memory either, but the sum is looked at first.
    write_chain(&memory, 0, 0, &[readable(BUFFERS, 8), readable(BUFFERS, long)]);
    assert_eq!(walk(&memory, TABLE, 0).map(drop), Err(ChainError::TooManyBytes));
}

#[test]
fn an_indirect_table_may_be_longer_than_the_ring() {
    let memory = memory();
    let buffers: Vec<_> = (0..100).map(|index| readable(BUFFERS + index * 8, 8)).collect();
    write_chain(&memory, INDIRECT_TABLE, 0, &buffers);
    write_descriptor(&memory, 0, 5, indirect(1600, WRITE)); // WRITE means nothing here.
    let chain = walk(&memory, TABLE, 5).unwrap();
    assert_eq!((chain.readable.len(), chain.writable.len()), (800, 0));
}

#[test]
fn an_indirect_table_may_end_a_chain() {
    let memory = memory();
    write_chain(&memory, INDIRECT_TABLE, 0, &[readable(BUFFERS, 8), writable(BUFFERS, 32)]);
    write_chain(&memory, 0, 0, &[readable(BUFFERS, 40), indirect(32, 0)]);
    let chain = walk(&memory, TABLE, 0).unwrap();
    assert_eq!((chain.readable.len(), chain.writable.len()), (48, 32));
}

#[test]
fn indirect_tables_must_be_tables() {
    for len in [0, 8, 17, 31, u32::MAX] {
        assert_eq!(lengths(&[indirect(len, 0)]), Err(ChainError::IndirectTable { len }));
    }
}

#[test]
fn indirect_tables_must_not_nest_or_go_on() {
    let memory = memory();
    write_descriptor(&memory, INDIRECT_TABLE, 0, indirect(16, 0));
    write_descriptor(&memory, 0, 0, indirect(16, 0));
    assert_eq!(walk(&memory, TABLE, 0).map(drop), Err(ChainError::MisplacedIndirect));
    write_descriptor(&memory, 0, 0, indirect(16, NEXT));
    assert_eq!(walk(&memory, TABLE, 0).map(drop), Err(ChainError::MisplacedIndirect));
}

#[test]
fn an_endless_indirect_table_ends_at_the_limit() {
    let memory = memory();
    // A table as long as its length field can say, whose entries lead round in a ring of two.
    write_descriptor(&memory, INDIRECT_TABLE, 0, Descriptor::new(BUFFERS, 8, NEXT, 1));
    write_descriptor(&memory, INDIRECT_TABLE, 1, Descriptor::new(BUFFERS, 8, NEXT, 0));
    write_descriptor(&memory, 0, 0, indirect(u32::MAX - 15, 0));
    let limit = MAX_DESCRIPTORS;
    assert_eq!(walk(&memory, TABLE, 0).map(drop), Err(ChainError::TooLong { limit }));
}

proptest! {
    /// Whatever the table holds, the walk ends, and what it accepts lies in memory and adds up.
    #[test]
    fn any_table(entries in proptest::collection::vec(any::<(u64, u32, u16, u16)>(), 16), head: u16) {
        let memory = memory();
        for (index, (address, len, flags, next)) in (0..).zip(&entries) {
            // Mostly within reach, so that walks get somewhere.
            let descriptor = Descriptor::new(address % (2 * END), len % 0x2_0000, flags & 7, next % 20);
            write_descriptor(&memory, 0, index, descriptor);
        }
        if let Ok(chain) = walk(&memory, TABLE, head % 20) {
            let mut bytes = vec![0; chain.readable.len()];
            chain.readable.copy_out(0, &mut bytes).unwrap();
            chain.writable.copy_in(0, &vec![0; chain.writable.len()]).unwrap();
        }
    }
}
