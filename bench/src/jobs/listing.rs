//! A whole directory: OPENDIR, READDIR or READDIRPLUS to the end, RELEASEDIR.

use anyhow::Result;
use fuse::abi::{Opcode, OpenIn, OpenOut, OutHeader, ReadIn, ReleaseIn};

use super::{Lane, Lanes};
use crate::session::Session;
use crate::wire::{self, Answer, Request};

const O_DIRECTORY: u32 = 0o200_000;
/// What Linux asks for at a time: 32 pages.
pub(super) const PORTION: u32 = 128 << 10;

/// One listing after the other.
pub(crate) struct Listing {
    node: u64,
    /// Bytes before each name's record; none: plain READDIR.
    plus: Option<usize>,
    fh: u64,
    offset: u64,
    at: Opcode,
}

impl Listing {
    /// `plus`: bytes before each name's record; none: plain READDIR.
    pub(crate) fn new(node: u64, plus: Option<usize>) -> Self {
        Self { node, plus, fh: 0, offset: 0, at: Opcode::Opendir }
    }

    fn read(&mut self, request: &mut Request) -> usize {
        self.at = if self.plus.is_some() { Opcode::Readdirplus } else { Opcode::Readdir };
        let read = ReadIn { fh: self.fh, offset: self.offset, size: PORTION, ..ReadIn::default() };
        request.begin(self.at, self.node, 0).with(&read).end();
        size_of::<OutHeader>() + PORTION as usize
    }
}

impl Lane for Listing {
    fn next(&mut self, answer: Option<Answer<'_>>, request: &mut Request) -> Result<Option<usize>> {
        let Some(answer) = answer else {
            (self.at, self.offset) = (Opcode::Opendir, 0);
            let open = OpenIn { flags: O_DIRECTORY, open_flags: 0 };
            request.begin(Opcode::Opendir, self.node, 0).with(&open).end();
            return Ok(Some(size_of::<OutHeader>() + size_of::<OpenOut>()));
        };
        let body = wire::expect(answer)?;
        match self.at {
            Opcode::Opendir => {
                self.fh = wire::take::<OpenOut>(body)?.fh;
                Ok(Some(self.read(request)))
            }
            Opcode::Releasedir => Ok(None),
            _ => {
                if let Some(offset) = wire::listing_goes_on(body, self.plus.unwrap_or(0))? {
                    self.offset = offset;
                    return Ok(Some(self.read(request)));
                }
                self.at = Opcode::Releasedir;
                let release = ReleaseIn { fh: self.fh, ..ReleaseIn::default() };
                request.begin(Opcode::Releasedir, self.node, 0).with(&release).end();
                Ok(Some(size_of::<OutHeader>()))
            }
        }
    }

    fn looks_at(&self) -> usize {
        size_of::<OutHeader>() + PORTION as usize
    }
}

pub(super) fn job(session: &mut Session, directory: &str, plus: bool) -> Result<Lanes> {
    let node = session.node(directory)?;
    let plus = plus.then(|| session.plus());
    Ok(Box::new(move |_| Box::new(Listing::new(node, plus))))
}
