//! Puts requests together.

use zerocopy::{Immutable, IntoBytes};

use crate::abi::{InHeader, Opcode};

/// A request under construction. What is not said otherwise: `unique` 0x1122334455667788, node 7, caller 1000:100.
#[derive(Clone, Debug)]
pub struct RequestBuilder {
    header: InHeader,
    body: Vec<u8>,
}

impl RequestBuilder {
    /// A request of this kind.
    #[must_use]
    pub fn new(opcode: Opcode) -> Self {
        Self::numbered(opcode as u32)
    }

    /// A request of any kind, known or not.
    #[must_use]
    pub fn numbered(opcode: u32) -> Self {
        let header = InHeader {
            opcode,
            unique: 0x1122_3344_5566_7788,
            nodeid: 7,
            uid: 1000,
            gid: 100,
            pid: 4321,
            ..InHeader::default()
        };
        Self { header, body: Vec::new() }
    }

    /// About another node.
    #[must_use]
    pub fn node(mut self, nodeid: u64) -> Self {
        self.header.nodeid = nodeid;
        self
    }

    /// From another caller.
    #[must_use]
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        (self.header.uid, self.header.gid) = (uid, gid);
        self
    }

    /// Appends a structure.
    #[must_use]
    pub fn with<T: IntoBytes + Immutable>(self, value: &T) -> Self {
        self.bytes(value.as_bytes())
    }

    /// Appends a string and its NUL.
    #[must_use]
    pub fn name(self, name: &[u8]) -> Self {
        self.bytes(name).bytes(b"\0")
    }

    /// Appends bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.body.extend_from_slice(bytes);
        self
    }

    /// Appends extensions, and counts them in `total_extlen`.
    #[must_use]
    pub fn extensions(mut self, bytes: &[u8]) -> Self {
        self.header.total_extlen += (bytes.len() / 8) as u16;
        self.bytes(bytes)
    }

    /// The whole request.
    #[must_use]
    pub fn build(self) -> Vec<u8> {
        let len = size_of::<InHeader>() + self.body.len();
        let header = InHeader { len: len as u32, ..self.header };
        [header.as_bytes(), &self.body].concat()
    }
}
