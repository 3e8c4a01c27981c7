//! Files that are cut while others have them mapped.

use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering::{Acquire, Release};
use loom::thread;
use shm_layout::SharedU64;

use super::Model;
use super::kit::{File, incarnation, promise};
use super::locks::{Kernel, Living};
use crate::clock::Clock;
use crate::cuts::{Answer, FileNumber, Holder, Question, STRIPE_WORDS, Stripe};
use crate::mutation::Rule;
use crate::names::{NameLocks, Outcome, Owner};

pub(super) fn models() -> Vec<Model> {
    vec![
        Model::new("cut", "no page is mapped that its file does not have", cut)
            .preemptions(2)
            .breaking(&[
                Rule::CutUnasked,
                Rule::AnswerEarly,
                Rule::AnswerRelaxed,
                Rule::MapUnlocked,
            ]),
    ]
}

const FILE: FileNumber = FileNumber { device: 0, inode: 0 };

/// One stripe, one holder, a file of one page or none.
struct World {
    stripe: Vec<SharedU64>,
    bell: SharedU64,
    maps: Vec<SharedU64>,
    answers: Vec<SharedU64>,
    /// Pages of the file.
    size: File,
    /// Pages that the holder's VMM has mapped.
    mapped: File,
    over: AtomicU64,
    kernel: Arc<Kernel>,
}

impl World {
    fn new() -> Arc<Self> {
        let word = || SharedU64::new(0);
        Arc::new(Self {
            stripe: (0..STRIPE_WORDS).map(|_| word()).collect(),
            bell: word(),
            maps: vec![word()],
            answers: vec![word()],
            size: File::new(1),
            mapped: File::new(0),
            over: AtomicU64::new(0),
            kernel: Kernel::new(false),
        })
    }

    fn holder(&self) -> Holder<'_> {
        Holder { bell: &self.bell, maps: &self.maps, answers: &self.answers }
    }

    fn stripe(&self) -> Stripe<'_> {
        Stripe(&self.stripe)
    }

    fn locked(&self, row: u16, act: impl FnOnce()) {
        let locks = NameLocks::new(&self.stripe, STRIPE_WORDS);
        let me = Owner { incarnation: incarnation(u64::from(row) + 1), row, worker: 0 };
        promise(
            locks.lock(0, me, &*self.kernel, &Living) == Outcome::Locked,
            "patience never ends",
        );
        act();
        locks.unlock(0, me, &*self.kernel);
    }

    fn map(&self) {
        let act = || {
            self.holder().set_maps(&[1]);
            self.mapped.write(self.size.read());
        };
        if broken!(MapUnlocked) { act() } else { self.locked(1, act) }
    }

    fn cut(&self) {
        self.locked(0, || {
            if self.holder().maps(0) && !broken!(CutUnasked) {
                let turn = self.stripe().ask(Question { file: FILE, size: 0 });
                self.holder().ring(&*self.kernel);
                let answer = self.holder().answer(0, turn, &*self.kernel, || false);
                promise(answer == Answer::Done, "the holder answers");
            }
            self.size.write(0);
            promise(self.mapped.read() == 0, "a page is cut that a VMM has mapped");
            self.stripe().close();
        });
        self.over.store(1, Release);
        self.holder().ring(&*self.kernel);
    }

    fn attend(&self) {
        loop {
            let seen = self.bell.load(Acquire);
            let fit = |_| {
                self.mapped.write(0);
                true
            };
            self.holder().attend(self.stripe(), 0, &*self.kernel, fit);
            if self.over.load(Acquire) == 1 {
                return;
            }
            self.kernel.wait(&self.bell, seen, Duration::MAX);
        }
    }
}

/// One daemon cuts the file; the other maps it, and answers.
fn cut(_: u32) {
    let world = World::new();
    let (mapper, attendant) = (world.clone(), world.clone());
    let mapper = thread::spawn(move || mapper.map());
    let attendant = thread::spawn(move || attendant.attend());
    world.cut();
    mapper.join().unwrap();
    attendant.join().unwrap();
    promise(world.mapped.read() <= world.size.read(), "mapped beyond the file's end");
}
