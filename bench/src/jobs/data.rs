//! READ and WRITE of one file that is in the host's page cache.

use anyhow::Result;
use fuse::abi::{Opcode, OutHeader, ReadIn, WriteIn, WriteOut};

use super::single::Single;
use super::{BIG, BIG_SIZE, Lanes};
use crate::session::Session;
use crate::wire::Request;

const O_RDWR: u32 = 2;

/// Where the next piece is.
struct Offsets {
    size: u64,
    random: bool,
    state: u64,
}

impl Offsets {
    fn new(size: u32, random: bool, lane: usize) -> Self {
        let state = 0x9E37_79B9_7F4A_7C15 ^ ((lane as u64 + 1) << 17);
        Self { size: size.into(), random, state: if random { state } else { lane as u64 } }
    }

    fn next(&mut self) -> u64 {
        let pieces = BIG_SIZE / self.size;
        if self.random {
            // xorshift64: the same for every daemon.
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
        } else {
            self.state = self.state.wrapping_add(1);
        }
        self.state % pieces * self.size
    }
}

pub(super) fn read(session: &mut Session, size: u32, random: bool) -> Result<Lanes> {
    let node = session.node(BIG)?;
    let fh = session.open(node, O_RDWR)?;
    Ok(Box::new(move |lane| {
        let mut offsets = Offsets::new(size, random, lane);
        let make = move |request: &mut Request| {
            let read = ReadIn { fh, offset: offsets.next(), size, ..ReadIn::default() };
            request.begin(Opcode::Read, node, 0).with(&read).end();
            size_of::<OutHeader>() + size as usize
        };
        Single::of_data(Box::new(make))
    }))
}

pub(super) fn write(session: &mut Session, size: u32, random: bool) -> Result<Lanes> {
    let node = session.node(BIG)?;
    let fh = session.open(node, O_RDWR)?;
    Ok(Box::new(move |lane| {
        let mut offsets = Offsets::new(size, random, lane);
        let data = vec![0x5A; size as usize];
        let make = move |request: &mut Request| {
            let write = WriteIn { fh, offset: offsets.next(), size, ..WriteIn::default() };
            request.begin(Opcode::Write, node, 0).with(&write).data(&data);
            size_of::<OutHeader>() + size_of::<WriteOut>()
        };
        Single::boxed(Box::new(make), 0)
    }))
}
