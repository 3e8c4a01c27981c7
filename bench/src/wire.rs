//! Requests and replies as bytes.

use anyhow::{Context, Result, ensure};
use fuse::abi::{Attr, AttrOut, Dirent, EntryOut, InHeader, Opcode, OutHeader, WriteOut};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A request under construction; its memory is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    /// Bytes before a WRITE's data.
    header: usize,
    unique: u64,
}

impl Request {
    /// Begins a request of the guest's user `uid`.
    pub(crate) fn begin(&mut self, opcode: Opcode, node: u64, uid: u32) -> &mut Self {
        self.unique += 2;
        let header = InHeader {
            opcode: opcode as u32,
            unique: self.unique,
            nodeid: node,
            uid,
            gid: uid,
            pid: 1,
            ..InHeader::default()
        };
        self.bytes.clear();
        self.bytes.extend_from_slice(header.as_bytes());
        self
    }

    pub(crate) fn with<T: IntoBytes + Immutable>(&mut self, value: &T) -> &mut Self {
        self.bytes.extend_from_slice(value.as_bytes());
        self
    }

    /// A string and its NUL.
    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self
    }

    /// Ends a request.
    pub(crate) fn end(&mut self) {
        self.data(&[]);
    }

    /// Ends a request with data.
    pub(crate) fn data(&mut self, data: &[u8]) {
        self.header = self.bytes.len();
        self.bytes.extend_from_slice(data);
        let len = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&len.to_le_bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn header(&self) -> usize {
        self.header
    }

    pub(crate) fn opcode(&self) -> Option<Opcode> {
        let header = InHeader::read_from_prefix(&self.bytes).ok()?.0;
        Opcode::from_number(header.opcode)
    }
}

/// No such file.
pub(crate) const ENOENT: i32 = 2;

/// A reply's body, or its errno.
pub(crate) type Answer<'a> = Result<&'a [u8], i32>;

/// Takes a reply apart. One without a header answers a request that has no reply.
pub(crate) fn answer(reply: &[u8]) -> Result<Answer<'_>> {
    if reply.is_empty() {
        return Ok(Ok(&[]));
    }
    let (header, body) = OutHeader::read_from_prefix(reply).ok().context("a reply too short")?;
    Ok(if header.error == 0 { Ok(body) } else { Err(-header.error) })
}

/// The structure that a body begins with.
pub(crate) fn take<T: FromBytes + KnownLayout + Immutable>(body: &[u8]) -> Result<T> {
    Ok(T::read_from_prefix(body).ok().context("a reply too short")?.0)
}

/// What two daemons must agree on in an answer to a request of kind `opcode`: not numbers that each gives out itself,
/// nor times, nor stamps. `plus`: see [`crate::session::Session::plus`].
pub(crate) fn essence(opcode: Option<Opcode>, answer: Answer<'_>, plus: usize) -> Result<Vec<u8>> {
    use Opcode as Op;
    let body = match answer {
        Ok(body) => body,
        Err(errno) => return Ok(format!("error {errno};").into_bytes()),
    };
    Ok(match opcode {
        Some(Op::Lookup) if is_negative(body)? => return essence(opcode, Err(ENOENT), plus),
        Some(Op::Lookup | Op::Create | Op::Mkdir) => attributes(&take::<EntryOut>(body)?.attr),
        Some(Op::Getattr | Op::Setattr) => attributes(&take::<AttrOut>(body)?.attr),
        Some(Op::Readdir) => names(body, 0)?,
        Some(Op::Readdirplus) => names(body, plus)?,
        Some(Op::Open | Op::Opendir | Op::Rename) => Vec::new(),
        Some(Op::Write) => body.get(..size_of::<WriteOut>()).context("a reply too short")?.to_vec(),
        _ => body.to_vec(),
    })
}

/// Whether the answer to a LOOKUP says that there is no such name.
pub(crate) fn is_negative(body: &[u8]) -> Result<bool> {
    Ok(take::<EntryOut>(body)?.nodeid == 0)
}

fn attributes(attr: &Attr) -> Vec<u8> {
    let Attr { size, mode, nlink, uid, gid, .. } = attr;
    format!("{size} {mode:o} {nlink} {uid} {gid};").into_bytes()
}

/// Listings may come in any portions.
fn names(mut body: &[u8], ahead: usize) -> Result<Vec<u8>> {
    let mut names = Vec::new();
    while !body.is_empty() {
        let (len, name) = entry(body, ahead)?;
        names.extend_from_slice(name);
        names.push(b'/');
        body = &body[len.min(body.len())..];
    }
    Ok(names)
}

/// How many names a listing has.
pub(crate) fn names_in(body: &[u8], ahead: usize) -> Result<usize> {
    Ok(names(body, ahead)?.split(|byte| *byte == b'/').count() - 1)
}

/// The length of a listing's first entry, and its name.
fn entry(body: &[u8], ahead: usize) -> Result<(usize, &[u8])> {
    let dirent: Dirent = take(body.get(ahead..).context("a listing cut short")?)?;
    let begin = ahead + size_of::<Dirent>();
    let end = begin + dirent.namelen as usize;
    let name = body.get(begin..end).context("a listing cut short")?;
    Ok((end.next_multiple_of(8), name))
}

/// Where a listing goes on after `body`; none: it is at its end.
pub(crate) fn listing_goes_on(mut body: &[u8], ahead: usize) -> Result<Option<u64>> {
    let mut offset = None;
    while !body.is_empty() {
        let (len, _) = entry(body, ahead)?;
        offset = Some(take::<Dirent>(&body[ahead..])?.off);
        body = &body[len.min(body.len())..];
    }
    Ok(offset)
}

/// Fails where a request that must succeed did not.
pub(crate) fn expect(answer: Answer<'_>) -> Result<&[u8]> {
    let errno = match answer {
        Ok(body) => return Ok(body),
        Err(errno) => errno,
    };
    ensure!(false, "answered with {}", std::io::Error::from_raw_os_error(errno));
    Ok(&[])
}
