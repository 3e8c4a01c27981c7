//! Name locks.

use std::time::Duration;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use shm_layout::SharedU64;
use shm_layout::word::Ordering::Acquire;

use super::Model;
use super::kit::{File, incarnation, promise};
use crate::clock::Clock;
use crate::mutation::Rule;
use crate::names::{Census, NameLocks, Outcome, Owner};

pub(super) fn models() -> Vec<Model> {
    vec![
        Model::new(
            "name lock",
            "one at a time, each sees what the last one did, nobody sleeps for ever",
            exclusion,
        )
        .preemptions(3)
        .breaking(&[Rule::LockIgnored, Rule::UnlockRelaxed]),
        Model::new(
            "name lock of the dead",
            "two who find the owner dead do not both get its lock",
            inheritance,
        )
        .preemptions(3)
        .breaking(&[Rule::LockIgnored]),
    ]
}

/// A futex, as the kernel promises it: to look and to fall asleep is one step.
#[derive(Debug)]
pub(super) struct Kernel {
    sleepers: Mutex<()>,
    bell: Condvar,
    /// Sleepers wake by themselves: nobody wakes those who wait for the dead.
    times_out: bool,
}

impl Kernel {
    pub(super) fn new(times_out: bool) -> Arc<Self> {
        Arc::new(Self { sleepers: Mutex::new(()), bell: Condvar::new(), times_out })
    }
}

impl Clock for Kernel {
    fn now(&self) -> Duration {
        // Nobody's patience ends: what is to be shown is that nobody needs it.
        Duration::ZERO
    }

    fn wait(&self, word: &SharedU64, seen: u64, _: Duration) {
        if self.times_out {
            return loom::thread::yield_now();
        }
        let guard = self.sleepers.lock().unwrap();
        if word.load(Acquire) == seen {
            drop(self.bell.wait(guard).unwrap());
        }
    }

    fn wake(&self, _: &SharedU64) {
        drop(self.sleepers.lock().unwrap());
        self.bell.notify_all();
    }
}

pub(super) struct Living;

impl Census for Living {
    fn is_gone(&self, _: Owner) -> bool {
        false
    }
}

/// Everybody of this incarnation is dead.
struct Dead(u64);

impl Census for Dead {
    fn is_gone(&self, owner: Owner) -> bool {
        owner.incarnation == incarnation(self.0)
    }
}

fn owner(n: u16) -> Owner {
    Owner { incarnation: incarnation(u64::from(n) + 1), row: n, worker: 0 }
}

/// Adds one to `counter` in two steps, as only the lock makes right.
fn work(locks: NameLocks<'_>, kernel: &Kernel, census: &dyn Census, me: Owner, counter: &File) {
    promise(locks.lock(0, me, kernel, census) == Outcome::Locked, "patience never ends here");
    counter.write(counter.read() + 1);
    locks.unlock(0, me, kernel);
}

fn exclusion(_: u32) {
    compete(SharedU64::new(0), 0);
}

fn inheritance(_: u32) {
    let word = SharedU64::new(0);
    let kernel = Kernel::new(true);
    // The owner dies with the lock in hand.
    promise(
        NameLocks::new(std::slice::from_ref(&word), 1).lock(0, owner(9), &*kernel, &Living)
            == Outcome::Locked,
        "a free lock is had at once",
    );
    compete(word, 10);
}

/// Two threads work under the lock that `word` is; whoever has incarnation `dead` is dead.
fn compete(word: SharedU64, dead: u64) {
    let word = Arc::new(word);
    let kernel = Kernel::new(dead != 0);
    let counter = Arc::new(File::new(0));
    let worker = |n: u16| {
        let (word, kernel, counter) = (word.clone(), kernel.clone(), counter.clone());
        move || {
            let locks = NameLocks::new(std::slice::from_ref(&*word), 1);
            match dead {
                0 => work(locks, &kernel, &Living, owner(n), &counter),
                dead => work(locks, &kernel, &Dead(dead), owner(n), &counter),
            }
        }
    };
    let other = thread::spawn(worker(0));
    worker(1)();
    other.join().unwrap();
    promise(counter.read() == 2, "two were in at once, or one saw what was before the other");
}
