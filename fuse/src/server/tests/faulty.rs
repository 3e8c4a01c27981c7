//! File systems that fail half-way, or claim more than they did: the guest still gets a sound reply.

use std::ffi::CStr;
use std::io::Result;

use crate::abi::{InitFlags, Opcode};
use crate::dirs::{DirBuffer, DirEntry};
use crate::errno;
use crate::filesystem::{
    CopyRange, FileSystem, Ioctl, IoctlReply, Locks, Mappings, Offer, Read, Write, Written,
    XattrReply, Xattrs,
};
use crate::ids::{Context, Handle, NodeId};
use crate::io::{DataSink, DataSource};
use crate::server::{Server, ServerConfig};
use crate::testing::{MemoryReply, MemoryRequest, RequestBuilder, valid};

use super::HEADER;
use super::expected::le;

/// Finds one name, then fails; says that it did more than it was asked; has longer answers than there is room for.
struct Faulty;

impl FileSystem for Faulty {
    fn init(&self, offer: &Offer) -> Result<InitFlags> {
        Ok(offer.flags - InitFlags::VERSION_TABLE)
    }

    fn readdir(
        &self,
        _: &Context,
        _: NodeId,
        _: Handle,
        offset: u64,
        out: &mut DirBuffer<'_>,
    ) -> Result<()> {
        assert!(offset > 0 || out.push(&DirEntry { ino: 1, offset: 1, kind: 8, name: b"one" }));
        Err(errno::error(errno::EIO))
    }

    fn read(
        &self,
        _: &Context,
        _: NodeId,
        _: Handle,
        read: &Read,
        sink: &mut dyn DataSink,
    ) -> Result<usize> {
        assert_eq!(sink.room(), read.size as usize);
        assert!(sink.put(&vec![1; sink.room() + 1]).is_err(), "more than there is room for");
        sink.put(b"four")?;
        Ok(1000)
    }

    fn write(
        &self,
        _: &Context,
        _: NodeId,
        _: Handle,
        _: &Write,
        _: &mut dyn DataSource,
    ) -> Result<Written> {
        Ok(1000.into())
    }

    fn copy_file_range(&self, _: &Context, _: &CopyRange) -> Result<u64> {
        Ok(u64::MAX)
    }

    fn ioctl(&self, _: &Context, _: NodeId, _: Handle, ioctl: &Ioctl<'_>) -> Result<IoctlReply> {
        Ok(IoctlReply { result: 0, output: vec![0; ioctl.out_size as usize + 1] })
    }

    fn readlink(&self, _: &Context, _: NodeId) -> Result<Vec<u8>> {
        Err(std::io::Error::other("no number"))
    }
}

impl Locks for Faulty {}

impl Mappings for Faulty {}

impl Xattrs for Faulty {
    fn getxattr(&self, _: &Context, _: NodeId, _: &CStr, size: u32) -> Result<XattrReply> {
        Ok(XattrReply::Value(vec![0; size as usize + 1]))
    }

    fn listxattr(&self, _: &Context, _: NodeId, _: u32) -> Result<XattrReply> {
        Ok(XattrReply::Size(5))
    }
}

/// Sends a request; returns errno and body.
fn send(server: &Server<Faulty>, request: &[u8]) -> (i32, Vec<u8>) {
    let mut reply = MemoryReply::new(8192);
    let len = server.handle(&mut MemoryRequest::new(request), &mut reply, None).expect("a reply");
    let error = i32::from_le_bytes([4, 5, 6, 7].map(|at| reply.bytes()[at]));
    (-error, reply.bytes()[HEADER..len].to_vec())
}

fn mounted() -> Server<Faulty> {
    let config = ServerConfig { max_write: 4096, max_background: 1, map_alignment: None };
    let server = Server::new(Faulty, config);
    assert_eq!(send(&server, &valid(Opcode::Init)).0, 0);
    server
}

#[test]
fn an_error_behind_names_waits_for_the_next_request() {
    let server = mounted();
    let readdir = |offset: u64| {
        let numbers = le![9u64, offset, 4096u32, 0u32, 0u64, 0u32, 0u32];
        send(&server, &RequestBuilder::new(Opcode::Readdir).bytes(&numbers).build())
    };
    let (error, names) = readdir(0);
    assert_eq!((error, names.len()), (0, 32));
    assert_eq!(readdir(1), (errno::EIO, vec![]));
}

#[test]
fn claims_are_cut_down_to_what_was_asked() {
    let server = mounted();
    assert_eq!(send(&server, &valid(Opcode::Read)), (0, b"four".to_vec()));
    assert_eq!(send(&server, &valid(Opcode::Write)), (0, le![5u32, 0u32]));
    assert_eq!(send(&server, &valid(Opcode::CopyFileRange)), (0, le![0xFFFF_F000u32, 0u32]));
    assert_eq!(send(&server, &valid(Opcode::CopyFileRange64)), (0, le![1u64 << 33]));
    let counted = server.counters().snapshot();
    assert_eq!((counted.bytes_read, counted.bytes_written), (4, 5));
}

#[test]
fn answers_that_do_not_fit_are_errors() {
    let server = mounted();
    assert_eq!(send(&server, &valid(Opcode::Getxattr)), (errno::ERANGE, vec![]));
    assert_eq!(send(&server, &valid(Opcode::Listxattr)), (errno::EIO, vec![]), "no value");
    assert_eq!(send(&server, &valid(Opcode::Ioctl)), (errno::EIO, vec![]));
    let length = RequestBuilder::new(Opcode::Getxattr).bytes(&[0; 8]).name(b"user.name").build();
    assert_eq!(send(&server, &length), (errno::EIO, vec![]), "no length");
}

#[test]
fn errors_without_a_number_and_operations_without_code_have_one() {
    let server = mounted();
    assert_eq!(send(&server, &valid(Opcode::Readlink)), (errno::EIO, vec![]));
    assert_eq!(send(&server, &valid(Opcode::Mkdir)), (errno::ENOSYS, vec![]));
    assert_eq!(send(&server, &valid(Opcode::Lookup)), (errno::ENOSYS, vec![]));
}
