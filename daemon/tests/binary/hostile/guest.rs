//! A guest whose rings, descriptors and requests are anything.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use fuse::abi::{InitFlags, Opcode, OutHeader};
use fuse::testing::{init, valid};
use virtio_queue::desc::split::Descriptor;
use zerocopy::FromBytes;

use super::{SECRET, messages, races};
use crate::support::front_end::{FrontEnd, INDIRECT_FLAG, Outcome, READ, WRITE};
use crate::support::guest::QUEUE;

/// Names of what it makes, and names that should never be.
const NAMES: [&[u8]; 14] = [
    b"a",
    b"b",
    b"c",
    b"arena",
    b"..",
    b".",
    b"",
    b"a/b",
    b"../outside/secret",
    b"/etc/passwd",
    b"\xff\xfe",
    b"con\ntrol",
    &[b'x'; 255],
    &[b'y'; 256],
];

/// How long an answer may take before the queue is set up anew: one that waits for a lock never comes.
const A_WHILE: Duration = Duration::from_millis(10);

const ROOM: usize = 4096;

/// Connects, is hostile for some hundred rounds, and leaves without a word. Returns how many requests it sent.
pub(super) fn session(socket: &Path, rng: &mut Rng) -> u64 {
    let front_end = FrontEnd::connect(socket, 2);
    let memory = front_end.memory();
    let quiet = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut other = rng.fork();
        let quiet = &quiet;
        scope.spawn(move || {
            // Relaxed: the flag carries no data.
            while !quiet.load(Ordering::Relaxed) {
                for _ in 0..other.u8(1..6) {
                    memory.flip(QUEUE, other.u64(0..600), other.u8(..));
                }
                thread::sleep(Duration::from_micros(other.u64(0..3000)));
            }
        });
        let mut hostile = Hostile { front_end, rng, handles: Vec::new(), sent: 0 };
        hostile.mount();
        for _ in 0..300 {
            hostile.round();
        }
        // While bytes still change and requests may be under way.
        hostile.send_anything_to_the_device();
        quiet.store(true, Ordering::Relaxed);
        hostile.sent
    })
}

struct Hostile<'a> {
    front_end: FrontEnd,
    rng: &'a mut Rng,
    handles: Vec<u64>,
    sent: u64,
}

impl Hostile<'_> {
    /// Anything but what a VMM says, to a device that has requests to do: the last thing on this connection.
    fn send_anything_to_the_device(&mut self) {
        self.front_end.send(QUEUE, &valid(Opcode::Statfs), ROOM);
        let socket = self.front_end.connection();
        socket.set_nonblocking(true).unwrap();
        messages::send_some(&socket, self.rng);
    }

    /// Until it succeeds, for somebody flips bytes.
    fn mount(&mut self) {
        for _ in 0..20 {
            self.front_end.send(QUEUE, &init(45, InitFlags::all()), ROOM);
            match self.front_end.outcome(QUEUE, A_WHILE) {
                Outcome::Used(_) => return,
                Outcome::Broken | Outcome::Nothing => self.start_anew(),
            }
        }
    }

    fn start_anew(&mut self) {
        // Answered whatever state the queue is in, or this waits in vain.
        self.front_end.stop_rings();
        self.front_end.start_rings();
        self.handles.clear();
    }

    fn round(&mut self) {
        self.sent += 1;
        match self.rng.u8(0..24) {
            0 => {
                let bytes: Vec<u8> = std::iter::repeat_with(|| self.rng.u8(..)).take(64).collect();
                let at = self.rng.u64(0..0x1_0000);
                self.front_end.scribble(QUEUE, at, &bytes);
                self.front_end.kick(QUEUE);
            }
            1 => {
                let available = self.rng.u16(..);
                self.front_end.set_available(QUEUE, available);
            }
            2 => {
                let head = self.rng.u16(..);
                self.front_end.offer_head(QUEUE, head);
            }
            3 | 4 => self.descriptors(),
            5 => {
                self.front_end.reset_device();
                self.mount();
                return;
            }
            6 => return self.front_end.swap_memory_table(),
            7 => {
                self.start_anew();
                self.mount();
                return;
            }
            _ => return self.ask(),
        }
        match self.front_end.outcome(QUEUE, A_WHILE) {
            Outcome::Used(_) => {}
            Outcome::Broken | Outcome::Nothing => {
                self.start_anew();
                self.mount();
            }
        }
    }

    /// A chain of descriptors that lead anywhere.
    fn descriptors(&mut self) {
        let (table, buffer) = (self.front_end.table(QUEUE), self.front_end.buffer(QUEUE));
        for index in 0..self.rng.u16(1..8) {
            let address = match self.rng.u8(0..4) {
                0 => self.rng.u64(..),
                1 => FrontEnd::end_of_memory().wrapping_sub(self.rng.u64(0..64)),
                2 => table,
                _ => buffer + self.rng.u64(0..4096),
            };
            let len = if self.rng.bool() { self.rng.u32(0..5000) } else { self.rng.u32(..) };
            let flags =
                *self.rng.choice(&[READ, 1, 1, 1 | WRITE, WRITE, INDIRECT_FLAG, 7]).unwrap();
            let next = self.rng.u16(0..10);
            let descriptor = Descriptor::new(address, len, flags, next);
            self.front_end.write_descriptor(table, index, descriptor);
        }
        self.front_end.offer_head(QUEUE, 0);
    }

    /// A request that is nearly well-formed.
    fn ask(&mut self) {
        let (opcode, request) = self.request();
        let room = if self.rng.u8(..) < 240 { ROOM } else { self.rng.usize(0..ROOM) };
        self.front_end.send(QUEUE, &request, room);
        match self.front_end.outcome(QUEUE, A_WHILE) {
            Outcome::Used(len) => self.look_at(opcode, len),
            Outcome::Broken | Outcome::Nothing => {
                self.start_anew();
                self.mount();
            }
        }
    }

    fn look_at(&mut self, opcode: Opcode, len: usize) {
        let reply = self.front_end.reply(QUEUE, len.min(ROOM));
        let leaked = reply.windows(SECRET.len()).any(|window| window == SECRET);
        assert!(!leaked, "{opcode:?} answered with what is outside the shared directory");
        let body = reply.get(size_of::<OutHeader>()..).unwrap_or_default();
        let handle = match opcode {
            Opcode::Open | Opcode::Opendir => body,
            Opcode::Create | Opcode::Tmpfile => body.get(128..).unwrap_or_default(),
            _ => return,
        };
        if let Ok((handle, _)) = u64::read_from_prefix(handle) {
            self.handles.truncate(16);
            self.handles.insert(0, handle);
        }
    }

    fn request(&mut self) -> (Opcode, Vec<u8>) {
        let opcode = *self.rng.choice(Opcode::ALL).unwrap();
        let mut request = valid(opcode);
        for placeholder in [&b"name\0"[..], b"old\0", b"new\0", b"../target\0"] {
            self.splice(&mut request, placeholder, opcode);
        }
        let node = if self.rng.u8(..) < 240 { self.rng.u64(1..24) } else { self.rng.u64(..) };
        request[16..24].copy_from_slice(&node.to_le_bytes());
        if let Some(handle) = self.rng.choice(&self.handles)
            && let Some(place) = request.get_mut(40..48)
        {
            place.copy_from_slice(&handle.to_le_bytes());
        }
        let len = (request.len() as u32).to_le_bytes();
        request[..4].copy_from_slice(&len);
        match self.rng.u8(0..12) {
            0..=2 => {
                for _ in 0..self.rng.usize(1..5) {
                    let at = self.rng.usize(..request.len());
                    request[at] = self.rng.u8(..);
                }
            }
            3 => request.truncate(self.rng.usize(1..=request.len())),
            _ => {}
        }
        (opcode, request)
    }

    /// Puts one of the names where the placeholder is.
    fn splice(&mut self, request: &mut Vec<u8>, placeholder: &[u8], opcode: Opcode) {
        let found = request.windows(placeholder.len()).position(|window| window == placeholder);
        let Some(at) = found else { return };
        // What races is only looked at, so that the race goes on.
        let looks = matches!(opcode, Opcode::Lookup) && self.rng.bool();
        let name = if looks { self.rng.choice(races::NAMES) } else { self.rng.choice(NAMES) };
        let name = [name.unwrap(), b"\0"].concat();
        request.splice(at..at + placeholder.len(), name);
    }
}
