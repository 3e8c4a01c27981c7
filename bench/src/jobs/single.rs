//! Operations of one request.

use anyhow::{Result, ensure};
use fuse::abi::{EntryOut, GetattrIn, GetxattrIn, Opcode, OutHeader};

use super::{Lane, Lanes, XATTR, small};
use crate::session::{ROOT_NODE, Session};
use crate::wire::{self, Answer, ENOENT, Request};

/// Writes one request, a different one each time, and returns the room for its reply.
type Make = Box<dyn FnMut(&mut Request) -> usize + Send>;

/// One request, and whether it succeeds.
pub(super) struct Single {
    make: Make,
    /// 0: it must succeed; else the error that it must fail with.
    errno: i32,
    looks_at: usize,
}

impl Single {
    pub(super) fn boxed(make: Make, errno: i32) -> Box<dyn Lane> {
        Box::new(Self { make, errno, looks_at: 512 })
    }

    /// As [`Self::boxed`], for requests whose replies are data.
    pub(super) fn of_data(make: Make) -> Box<dyn Lane> {
        Box::new(Self { make, errno: 0, looks_at: size_of::<OutHeader>() })
    }
}

impl Lane for Single {
    fn next(&mut self, answer: Option<Answer<'_>>, request: &mut Request) -> Result<Option<usize>> {
        let Some(answer) = answer else { return Ok(Some((self.make)(request))) };
        let errno = match answer {
            Err(errno) => errno,
            // That there is no such name, in a form that a guest may cache.
            Ok(body) if self.errno == ENOENT && wire::is_negative(body)? => ENOENT,
            Ok(_) => 0,
        };
        ensure!(errno == self.errno, "answered with errno {errno}, not {}", self.errno);
        Ok(None)
    }

    fn looks_at(&self) -> usize {
        self.looks_at
    }
}

const ENTRY_ROOM: usize = size_of::<OutHeader>() + size_of::<EntryOut>();
const ENOSYS: i32 = 38;

/// POLL, which daemons do not know, asks nothing of the file system.
#[allow(clippy::unnecessary_wraps)] // One type for all jobs.
pub(super) fn empty(_: &mut Session) -> Result<Lanes> {
    Ok(Box::new(|_| {
        let make = |request: &mut Request| {
            request.begin(Opcode::Poll, ROOT_NODE, 0).with(&[0u8; 24]).end();
            64
        };
        Single::boxed(Box::new(make), ENOSYS)
    }))
}

pub(super) fn lookup_hit(session: &mut Session) -> Result<Lanes> {
    let directory = session.node("small")?;
    Ok(Box::new(move |lane| {
        let mut number = lane;
        let make = move |request: &mut Request| {
            number += 1;
            request.begin(Opcode::Lookup, directory, 0).name(&small(number)).end();
            ENTRY_ROOM
        };
        Single::boxed(Box::new(make), 0)
    }))
}

pub(super) fn lookup_negative(session: &mut Session) -> Result<Lanes> {
    let directory = session.node("small")?;
    Ok(Box::new(move |lane| {
        let name = format!("missing-{lane}");
        let make = move |request: &mut Request| {
            request.begin(Opcode::Lookup, directory, 0).name(&name).end();
            ENTRY_ROOM
        };
        Single::boxed(Box::new(make), ENOENT)
    }))
}

pub(super) fn getattr(session: &mut Session) -> Result<Lanes> {
    let nodes = some_nodes(session)?;
    Ok(Box::new(move |lane| {
        let (nodes, mut number) = (nodes.clone(), lane);
        let make = move |request: &mut Request| {
            number += 1;
            let node = nodes[number % nodes.len()];
            request.begin(Opcode::Getattr, node, 0).with(&GetattrIn::default()).end();
            size_of::<OutHeader>() + 104
        };
        Single::boxed(Box::new(make), 0)
    }))
}

pub(super) fn getxattr(session: &mut Session) -> Result<Lanes> {
    let nodes = some_nodes(session)?;
    Ok(Box::new(move |lane| {
        let (nodes, mut number) = (nodes.clone(), lane);
        let make = move |request: &mut Request| {
            number += 1;
            let node = nodes[number % nodes.len()];
            let get = GetxattrIn { size: 64, padding: 0 };
            request.begin(Opcode::Getxattr, node, 0).with(&get).name(XATTR).end();
            size_of::<OutHeader>() + 64
        };
        Single::boxed(Box::new(make), 0)
    }))
}

fn some_nodes(session: &mut Session) -> Result<Vec<u64>> {
    (0..256).map(|number| session.node(&format!("small/{}", small(number)))).collect()
}
