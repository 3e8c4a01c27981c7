//! Operations of several requests, each of which may need what an earlier one answered.

use anyhow::Result;
use fuse::abi::{
    CreateIn, EntryOut, FlushIn, ForgetIn, MkdirIn, Opcode, OpenIn, OpenOut, OutHeader, ReadIn,
    ReleaseIn, RenameIn,
};

use super::{Lane, Lanes, small};
use crate::session::Session;
use crate::wire::{self, Answer, Request};

const O_RDWR: u32 = 2;
const O_CREAT: u32 = 0o100;
const USER: u32 = 1000;
pub(super) const PAGE: usize = 4096;

/// What an operation knows at a moment.
#[derive(Clone)]
pub(super) struct State {
    pub(super) uid: u32,
    /// What it is about: a file, or the directory that it works in.
    pub(super) node: u64,
    /// Two names that no other lane uses.
    pub(super) names: [String; 2],
    /// From OPEN, OPENDIR or CREATE.
    pub(super) fh: u64,
    /// From CREATE, MKDIR or LOOKUP.
    pub(super) made: u64,
    /// Which step it is at.
    pub(super) at: usize,
    /// Operations before this one.
    pub(super) turn: usize,
}

impl State {
    fn new(uid: u32, node: u64, names: [String; 2]) -> Self {
        Self { uid, node, names, fh: 0, made: 0, at: 0, turn: 0 }
    }
}

/// Writes a request and returns the room for its reply.
pub(super) type Step = (Opcode, fn(&State, &mut Request) -> usize);

pub(super) struct Steps {
    all: &'static [Step],
    state: State,
}

impl Steps {
    pub(super) fn boxed(steps: &'static [Step], uid: u32, node: u64, lane: usize) -> Box<dyn Lane> {
        let names = [format!("{uid}-{lane}-a"), format!("{uid}-{lane}-b")];
        Box::new(Self { all: steps, state: State::new(uid, node, names) })
    }

    fn learn(&mut self, opcode: Opcode, body: &[u8]) -> Result<()> {
        match opcode {
            Opcode::Open | Opcode::Opendir => self.state.fh = wire::take::<OpenOut>(body)?.fh,
            // A name that means nothing.
            Opcode::Lookup if body.is_empty() => {}
            Opcode::Mkdir | Opcode::Lookup => {
                self.state.made = wire::take::<EntryOut>(body)?.nodeid;
            }
            Opcode::Create => {
                self.state.made = wire::take::<EntryOut>(body)?.nodeid;
                let opened = body.get(size_of::<EntryOut>()..).unwrap_or_default();
                self.state.fh = wire::take::<OpenOut>(opened)?.fh;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Lane for Steps {
    fn next(&mut self, answer: Option<Answer<'_>>, request: &mut Request) -> Result<Option<usize>> {
        match answer {
            None => {
                self.state.at = 0;
                self.state.turn += 1;
            }
            Some(answer) => {
                let (opcode, _) = self.all[self.state.at];
                let nothing = opcode == Opcode::Lookup && answer == Err(wire::ENOENT);
                let body = if nothing { &[] } else { wire::expect(answer)? };
                self.learn(opcode, body)?;
                self.state.at += 1;
            }
        }
        Ok(self.all.get(self.state.at).map(|(_, make)| make(&self.state, request)))
    }
}

/// Room for a reply without a body.
pub(super) const HEADER: usize = size_of::<OutHeader>();

pub(super) fn open_to_read(state: &State, request: &mut Request) -> usize {
    open(state, 0, request)
}

fn open_to_write(state: &State, request: &mut Request) -> usize {
    open(state, O_RDWR, request)
}

fn open(state: &State, flags: u32, request: &mut Request) -> usize {
    let open = OpenIn { flags, open_flags: 0 };
    request.begin(Opcode::Open, state.node, state.uid).with(&open).end();
    HEADER + size_of::<OpenOut>()
}

/// A page, of which the file has the beginning.
fn read(state: &State, request: &mut Request) -> usize {
    let read = ReadIn { fh: state.fh, size: PAGE as u32, ..ReadIn::default() };
    request.begin(Opcode::Read, state.node, state.uid).with(&read).end();
    HEADER + PAGE
}

fn flush(state: &State, request: &mut Request) -> usize {
    flush_one(state, state.node, request)
}

pub(super) fn flush_made(state: &State, request: &mut Request) -> usize {
    flush_one(state, state.made, request)
}

fn flush_one(state: &State, node: u64, request: &mut Request) -> usize {
    let flush = FlushIn { fh: state.fh, lock_owner: 1, ..FlushIn::default() };
    request.begin(Opcode::Flush, node, state.uid).with(&flush).end();
    HEADER
}

fn release_opened(state: &State, request: &mut Request) -> usize {
    release(state, state.node, request)
}

pub(super) fn release_made(state: &State, request: &mut Request) -> usize {
    release(state, state.made, request)
}

fn release(state: &State, node: u64, request: &mut Request) -> usize {
    let release = ReleaseIn { fh: state.fh, flags: O_RDWR, ..ReleaseIn::default() };
    request.begin(Opcode::Release, node, state.uid).with(&release).end();
    HEADER
}

pub(super) fn create(state: &State, request: &mut Request) -> usize {
    let flags = O_RDWR | O_CREAT;
    let create = CreateIn { flags, mode: 0o100_644, umask: 0o22, open_flags: 0 };
    request.begin(Opcode::Create, state.node, state.uid).with(&create).name(&state.names[0]).end();
    HEADER + size_of::<EntryOut>() + size_of::<OpenOut>()
}

pub(super) fn unlink(state: &State, request: &mut Request) -> usize {
    unlink_one(state, &state.names[0], request)
}

pub(super) fn unlink_moved(state: &State, request: &mut Request) -> usize {
    unlink_one(state, &state.names[1], request)
}

fn unlink_one(state: &State, name: &str, request: &mut Request) -> usize {
    request.begin(Opcode::Unlink, state.node, state.uid).name(name).end();
    HEADER
}

pub(super) fn lookup(state: &State, request: &mut Request) -> usize {
    request.begin(Opcode::Lookup, state.node, state.uid).name(&state.names[0]).end();
    HEADER + size_of::<EntryOut>()
}

fn mkdir(state: &State, request: &mut Request) -> usize {
    let mkdir = MkdirIn { mode: 0o755, umask: 0o22 };
    request.begin(Opcode::Mkdir, state.node, state.uid).with(&mkdir).name(&state.names[0]).end();
    HEADER + size_of::<EntryOut>()
}

fn rmdir(state: &State, request: &mut Request) -> usize {
    request.begin(Opcode::Rmdir, state.node, state.uid).name(&state.names[0]).end();
    HEADER
}

/// Over the request queue, not hiprio as Linux does it: so it is part of the operation for every daemon alike.
pub(super) fn forget(state: &State, request: &mut Request) -> usize {
    request.begin(Opcode::Forget, state.made, 0).with(&ForgetIn { nlookup: 1 }).end();
    0
}

pub(super) fn rename_there(state: &State, request: &mut Request) -> usize {
    rename_one(state, &state.names[0], &state.names[1], request)
}

pub(super) fn rename_back(state: &State, request: &mut Request) -> usize {
    rename_one(state, &state.names[1], &state.names[0], request)
}

fn rename_one(state: &State, from: &str, to: &str, request: &mut Request) -> usize {
    let rename = RenameIn { newdir: state.node };
    request.begin(Opcode::Rename, state.node, state.uid).with(&rename).name(from).name(to).end();
    HEADER
}

const OPEN_RELEASE: &[Step] = &[(Opcode::Open, open_to_read), (Opcode::Release, release_opened)];
const OPEN_READ_RELEASE: &[Step] =
    &[(Opcode::Open, open_to_read), (Opcode::Read, read), (Opcode::Release, release_opened)];
/// What `cat` makes of a file that the guest has not cached: record locks are on, so that closing tells.
const OPEN_READ_CLOSE: &[Step] = &[
    (Opcode::Open, open_to_read),
    (Opcode::Read, read),
    (Opcode::Flush, flush),
    (Opcode::Release, release_opened),
];
const OPEN_RELEASE_WRITER: &[Step] =
    &[(Opcode::Open, open_to_write), (Opcode::Release, release_opened)];
const LOOKUP_FORGET: &[Step] = &[(Opcode::Lookup, lookup), (Opcode::Forget, forget)];
const CREATE_UNLINK: &[Step] = &[
    (Opcode::Create, create),
    (Opcode::Release, release_made),
    (Opcode::Unlink, unlink),
    (Opcode::Forget, forget),
];
const MKDIR_RMDIR: &[Step] =
    &[(Opcode::Mkdir, mkdir), (Opcode::Rmdir, rmdir), (Opcode::Forget, forget)];
const RENAME: &[Step] = &[
    (Opcode::Mkdir, mkdir),
    (Opcode::Rename, rename_there),
    (Opcode::Rename, rename_back),
    (Opcode::Rename, rename_there),
    (Opcode::Rename, rename_back),
    (Opcode::Rmdir, rmdir),
    (Opcode::Forget, forget),
];

pub(super) fn open_release(session: &mut Session) -> Result<Lanes> {
    of_small_files(session, OPEN_RELEASE)
}

pub(super) fn open_read_release(session: &mut Session) -> Result<Lanes> {
    of_small_files(session, OPEN_READ_RELEASE)
}

pub(super) fn open_read_close(session: &mut Session) -> Result<Lanes> {
    of_small_files(session, OPEN_READ_CLOSE)
}

pub(super) fn open_release_writer(session: &mut Session) -> Result<Lanes> {
    of_small_files(session, OPEN_RELEASE_WRITER)
}

fn of_small_files(session: &mut Session, steps: &'static [Step]) -> Result<Lanes> {
    let nodes: Result<Vec<u64>> =
        (0..64).map(|number| session.node(&format!("small/{}", small(number)))).collect();
    let nodes = nodes?;
    Ok(Box::new(move |lane| Steps::boxed(steps, 0, nodes[lane % nodes.len()], lane)))
}

/// A file that the guest does not know each time.
pub(super) fn lookup_forget(session: &mut Session) -> Result<Lanes> {
    let directory = session.node("cold")?;
    Ok(Box::new(move |lane| {
        let names = [small(lane), String::new()];
        Box::new(Steps { all: LOOKUP_FORGET, state: State::new(0, directory, names) })
    }))
}

pub(super) fn create_unlink(session: &mut Session) -> Result<Lanes> {
    in_work(session, CREATE_UNLINK, 0)
}

pub(super) fn create_unlink_user(session: &mut Session) -> Result<Lanes> {
    in_work(session, CREATE_UNLINK, USER)
}

pub(super) fn mkdir_rmdir(session: &mut Session) -> Result<Lanes> {
    in_work(session, MKDIR_RMDIR, 0)
}

/// A directory is made, renamed four times and removed.
pub(super) fn rename(session: &mut Session) -> Result<Lanes> {
    in_work(session, RENAME, 0)
}

fn in_work(session: &mut Session, steps: &'static [Step], uid: u32) -> Result<Lanes> {
    let directory = session.node("work")?;
    Ok(Box::new(move |lane| Steps::boxed(steps, uid, directory, lane)))
}
