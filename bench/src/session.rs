//! The guest's kernel: mounts, and asks one thing at a time. What is measured goes through [`crate::drive`].

use anyhow::{Context, Result, ensure};
use fuse::abi::{
    EntryOut, InitFlags, InitIn, InitOut, MAJOR, MINOR, Opcode, OpenIn, OpenOut, Stamp,
};
use samepage_tests::framework::daemon::Daemon;

use crate::jobs::{Lane, Listing};
use crate::vhost::{Connection, Queue};
use crate::wire::{self, Answer, Request};

pub(crate) const ROOT_NODE: u64 = 1;
/// Room for a request and for a reply: a mebibyte of data and headers.
pub(crate) const ROOM: usize = (1 << 20) + 4096;

/// A guest that has mounted.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    /// Replies are stamped.
    stamped: bool,
    request: Request,
    reply: Vec<u8>,
}

impl Session {
    /// Connects and mounts; with a table, as a guest that looks at it.
    ///
    /// # Errors
    /// The daemon refuses, or does not feed this table.
    pub(crate) fn mount(
        daemon: &Daemon,
        (queues, depth): (usize, usize),
        table: Option<[u8; 16]>,
    ) -> Result<Self> {
        let connection = Connection::open(daemon.socket(), queues, depth, ROOM)?;
        let (request, reply) = (Request::default(), Vec::new());
        let mut session = Self { connection, stamped: table.is_some(), request, reply };
        session.init(table)?;
        Ok(session)
    }

    /// Bytes that stand before the name's record in each entry of READDIRPLUS.
    pub(crate) fn plus(&self) -> usize {
        size_of::<EntryOut>() + if self.stamped { size_of::<Stamp>() } else { 0 }
    }

    fn init(&mut self, table: Option<[u8; 16]>) -> Result<()> {
        // What no job uses, and what changes how creations are laid out, is left out.
        let flags = InitFlags::all() - InitFlags::SECURITY_CTX - InitFlags::CREATE_SUPP_GROUP;
        let init = InitIn {
            major: MAJOR,
            minor: MINOR,
            max_readahead: 1 << 20,
            flags: flags.bits() as u32,
            flags2: (flags.bits() >> 32) as u32,
            unused: [0; 7],
            table_id: table.unwrap_or_default(),
        };
        self.request.begin(Opcode::Init, 0, 0).with(&init).end();
        let out: InitOut = wire::take(wire::expect(self.ask(4096)?)?)?;
        ensure!(out.major == MAJOR && out.max_write >= 1 << 20, "INIT: {out:?}");
        let taken = InitFlags::from_bits_retain(u64::from(out.flags2) << 32);
        let stamped = taken.contains(InitFlags::VERSION_TABLE);
        ensure!(stamped == self.stamped, "the daemon and its guest are not on one version table");
        Ok(())
    }

    /// The node of a path below the root.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn node(&mut self, path: &str) -> Result<u64> {
        let mut node = ROOT_NODE;
        for name in path.split('/') {
            self.request.begin(Opcode::Lookup, node, 0).name(name).end();
            let answer = wire::expect(self.ask(4096)?).with_context(|| path.to_owned())?;
            node = wire::take::<EntryOut>(answer)?.nodeid;
        }
        Ok(node)
    }

    /// OPEN; the handle.
    ///
    /// # Errors
    /// What the daemon answers.
    pub(crate) fn open(&mut self, node: u64, flags: u32) -> Result<u64> {
        self.request.begin(Opcode::Open, node, 0).with(&OpenIn { flags, open_flags: 0 }).end();
        Ok(wire::take::<OpenOut>(wire::expect(self.ask(4096)?)?)?.fh)
    }

    /// Lists a directory with READDIRPLUS; how many names it has.
    ///
    /// # Errors
    /// What the daemon answers.
    pub(crate) fn list(&mut self, node: u64) -> Result<usize> {
        let plus = self.plus();
        let mut listing = Listing::new(node, Some(plus));
        let (mut names, mut request) = (0, Request::default());
        let mut room = listing.next(None, &mut request)?;
        while let Some(bytes) = room {
            let queue = &mut self.connection.queues[0];
            ask(queue, &request, bytes, &mut self.reply)?;
            let answer = wire::answer(&self.reply)?;
            if request.opcode() == Some(Opcode::Readdirplus) {
                names += wire::names_in(wire::expect(answer)?, plus)?;
            }
            room = listing.next(Some(answer), &mut request)?;
        }
        Ok(names)
    }

    fn ask(&mut self, room: usize) -> Result<Answer<'_>> {
        let queue = &mut self.connection.queues[0];
        ask(queue, &self.request, room, &mut self.reply)?;
        wire::answer(&self.reply)
    }
}

/// Sends `request` and waits for the whole reply.
///
/// # Errors
/// The daemon does not answer.
pub(crate) fn ask(
    queue: &mut Queue,
    request: &Request,
    room: usize,
    reply: &mut Vec<u8>,
) -> Result<()> {
    queue.submit(0, request.bytes(), request.header(), room)?;
    queue.kick_if_wanted()?;
    loop {
        if let Some(completion) = queue.completed()? {
            return queue.reply(completion, reply, ROOM);
        }
        queue.wait()?;
    }
}
