//! The guest's kernel: FUSE requests over a [`FrontEnd`].

use fuse::abi::{
    EntryOut, InHeader, InitFlags, InitOut, Opcode, OpenIn, OpenOut, OutHeader, ReadIn, WriteIn,
    WriteOut,
};
use fuse::testing::{RequestBuilder, init};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::front_end::FrontEnd;

/// The queue that these requests go over.
pub(crate) const QUEUE: usize = 1;

const ROOT: u64 = 1;

/// What a request came back with: an errno, or the reply's body.
pub(crate) type Answer = Result<Vec<u8>, i32>;

/// A kernel that has mounted.
pub(crate) struct Guest {
    pub(crate) front_end: FrontEnd,
}

impl Guest {
    /// Mounts.
    pub(crate) fn mount(front_end: FrontEnd) -> Self {
        let mut guest = Self { front_end };
        let reply: InitOut = guest.init();
        assert_eq!(reply.major, 7);
        guest
    }

    /// The same kernel, on another VMM; the one before it has gone.
    pub(crate) fn moves_to(self, front_end: FrontEnd) -> Self {
        drop(self.front_end);
        Self { front_end }
    }

    /// INIT.
    pub(crate) fn init(&mut self) -> InitOut {
        body(&self.request(&init(45, InitFlags::empty()), size_of::<InitOut>()).unwrap())
    }

    /// LOOKUP in the root; the node.
    pub(crate) fn lookup(&mut self, name: &str) -> Result<u64, i32> {
        self.lookup_over(QUEUE, name)
    }

    /// LOOKUP over another queue.
    pub(crate) fn lookup_over(&mut self, queue: usize, name: &str) -> Result<u64, i32> {
        let request = RequestBuilder::new(Opcode::Lookup).node(ROOT).name(name.as_bytes()).build();
        let room = size_of::<OutHeader>() + size_of::<EntryOut>();
        let reply = self.front_end.ask(queue, &request, room);
        unpack(&request, &reply).map(|reply| body::<EntryOut>(&reply).nodeid)
    }

    /// OPEN; the handle.
    pub(crate) fn open(&mut self, node: u64, flags: u32) -> Result<u64, i32> {
        let open = OpenIn { flags, open_flags: 0 };
        let request = RequestBuilder::new(Opcode::Open).node(node).with(&open);
        let reply = self.request(&request.build(), size_of::<OpenOut>())?;
        Ok(body::<OpenOut>(&reply).fh)
    }

    /// READ.
    pub(crate) fn read(&mut self, node: u64, fh: u64, offset: u64, size: u32) -> Answer {
        let read = ReadIn { fh, offset, size, ..ReadIn::default() };
        let request = RequestBuilder::new(Opcode::Read).node(node).with(&read).build();
        self.request(&request, size as usize)
    }

    /// WRITE; how many bytes were written.
    pub(crate) fn write(
        &mut self,
        node: u64,
        fh: u64,
        offset: u64,
        data: &[u8],
    ) -> Result<u32, i32> {
        let write = WriteIn { fh, offset, size: data.len() as u32, ..WriteIn::default() };
        let request = RequestBuilder::new(Opcode::Write).node(node).with(&write).bytes(data);
        let reply = self.request(&request.build(), size_of::<WriteOut>())?;
        Ok(body::<WriteOut>(&reply).size)
    }

    /// Sends a request with room for a body of `room` bytes.
    pub(crate) fn request(&mut self, request: &[u8], room: usize) -> Answer {
        let room = size_of::<OutHeader>() + room;
        let reply = if request.len() + room > 8192 {
            self.front_end.ask_scattered(QUEUE, request, room)
        } else {
            self.front_end.ask(QUEUE, request, room)
        };
        unpack(request, &reply)
    }
}

/// Checks the reply's header.
pub(crate) fn unpack(request: &[u8], reply: &[u8]) -> Answer {
    let asked = InHeader::read_from_prefix(request).unwrap().0;
    let (header, body) = OutHeader::read_from_prefix(reply).unwrap();
    assert_eq!(header.unique, asked.unique);
    assert_eq!(header.len as usize, reply.len());
    match header.error {
        0 => Ok(body.to_vec()),
        error => Err(-error),
    }
}

fn body<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> T {
    T::read_from_prefix(bytes).unwrap().0
}
