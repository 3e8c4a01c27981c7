//! A daemon that changes files at random.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::TryRecvError;

use coherence::{Change, Engine, Keeper, SlotIndex, SlotSet, View, Worker};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::random::Random;
use crate::share::{self, Share};
use crate::{ends_with_stdin, options};

/// Whether it does as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    Good,
    DoesNotAnnounce,
}

struct Daemon {
    share: Share,
    view: View,
    random: Random,
    manners: Manners,
}

/// Changes files until standard input ends.
pub(crate) fn run(place: &Path, seed: u64, manners: Manners) {
    let end = ends_with_stdin();
    let engine = Engine::attach(options(place)).unwrap();
    let keeper = Keeper::start(&engine).unwrap();
    let share = Share::open(place, &engine);
    let view = View::open(&place.join("table")).unwrap();
    let mut daemon = Daemon { share, view, random: Random::new(seed), manners };
    let mut worker = engine.worker().unwrap();
    while end.try_recv() == Err(TryRecvError::Empty) {
        daemon.change_something(&engine, &mut worker);
        // Others have to come in between, or nothing is ever cached.
        if daemon.random.below(4) == 0 {
            std::thread::sleep(std::time::Duration::from_micros(daemon.random.below(500)));
        }
    }
    drop((worker, keeper));
}

/// Does nothing but announce and publish until standard input ends: whenever it is killed, it is in the middle.
pub(crate) fn announce_for_ever(place: &Path) {
    let end = ends_with_stdin();
    let engine = Engine::attach(options(place)).unwrap();
    let keeper = Keeper::start(&engine).unwrap();
    let mut worker = engine.worker().unwrap();
    let mut ino = 0;
    while end.try_recv() == Err(TryRecvError::Empty) {
        for _ in 0..1000 {
            ino += 1;
            let of = share::slots(&engine, ino % 64);
            worker.announce([of.perm, of.attr, of.data].into()).unwrap().publish();
        }
    }
    drop((worker, keeper));
}

impl Daemon {
    fn change_something(&mut self, engine: &Engine, worker: &mut Worker) {
        let name = share::name(&mut self.random);
        match self.random.below(100) {
            0..20 => self.write(engine, worker, &name),
            20..30 => self.chmod(engine, worker, &name),
            30..60 => self.create(engine, worker, &name),
            60..75 => self.unlink(engine, worker, &name),
            75..90 => self.rename(engine, worker, &name),
            90..98 => self.link(engine, worker, &name),
            98 => self.hold(worker, &name),
            _ => engine.sweep(),
        }
    }

    /// The slots of a change: none when this daemon has bad manners.
    fn slots<const N: usize>(&self, slots: [Option<SlotIndex>; N]) -> SlotSet {
        match self.manners {
            Manners::Good => slots.into(),
            Manners::DoesNotAnnounce => SlotSet::EMPTY,
        }
    }

    fn open(&self, name: &str) -> Option<File> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.share.directory, name, flags, Mode::empty());
        opened.ok().map(File::from)
    }

    fn attr(engine: &Engine, fd: Option<&OwnedFd>) -> Option<SlotIndex> {
        let ino = share::attributes(&fd?.as_fd()).unwrap().ino;
        Some(share::slots(engine, ino).attr)
    }

    fn write(&mut self, engine: &Engine, worker: &mut Worker, name: &str) {
        let Some(file) = self.open(name) else { return };
        let of = share::slots(engine, share::attributes(&file).unwrap().ino);
        let change =
            worker.announce(self.slots([Some(of.attr), Some(of.data), Some(of.perm)])).unwrap();
        let size = self.random.below(10_000);
        rustix::fs::ftruncate(&file, size).unwrap();
        self.finish(change, of.attr, &file);
    }

    fn chmod(&mut self, engine: &Engine, worker: &mut Worker, name: &str) {
        let Some(file) = self.open(name) else { return };
        let of = share::slots(engine, share::attributes(&file).unwrap().ino);
        let change = worker.announce(self.slots([Some(of.attr), Some(of.perm)])).unwrap();
        let mode = 0o600 | self.random.below(0o100) as u32;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).unwrap();
        self.finish(change, of.attr, &file);
    }

    /// Publishes, and looks whether a stamp for what was left behind is good for as long as it says.
    fn finish(&self, change: Change<'_>, attr: SlotIndex, file: &File) {
        let (read, published) = change.finish(|| share::attributes(file).unwrap());
        let snapshot = published.snapshot(attr);
        if self.view.is_current(snapshot) {
            let now = share::attributes(file).unwrap();
            assert!(now == read || !self.view.is_current(snapshot), "{read:?} became {now:?}");
        }
    }

    fn create(&mut self, engine: &Engine, worker: &mut Worker, name: &str) {
        let entry = self.share.entry(engine, name);
        let mut guard = worker.lock_names([entry]);
        let slots = self.slots([Some(entry), Some(self.share.slots.attr)]);
        let change = guard.announce(slots).unwrap();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.share.directory, name, flags, Mode::from_raw_mode(0o644)) {
            Ok(_) | Err(Errno::EXIST) => change.publish(),
            Err(e) => panic!("create: {e}"),
        }
    }

    fn unlink(&mut self, engine: &Engine, worker: &mut Worker, name: &str) {
        let entry = self.share.entry(engine, name);
        let mut guard = worker.lock_names([entry]);
        let child = self.share.resolve(name).unwrap();
        let attr = Self::attr(engine, child.as_ref());
        let slots = self.slots([Some(entry), Some(self.share.slots.attr), attr]);
        let change = guard.announce(slots).unwrap();
        match rustix::fs::unlinkat(&self.share.directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => change.publish(),
            Err(e) => panic!("unlink: {e}"),
        }
    }

    fn rename(&mut self, engine: &Engine, worker: &mut Worker, from: &str) {
        let to = share::name(&mut self.random);
        let entries = [self.share.entry(engine, from), self.share.entry(engine, &to)];
        let mut guard = worker.lock_names(entries);
        let moved = Self::attr(engine, self.share.resolve(from).unwrap().as_ref());
        let replaced = Self::attr(engine, self.share.resolve(&to).unwrap().as_ref());
        let parent = Some(self.share.slots.attr);
        let slots = self.slots([Some(entries[0]), Some(entries[1]), parent, moved, replaced]);
        let change = guard.announce(slots).unwrap();
        let flags = [RenameFlags::empty(), RenameFlags::NOREPLACE, RenameFlags::EXCHANGE];
        let flags = flags[self.random.below(3) as usize];
        let directory = &self.share.directory;
        match rustix::fs::renameat_with(directory, from, directory, &to, flags) {
            Ok(()) | Err(Errno::NOENT | Errno::EXIST) => change.publish(),
            Err(e) => panic!("rename: {e}"),
        }
    }

    fn link(&mut self, engine: &Engine, worker: &mut Worker, from: &str) {
        let to = share::name(&mut self.random);
        let Some(file) = self.open(from) else { return };
        let of = share::slots(engine, share::attributes(&file).unwrap().ino);
        let entry = self.share.entry(engine, &to);
        let mut guard = worker.lock_names([entry]);
        let slots = self.slots([Some(entry), Some(self.share.slots.attr), Some(of.attr)]);
        let change = guard.announce(slots).unwrap();
        let directory = &self.share.directory;
        // By descriptor: what is linked is what was announced. A file without a name left cannot be linked again.
        let linked = rustix::fs::linkat(&file, "", directory, &to, AtFlags::EMPTY_PATH);
        match linked {
            Ok(()) | Err(Errno::EXIST | Errno::NOENT) => change.publish(),
            Err(e) => panic!("link: {e}"),
        }
    }

    /// Maps a file for writing, as DAX does, and unmaps it.
    fn hold(&mut self, worker: &mut Worker, name: &str) {
        let engine = worker.engine();
        let Some(file) = self.open(name) else { return };
        let of = share::slots(engine, share::attributes(&file).unwrap().ino);
        let hold = engine.hold(self.slots([Some(of.attr), Some(of.data)])).unwrap();
        let size = self.random.below(10_000);
        rustix::fs::ftruncate(&file, size).unwrap();
        drop(hold);
    }
}
