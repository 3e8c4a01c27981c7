//! Work that programs make of many kinds of requests: what Linux 6.12 sends while they see to one file (or object, or
//! directory), and what it takes to begin anew.

use anyhow::Result;
use fuse::abi::{
    AttrOut, EntryOut, GetattrIn, Opcode, OpenIn, ReadIn, ReleaseIn, SetattrIn, SetattrValid,
    WriteIn, WriteOut,
};

use super::listing::PORTION;
use super::steps::{
    HEADER, PAGE, State, Step, Steps, create, flush_made, forget, lookup, open_to_read,
    release_made, rename_back, rename_there, unlink, unlink_moved,
};
use super::{COLD_FILES, Lane, Lanes, small};
use crate::session::Session;
use crate::wire::Request;

const O_DIRECTORY: u32 = 0o200_000;
const ENTRY: usize = HEADER + size_of::<EntryOut>();

/// A page of data.
static DATA: [u8; PAGE] = [0x5A; PAGE];

fn write(state: &State, request: &mut Request) -> usize {
    let write = WriteIn { fh: state.fh, size: PAGE as u32, ..WriteIn::default() };
    request.begin(Opcode::Write, state.made, state.uid).with(&write).data(&DATA);
    HEADER + size_of::<WriteOut>()
}

/// As `utimensat(2)` and `fchmod(2)` do.
fn set_attributes(state: &State, request: &mut Request) -> usize {
    let valid = SetattrValid::MODE | SetattrValid::MTIME | SetattrValid::ATIME;
    let set = SetattrIn { valid: valid.bits(), mode: 0o100_644, ..SetattrIn::default() };
    request.begin(Opcode::Setattr, state.made, state.uid).with(&set).end();
    HEADER + size_of::<AttrOut>()
}

fn look_at_directory(state: &State, request: &mut Request) -> usize {
    request.begin(Opcode::Getattr, state.node, state.uid).with(&GetattrIn::default()).end();
    HEADER + size_of::<AttrOut>()
}

/// One of the files that are there, another each time.
fn look_up_file(state: &State, request: &mut Request) -> usize {
    let name = small((state.turn * 7 + state.at) % COLD_FILES);
    request.begin(Opcode::Lookup, state.node, state.uid).name(&name).end();
    ENTRY
}

fn look_up_missing(state: &State, request: &mut Request) -> usize {
    let name = format!("missing-{}", (state.turn * 7 + state.at) % 256);
    request.begin(Opcode::Lookup, state.node, state.uid).name(&name).end();
    ENTRY
}

fn open_found(state: &State, request: &mut Request) -> usize {
    open_to_read(&State { node: state.made, ..state.clone() }, request)
}

fn read_found(state: &State, request: &mut Request) -> usize {
    let read = ReadIn { fh: state.fh, size: PAGE as u32, ..ReadIn::default() };
    request.begin(Opcode::Read, state.made, state.uid).with(&read).end();
    HEADER + PAGE
}

fn open_directory(state: &State, request: &mut Request) -> usize {
    let open = OpenIn { flags: O_DIRECTORY, open_flags: 0 };
    request.begin(Opcode::Opendir, state.node, state.uid).with(&open).end();
    HEADER + 16
}

/// All of the listing.
fn list(state: &State, request: &mut Request) -> usize {
    let read = ReadIn { fh: state.fh, size: PORTION, ..ReadIn::default() };
    request.begin(Opcode::Readdir, state.node, state.uid).with(&read).end();
    HEADER + PORTION as usize
}

fn close_directory(state: &State, request: &mut Request) -> usize {
    let release = ReleaseIn { fh: state.fh, ..ReleaseIn::default() };
    request.begin(Opcode::Releasedir, state.node, state.uid).with(&release).end();
    HEADER
}

const FILE: Step = (Opcode::Lookup, look_up_file);
const MISSING: Step = (Opcode::Lookup, look_up_missing);
const OPEN: Step = (Opcode::Open, open_found);
const READ: Step = (Opcode::Read, read_found);
const CLOSE: Step = (Opcode::Flush, flush_made);
const RELEASE: Step = (Opcode::Release, release_made);
const CREATE: Step = (Opcode::Create, create);
const WRITE: Step = (Opcode::Write, write);
const FORGET: Step = (Opcode::Forget, forget);

/// `git status` of ten files of a directory: they are looked at, and the listing is searched for what is new.
const GIT: &[Step] = &[
    (Opcode::Getattr, look_at_directory),
    FILE,
    FILE,
    FILE,
    FILE,
    FILE,
    FILE,
    FILE,
    FILE,
    FILE,
    FILE,
    (Opcode::Opendir, open_directory),
    (Opcode::Readdir, list),
    (Opcode::Releasedir, close_directory),
];

/// `tar -x` of a file of a page, and its removal.
const TAR: &[Step] = &[
    (Opcode::Lookup, lookup),
    CREATE,
    WRITE,
    CLOSE,
    RELEASE,
    (Opcode::Setattr, set_attributes),
    (Opcode::Unlink, unlink),
    FORGET,
];

/// A file as npm's cache takes it in: written beside, given its mode, moved to where it belongs.
const NPM: &[Step] = &[
    MISSING,
    (Opcode::Lookup, lookup),
    CREATE,
    WRITE,
    WRITE,
    CLOSE,
    RELEASE,
    (Opcode::Setattr, set_attributes),
    (Opcode::Rename, rename_there),
    (Opcode::Unlink, unlink_moved),
    FORGET,
];

/// An object of a build as the kernel's: headers are searched for in directories that mostly have them not, some are read,
/// the object is written and moved to its name.
const BUILD: &[Step] = &[
    MISSING,
    MISSING,
    MISSING,
    MISSING,
    MISSING,
    MISSING,
    FILE,
    OPEN,
    READ,
    CLOSE,
    RELEASE,
    FILE,
    OPEN,
    READ,
    CLOSE,
    RELEASE,
    CREATE,
    WRITE,
    WRITE,
    CLOSE,
    RELEASE,
    (Opcode::Rename, rename_there),
    (Opcode::Rename, rename_back),
    (Opcode::Unlink, unlink),
    FORGET,
];

pub(super) fn git(session: &mut Session) -> Result<Lanes> {
    mix(session, "cold", GIT)
}

pub(super) fn tar(session: &mut Session) -> Result<Lanes> {
    mix(session, "work", TAR)
}

pub(super) fn npm(session: &mut Session) -> Result<Lanes> {
    mix(session, "work", NPM)
}

pub(super) fn build(session: &mut Session) -> Result<Lanes> {
    mix(session, "cold", BUILD)
}

fn mix(session: &mut Session, directory: &str, steps: &'static [Step]) -> Result<Lanes> {
    let directory = session.node(directory)?;
    Ok(Box::new(move |lane| -> Box<dyn Lane> { Steps::boxed(steps, 0, directory, lane) }))
}
