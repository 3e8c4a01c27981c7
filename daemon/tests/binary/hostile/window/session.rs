//! A guest that asks for mappings of all kinds.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use fuse::abi::{
    EntryOut, InitFlags, Opcode, OpenIn, OpenOut, OutHeader, RemovemappingIn, RemovemappingOne,
    SetattrIn, SetattrValid, SetupmappingIn,
};
use fuse::testing::{RequestBuilder, init};
use virtio_queue::desc::split::Descriptor;
use zerocopy::FromBytes;

use super::vmm::{self, Mood, Vmm};
use super::{DIRECTORY, FILES, WINDOW};
use crate::support::front_end::{FrontEnd, Outcome, READ, WRITE};
use crate::support::guest::QUEUE;

const PAGE: u64 = 4096;
const ROOM: usize = 4096;

/// How long an answer may take before the queue is set up anew: a VMM that is silent never gives it.
const A_WHILE: Duration = Duration::from_millis(50);

/// Where the guest's memory has pages of a file, which is a DAX window's as well as any.
const ALIAS_BYTES: u64 = 64 * PAGE;

const ROUNDS: u32 = 200;

/// Connects, is hostile for some hundred rounds, says how many mappings it was given and refused, and leaves without a word.
pub(super) fn run(socket: &Path, rng: Rng) {
    let (vmm, channel) = vmm::start().unwrap();
    let mut front_end = FrontEnd::connect(socket, 2);
    front_end.answer_over(&channel);
    Arc::clone(&vmm).serve(channel);
    let mut guest = Guest::new(front_end, Arc::clone(&vmm), rng);
    guest.alias_memory();
    for _ in 0..ROUNDS {
        guest.round();
    }
    let Guest { mapped, refused, .. } = guest;
    println!("{mapped} {refused}");
    let complaints = vmm.complaints();
    assert!(complaints.is_empty(), "the VMM was asked for what it must not be: {complaints:#?}");
}

struct Guest {
    front_end: FrontEnd,
    vmm: Arc<Vmm>,
    rng: Rng,
    /// The root, the directory, and what is in it.
    nodes: Vec<u64>,
    handles: Vec<u64>,
    /// Whether the daemon knows what the nodes are.
    is_mounted: bool,
    /// SETUPMAPPINGs that were done, and others that were answered.
    mapped: u64,
    refused: u64,
}

impl Guest {
    fn new(front_end: FrontEnd, vmm: Arc<Vmm>, rng: Rng) -> Self {
        let (nodes, handles) = (vec![1], Vec::new());
        Self { front_end, vmm, rng, nodes, handles, is_mounted: false, mapped: 0, refused: 0 }
    }

    fn mount(&mut self) {
        self.is_mounted = true;
        self.handles.clear();
        self.ask(&init(45, InitFlags::all()));
        self.nodes = vec![1];
        let Some(directory) = self.look_up(1, DIRECTORY) else { return };
        self.nodes.push(directory);
        let found: Vec<_> =
            FILES.into_iter().filter_map(|name| self.look_up(directory, name)).collect();
        self.nodes.extend(found);
    }

    fn look_up(&mut self, parent: u64, name: &str) -> Option<u64> {
        let request = RequestBuilder::new(Opcode::Lookup).node(parent).name(name.as_bytes());
        let reply = self.ask(&request.build())?.ok()?;
        Some(EntryOut::read_from_prefix(&reply).ok()?.0.nodeid).filter(|node| *node != 0)
    }

    /// Pages of a file as memory of the guest, where descriptors may lead.
    fn alias_memory(&mut self) {
        let file =
            File::from(rustix::fs::memfd_create("alias", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        file.set_len(ALIAS_BYTES).unwrap();
        self.front_end.add_memory(&file, ALIAS_BYTES);
        file.set_len(self.rng.u64(0..ALIAS_BYTES / PAGE) * PAGE).unwrap();
    }

    /// None: no answer came, and the queue has been set up anew.
    fn ask(&mut self, request: &[u8]) -> Option<Result<Vec<u8>, i32>> {
        self.front_end.send(QUEUE, request, ROOM);
        self.answer()
    }

    fn answer(&mut self) -> Option<Result<Vec<u8>, i32>> {
        let Outcome::Used(len) = self.front_end.outcome(QUEUE, A_WHILE) else {
            // Answered whatever the VMM owes the daemon, or this waits in vain.
            self.front_end.stop_rings();
            self.vmm.set_mood(Mood::Honest);
            self.vmm.reset();
            self.front_end.reset_device();
            self.is_mounted = false;
            return None;
        };
        let reply = self.front_end.reply(QUEUE, len.min(ROOM));
        let (header, body) = OutHeader::read_from_prefix(&reply).ok()?;
        Some(if header.error == 0 { Ok(body.to_vec()) } else { Err(-header.error) })
    }

    fn round(&mut self) {
        if !self.is_mounted {
            self.mount();
        }
        match self.rng.u8(0..32) {
            0..=13 => self.set_up(),
            14..=19 => self.remove(),
            20 | 21 => self.open(),
            22 | 23 => self.cut(),
            24 | 25 => self.descriptors(),
            26 => self.fill(),
            27 => self.mount(),
            28 => {
                let moods = [Mood::Late, Mood::Refuses, Mood::Silent];
                self.vmm.set_mood(*self.rng.choice(&moods).unwrap());
            }
            _ => self.vmm.set_mood(Mood::Honest),
        }
    }

    /// A number of bytes: mostly pages of the window or near its end.
    fn number(&mut self) -> u64 {
        match self.rng.u8(0..16) {
            0 => 0,
            1 => self.rng.u64(..),
            2 => u64::MAX - self.rng.u64(0..2 * PAGE),
            3 => self.rng.u64(0..WINDOW),
            4 => WINDOW - self.rng.u64(0..3) * PAGE,
            5 => i64::MAX as u64 - self.rng.u64(0..2 * PAGE),
            6 | 7 => self.rng.u64(0..WINDOW >> 21) << 21,
            _ => self.rng.u64(0..=WINDOW / PAGE) * PAGE,
        }
    }

    fn node(&mut self) -> u64 {
        if self.rng.u8(..) < 230 {
            *self.rng.choice(&self.nodes).unwrap()
        } else {
            self.rng.u64(..)
        }
    }

    fn handle(&mut self) -> u64 {
        let known = self.rng.choice(&self.handles).copied();
        known.filter(|_| self.rng.bool()).unwrap_or_else(|| self.rng.u64(..) | self.rng.u64(..))
    }

    fn set_up(&mut self) {
        let fh = if self.rng.u8(..) < 200 { u64::MAX } else { self.handle() };
        let flags = if self.rng.u8(..) < 230 { self.rng.u64(1..4) } else { self.rng.u64(..) };
        let [foffset, len, moffset] = std::array::from_fn(|_| self.number());
        let setup = SetupmappingIn { fh, foffset, len, flags, moffset };
        let node = self.node();
        let request = RequestBuilder::new(Opcode::Setupmapping).node(node).with(&setup).build();
        let answer = self.ask(&request);
        self.count(answer.as_ref());
        let is_page = |number: u64| number.is_multiple_of(PAGE);
        let fits = moffset.checked_add(len).is_some_and(|end| end <= WINDOW && len > 0);
        let of_file = foffset.checked_add(len).is_some_and(|end| i64::try_from(end).is_ok());
        let sound = fits && of_file && [foffset, len, moffset].into_iter().all(is_page);
        let sound = sound && flags < 4 && node > 1 && self.nodes.get(1) != Some(&node);
        assert!(sound || !matches!(answer, Some(Ok(_))), "accepted: {setup:?} of node {node}");
    }

    fn count(&mut self, answer: Option<&Result<Vec<u8>, i32>>) {
        self.mapped += u64::from(matches!(answer, Some(Ok(_))));
        self.refused += u64::from(matches!(answer, Some(Err(_))));
    }

    /// One or more stretches, and a count that may be another.
    fn remove(&mut self) {
        let stretches: Vec<[u64; 2]> =
            (0..self.rng.usize(0..6)).map(|_| [self.number(), self.number()]).collect();
        let counts = [0, 1, 7, u32::MAX, 1 << 28, self.rng.u32(..)];
        let lies = self.rng.u8(0..4) == 0;
        let told = if lies { *self.rng.choice(&counts).unwrap() } else { stretches.len() as u32 };
        let mut request = RequestBuilder::new(Opcode::Removemapping).node(self.node());
        request = request.with(&RemovemappingIn { count: told });
        for [moffset, len] in &stretches {
            request = request.with(&RemovemappingOne { moffset: *moffset, len: *len });
        }
        let answer = self.ask(&request.build());
        let too_many = told as usize > stretches.len();
        assert!(!too_many || !matches!(answer, Some(Ok(_))), "{told} of {} taken", stretches.len());
    }

    fn open(&mut self) {
        let open = OpenIn { flags: self.rng.u32(0..3), open_flags: 0 };
        let request = RequestBuilder::new(Opcode::Open).node(self.node()).with(&open).build();
        if let Some(Ok(reply)) = self.ask(&request)
            && let Ok((open, _)) = OpenOut::read_from_prefix(&reply)
        {
            self.handles.truncate(16);
            self.handles.insert(0, open.fh);
        }
    }

    /// A file that the guest may have mapped gets another size.
    fn cut(&mut self) {
        let size = self.rng.u64(0..3 << 20);
        let set = SetattrIn { valid: SetattrValid::SIZE.bits(), size, ..SetattrIn::default() };
        let request = RequestBuilder::new(Opcode::Setattr).node(self.node()).with(&set).build();
        self.ask(&request);
    }

    /// A request, or room for its reply, in pages that a file no longer has.
    fn descriptors(&mut self) {
        let table = self.front_end.table(QUEUE);
        let mut gone = || FrontEnd::alias() + self.rng.u64(0..ALIAS_BYTES / PAGE) * PAGE;
        let (from, to) = (gone(), gone());
        self.front_end.write_descriptor(table, 0, Descriptor::new(from, 64, READ | 1, 1));
        self.front_end.write_descriptor(table, 1, Descriptor::new(to, 64, WRITE, 0));
        self.front_end.offer_head(QUEUE, 0);
        self.answer();
    }

    /// More mappings than a VMM can have, of a page each.
    fn fill(&mut self) {
        self.vmm.set_mood(Mood::Honest);
        let node = self.node();
        for page in 0..WINDOW / PAGE {
            let setup = SetupmappingIn {
                fh: u64::MAX,
                foffset: 0,
                len: PAGE,
                flags: 1,
                moffset: page * PAGE,
            };
            let request = RequestBuilder::new(Opcode::Setupmapping).node(node).with(&setup);
            let answer = self.ask(&request.build());
            self.count(answer.as_ref());
            if !matches!(answer, Some(Ok(_))) {
                return;
            }
        }
    }
}
