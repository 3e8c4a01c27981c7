//! What the fuzzer runs, and `cargo test` in small.

use std::io;

use zerocopy::FromBytes;

use crate::abi::{InHeader, InitFlags, Opcode, OutHeader};
use crate::mapper::{Mapper, Mapping};
use crate::server::{ProtocolError, Server, ServerConfig};

use super::{MemoryReply, MemoryRequest, NullFs, init, init_short, valid};

/// The first byte of an input chooses the circumstances.
mod circumstance {
    /// A guest with all of 7.45 has mounted.
    pub(super) const MOUNTED: u8 = 1 << 0;
    /// Else: a guest with 7.27 has mounted.
    pub(super) const MOUNTED_OLD: u8 = 1 << 1;
    /// There is a DAX window.
    pub(super) const WINDOW: u8 = 1 << 2;
    /// Each request's header tells the right length, so that the fuzzer need not find it.
    pub(super) const RIGHT_LENGTH: u8 = 1 << 3;
    /// The file system fails.
    pub(super) const FAILING: u8 = 1 << 4;
}

/// Largest reply area: larger ones take longer and show nothing new.
const MAX_ROOM: usize = 8192;

struct AnyWindow;

impl Mapper for AnyWindow {
    fn map(&self, _: &Mapping<'_>) -> io::Result<()> {
        Ok(())
    }

    fn unmap(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Serves the requests in `input`, and checks what must hold of every answer.
///
/// An input is a byte of circumstances, then requests: two bytes for the reply area's size (modulo 8 KiB), two for the
/// request's length, and the request (all there is, where that is shorter).
///
/// # Panics
/// Where the server breaks the protocol.
pub fn run(input: &[u8]) {
    let Some((&how, mut rest)) = input.split_first() else { return };
    let config = ServerConfig { max_write: 1 << 14, max_background: 64, map_alignment: Some(21) };
    let server = Server::new(NullFs::new(), config);
    if how & circumstance::MOUNTED != 0 {
        serve(&server, how, &init(45, InitFlags::all()), 80);
    } else if how & circumstance::MOUNTED_OLD != 0 {
        serve(&server, how, &init_short(27, InitFlags::empty()), 80);
    }
    if how & circumstance::FAILING != 0 {
        server.file_system().fail(crate::errno::ENOENT);
    }
    while let Some((&[c0, c1, l0, l1], tail)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([l0, l1])).min(tail.len());
        let (request, tail) = tail.split_at(len);
        serve(&server, how, request, usize::from(u16::from_le_bytes([c0, c1])) % MAX_ROOM);
        rest = tail;
    }
    assert_eq!(server.counters().snapshot().in_flight, 0);
}

/// An input with one request.
#[must_use]
pub fn input(how: u8, capacity: u16, request: &[u8]) -> Vec<u8> {
    let len = (request.len() as u16).to_le_bytes();
    [&[how][..], &capacity.to_le_bytes(), &len, request].concat()
}

/// Inputs to begin with: each well-formed request, with a reply area as large as Linux's.
pub fn seeds() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let how = circumstance::MOUNTED | circumstance::WINDOW | circumstance::RIGHT_LENGTH;
    Opcode::ALL.iter().map(move |&opcode| (opcode.name(), input(how, 4096, &valid(opcode))))
}

fn serve(server: &Server<NullFs>, how: u8, request: &[u8], capacity: usize) {
    let mut request = request.to_vec();
    if how & circumstance::RIGHT_LENGTH != 0 && request.len() >= 4 {
        let len = request.len() as u32;
        request[..4].copy_from_slice(&len.to_le_bytes());
    }
    let mut reply = MemoryReply::new(capacity);
    let window = (how & circumstance::WINDOW != 0).then_some(&AnyWindow as &dyn Mapper);
    let outcome = server.handle(&mut MemoryRequest::new(&request), &mut reply, window);
    check(&request, &reply, &outcome);
}

/// What holds of every answer.
///
/// # Panics
/// Where it does not.
pub fn check(request: &[u8], reply: &MemoryReply, outcome: &Result<usize, ProtocolError>) {
    let area = reply.bytes();
    let header = InHeader::read_from_prefix(request).map(|(header, _)| header).ok();
    let opcode = header.and_then(|header| Opcode::from_number(header.opcode));
    let one_way = opcode.is_some_and(Opcode::is_one_way);
    match outcome {
        Ok(0) => {
            assert!(one_way, "no reply to {opcode:?}");
            assert!(area.iter().all(|&byte| byte == 0xAA), "a reply to {opcode:?}");
        }
        Ok(len) => {
            assert!(!one_way && *len <= area.len());
            let (out, _) = OutHeader::read_from_prefix(area).expect("a whole header");
            assert_eq!(out.len as usize, *len);
            assert_eq!(Some(out.unique), header.map(|header| header.unique));
            assert!((-511..=0).contains(&out.error), "errno {}", out.error);
            assert!(out.error == 0 || *len == size_of::<OutHeader>());
        }
        Err(ProtocolError::ShortHeader(len)) => assert!(header.is_none() && *len == request.len()),
        Err(ProtocolError::NoReplyRoom { .. }) => assert!(area.len() < size_of::<OutHeader>()),
        Err(ProtocolError::Memory(error)) => panic!("these buffers have no holes: {error}"),
    }
}
