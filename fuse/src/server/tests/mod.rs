//! The server against an in-memory guest and file system.

mod data;
mod expected;
mod faulty;
mod init;
mod locks;
mod malformed;
mod one_way;
mod properties;
mod replies;
mod session;
mod stamps;

use std::io;
use std::sync::Mutex;

use zerocopy::FromBytes;

use super::{ProtocolError, Server, ServerConfig};
use crate::abi::{InitFlags, OutHeader};
use crate::io::DataSource;
use crate::mapper::{Mapper, Mapping};
use crate::testing::{MemoryReply, MemoryRequest, NullFs, fuzz, init as init_request};

/// Room for a reply where a test does not say otherwise.
const ROOM: usize = 8192;
const HEADER: usize = size_of::<OutHeader>();
const MAX_WRITE: u32 = 1 << 20;

/// A reply: errno, or 0 and the body.
type Reply = (i32, Vec<u8>);

/// A guest, the server it talks to, and the DAX window between them.
struct Guest {
    server: Server<NullFs>,
    window: Option<Window>,
}

/// Records what is mapped and unmapped.
#[derive(Default)]
struct Window(Mutex<Vec<String>>);

impl Guest {
    /// Has not sent INIT.
    fn booting(fs: NullFs) -> Self {
        let config =
            ServerConfig { max_write: MAX_WRITE, max_background: 64, map_alignment: Some(21) };
        Self { server: Server::new(fs, config), window: Some(Window::default()) }
    }

    /// Has mounted with all that 7.45 has.
    fn mounted() -> Self {
        Self::mounted_with(45, InitFlags::all() - InitFlags::VERSION_TABLE)
    }

    /// Has mounted with a minor version and capabilities.
    fn mounted_with(minor: u32, flags: InitFlags) -> Self {
        let guest = Self::booting(NullFs::recording());
        assert_eq!(guest.send(&init_request(minor, flags)).0, 0);
        assert_eq!(guest.calls().len(), 1, "init");
        guest
    }

    fn try_send(
        &self,
        request: &[u8],
        capacity: usize,
    ) -> (Result<usize, ProtocolError>, MemoryReply) {
        let mut reply = MemoryReply::new(capacity);
        let window = self.window.as_ref().map(|window| window as &dyn Mapper);
        let outcome = self.server.handle(&mut MemoryRequest::new(request), &mut reply, window);
        fuzz::check(request, &reply, &outcome);
        (outcome, reply)
    }

    /// Sends a request that gets a reply into this much room.
    fn send_into(&self, request: &[u8], capacity: usize) -> Reply {
        let (outcome, reply) = self.try_send(request, capacity);
        let len = outcome.expect("a reply");
        let (header, _) = OutHeader::read_from_prefix(reply.bytes()).expect("a header");
        (-header.error, reply.bytes()[HEADER..len].to_vec())
    }

    fn send(&self, request: &[u8]) -> Reply {
        self.send_into(request, ROOM)
    }

    /// The errno of the reply, 0 for none.
    fn errno(&self, request: &[u8]) -> i32 {
        self.send(request).0
    }

    /// What the file system was asked since the last time.
    fn calls(&self) -> Vec<String> {
        self.server.file_system().take_calls()
    }
}

impl Mapper for Window {
    fn map(&self, mapping: &Mapping<'_>) -> io::Result<()> {
        let Mapping { file_offset, window_offset, len, writable, .. } = mapping;
        let line = format!("map {file_offset:#x} at {window_offset:#x} len {len:#x} {writable}");
        self.0.lock().expect("no test panics in here").push(line);
        Ok(())
    }

    fn unmap(&self, window_offset: u64, len: u64) -> io::Result<()> {
        let line = format!("unmap {window_offset:#x} len {len:#x}");
        self.0.lock().expect("no test panics in here").push(line);
        Ok(())
    }
}

/// A guest whose descriptors point nowhere, but tell a length.
struct Hole(usize);

impl DataSource for Hole {
    fn remaining(&self) -> usize {
        self.0
    }

    fn write_to(
        &mut self,
        _: std::os::fd::BorrowedFd<'_>,
        _: usize,
        _: u64,
        _: crate::io::WriteMode,
    ) -> io::Result<usize> {
        Err(crate::errno::error(crate::errno::EFAULT))
    }

    fn read_exact(&mut self, _: &mut [u8]) -> io::Result<()> {
        Err(crate::errno::error(crate::errno::EFAULT))
    }
}
