//! A coherent guest that works where the hostile one is at work, and believes what its stamps vouch for.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use coherence::{Snapshot, View};
use fastrand::Rng;
use fuse::abi::{
    Attr, CreateIn, EntryOut, InitFlags, InitIn, InitOut, MAJOR, Opcode, ReleaseIn, RenameIn,
    SetattrIn, SetattrValid, Stamp,
};
use fuse::testing::RequestBuilder;
use zerocopy::FromBytes;

use super::House;
use crate::support::front_end::FrontEnd;
use crate::support::guest::Guest;

const NAMES: [&str; 6] = ["honest-0", "honest-1", "honest-2", "honest-3", "honest-4", "honest-5"];

const ROOM: usize = 512;

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Work {
    changes: u64,
    /// Copies that their stamps vouched for, and that were right.
    hits: u64,
    misses: u64,
}

impl Work {
    pub(crate) fn and(self, more: &Self) -> Self {
        Self {
            changes: self.changes + more.changes,
            hits: self.hits + more.hits,
            misses: self.misses + more.misses,
        }
    }

    pub(crate) fn check(&self) {
        eprintln!("an honest guest: {self:?}");
        assert!(self.changes > 0 && self.hits > 0 && self.misses > 0, "{self:?}");
    }
}

/// Works until it is told to stop.
pub(crate) fn work(socket: &Path, house: &House, stop: &AtomicBool, rng: Rng) -> Work {
    let view = View::open(house.table()).unwrap();
    let guest = Guest { front_end: FrontEnd::connect(socket, 2) };
    let mut honest = Honest {
        guest,
        view,
        rng,
        arena: 0,
        path: house.path("share/arena"),
        copies: Vec::new(),
        work: Work::default(),
    };
    honest.mount();
    // Relaxed: the flag carries no data.
    while !stop.load(Ordering::Relaxed) {
        honest.round();
        thread::sleep(Duration::from_micros(300));
    }
    honest.work
}

struct Honest {
    guest: Guest,
    view: View,
    rng: Rng,
    arena: u64,
    path: PathBuf,
    copies: Vec<Copy>,
    work: Work,
}

/// What a name meant, and who vouches for that.
struct Copy {
    name: &'static str,
    attr: Attr,
    vouchers: [Snapshot; 3],
}

impl Honest {
    fn mount(&mut self) {
        let init = InitIn {
            major: MAJOR,
            minor: 45,
            max_readahead: 0x20000,
            flags: InitFlags::INIT_EXT.bits() as u32,
            flags2: (InitFlags::VERSION_TABLE.bits() >> 32) as u32,
            unused: [0; 7],
            table_id: self.view.header().id,
        };
        let request = RequestBuilder::new(Opcode::Init).node(0).with(&init).build();
        let reply = self.guest.request(&request, ROOM).unwrap();
        let reply = InitOut::read_from_prefix(&reply).unwrap().0;
        assert_eq!(u64::from(reply.flags2) << 32, InitFlags::VERSION_TABLE.bits(), "coherent");
        let lookup = RequestBuilder::new(Opcode::Lookup).node(1).name(b"arena");
        let entry = self.ask(lookup).unwrap();
        self.arena = EntryOut::read_from_prefix(&entry).unwrap().0.nodeid;
    }

    fn round(&mut self) {
        let name = NAMES[self.rng.usize(..NAMES.len())];
        match self.rng.u8(0..8) {
            0 => self.create(name),
            1 => self.set_size(name),
            2 => self.change(Opcode::Unlink, |request| request.name(name.as_bytes())),
            3 => {
                let new = NAMES[self.rng.usize(..NAMES.len())];
                let rename = RenameIn { newdir: self.arena };
                self.change(Opcode::Rename, |request| {
                    request.with(&rename).name(name.as_bytes()).name(new.as_bytes())
                });
            }
            _ => drop(self.look(name)),
        }
        for index in (0..self.copies.len()).rev() {
            if !self.is_right(index) {
                self.copies.swap_remove(index);
            }
        }
    }

    fn ask(&mut self, request: RequestBuilder) -> Result<Vec<u8>, i32> {
        self.guest.request(&request.user(0, 0).build(), ROOM)
    }

    fn change(&mut self, opcode: Opcode, fill: impl FnOnce(RequestBuilder) -> RequestBuilder) {
        let request = fill(RequestBuilder::new(opcode).node(self.arena));
        self.work.changes += u64::from(self.ask(request).is_ok());
    }

    fn create(&mut self, name: &str) {
        let create = CreateIn {
            flags: (libc::O_RDWR | libc::O_CREAT) as u32,
            mode: libc::S_IFREG | 0o644,
            umask: 0o22,
            open_flags: 0,
        };
        let request = RequestBuilder::new(Opcode::Create).node(self.arena).with(&create);
        let Ok(reply) = self.ask(request.name(name.as_bytes())) else { return };
        self.work.changes += 1;
        let (entry, rest) = EntryOut::read_from_prefix(&reply).unwrap();
        let fh = u64::read_from_prefix(rest).unwrap().0;
        let release = ReleaseIn { fh, ..ReleaseIn::default() };
        let request = RequestBuilder::new(Opcode::Release).node(entry.nodeid).with(&release);
        self.ask(request).unwrap();
    }

    fn set_size(&mut self, name: &'static str) {
        let Some(node) = self.look(name) else { return };
        let valid = SetattrValid::SIZE.bits();
        let set = SetattrIn { valid, size: self.rng.u64(0..5000), ..SetattrIn::default() };
        let request = RequestBuilder::new(Opcode::Setattr).node(node).with(&set);
        self.work.changes += u64::from(self.ask(request).is_ok());
    }

    /// Looks a name up and keeps what comes.
    fn look(&mut self, name: &'static str) -> Option<u64> {
        let request = RequestBuilder::new(Opcode::Lookup).node(self.arena);
        let reply = self.ask(request.name(name.as_bytes())).ok()?;
        let (entry, rest) = EntryOut::read_from_prefix(&reply).unwrap();
        if entry.nodeid == 0 {
            return None;
        }
        let stamp = Stamp::read_from_prefix(rest).unwrap().0;
        let voucher =
            |place: usize| Snapshot { slot: stamp.slots[place], word: stamp.words[place] };
        let vouchers = [Stamp::ENTRY, Stamp::PERM, Stamp::ATTR].map(voucher);
        self.copies.truncate(8);
        self.copies.push(Copy { name, attr: entry.attr, vouchers });
        Some(entry.nodeid)
    }

    /// Whether a copy is vouched for. If so it is what the host says, unless that changes at this very moment.
    fn is_right(&mut self, index: usize) -> bool {
        let copy = &self.copies[index];
        let path = self.path.join(copy.name);
        let before = host(&path);
        let vouched = copy.vouchers.iter().all(|voucher| self.view.is_current(*voucher));
        if !vouched {
            self.work.misses += 1;
            return false;
        }
        if before == host(&path) {
            assert_eq!(
                before,
                Some(told(&copy.attr)),
                "{}: a stale copy is vouched for",
                copy.name
            );
            self.work.hits += 1;
        }
        true
    }
}

/// What is compared: inode, mode, links, owner, size, times of change.
type Facts = (u64, u32, u64, [u32; 2], u64, [(i64, i64); 2]);

fn host(path: &Path) -> Option<Facts> {
    let meta = fs::symlink_metadata(path).ok()?;
    let times = [(meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec())];
    let owner = [meta.uid(), meta.gid()];
    Some((meta.ino(), meta.mode(), meta.nlink(), owner, meta.size(), times))
}

fn told(attr: &Attr) -> Facts {
    let times =
        [(attr.mtime as i64, attr.mtimensec.into()), (attr.ctime as i64, attr.ctimensec.into())];
    (attr.ino, attr.mode, attr.nlink.into(), [attr.uid, attr.gid], attr.size, times)
}
