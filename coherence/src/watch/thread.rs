//! The thread that reads the source.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::coverage::Shared;
use super::figures::Counters;
use super::mounts::MountTable;
use super::source::Factory;
use super::{Batch, ChangeSource};
use crate::engine::Engine;

/// How long a source that failed is left alone before another is made.
const RETRY: Duration = Duration::from_millis(500);

/// Batches after which the thread looks whether there is anything else to do.
const BATCHES: u32 = 64;

/// How long the thread leaves events alone after some that told it nothing new: changes that a daemon of this table has
/// announced come back as events, one for each, and waking up for each would cost more than the change. A change made on
/// the host that comes right behind them is heard of so much later. Twice as long each time, as long as there is no news.
const NAP: Duration = Duration::from_micros(200);
/// The longest nap.
const LONGEST_NAP: Duration = Duration::from_millis(1);

/// Everything that the thread owns.
pub(super) struct Loop {
    engine: Arc<Engine>,
    shared: Arc<Shared>,
    factory: Factory,
    mounts: MountTable,
    stop: OwnedFd,
    lives: u64,
}

/// What woke the thread.
struct Woken {
    stop: bool,
    mounts: bool,
}

/// What a batch of events told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// There were none.
    Nothing,
    /// Of changes that no stamp of this daemon's outlived: its own, another daemon's, or to what no guest knows.
    Known,
    /// Something had to be moved, or what was told is no more than half of it: inotify tells of a file's attributes by its
    /// directory's watch first, which says nothing, and then by the file's own.
    News,
}

impl std::fmt::Debug for Loop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loop").field("lives", &self.lives).finish_non_exhaustive()
    }
}

impl Loop {
    pub(super) fn new(
        engine: &Arc<Engine>,
        shared: &Arc<Shared>,
        factory: Factory,
        mounts: MountTable,
        stop: OwnedFd,
    ) -> Self {
        let (engine, shared) = (Arc::clone(engine), Arc::clone(shared));
        Self { engine, shared, factory, mounts, stop, lives: 1 }
    }

    pub(super) fn run(mut self) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.watch())) {
                Ok(Ok(())) => break,
                Ok(Err(error)) => self.fail(&error.to_string()),
                Err(_) => self.fail("its thread died"),
            }
            if !self.recover() {
                break;
            }
        }
        // Whoever still asks is told no; the engine sweeps when it goes.
        self.shared.end_life();
    }

    /// Reads until it is time to stop.
    fn watch(&mut self) -> io::Result<()> {
        let source = self.shared.source.read().clone();
        let Some(source) = source else { return Ok(()) };
        let mut nap = NAP;
        loop {
            let woken = self.wait(&*source)?;
            if woken.stop {
                return Ok(());
            }
            if woken.mounts && self.mounts.changed()? {
                tracing::info!("a mount has come or gone below the shared directory");
                self.sweep();
            }
            let mut news = Turn::Nothing;
            for _ in 0..BATCHES {
                match self.turn(&*source)? {
                    Turn::Nothing => break,
                    turn => news = turn,
                }
            }
            if news == Turn::Known {
                if self.stopped_within(nap) {
                    return Ok(());
                }
                nap = LONGEST_NAP.min(2 * nap);
            } else {
                nap = NAP;
            }
        }
    }

    /// One batch of events, one pass.
    fn turn(&self, source: &dyn ChangeSource) -> io::Result<Turn> {
        let mut batch = Batch::new(self.engine.placement());
        let any = source.read(&mut batch)?;
        if !any {
            return Ok(Turn::Nothing);
        }
        let (events, own) = batch.counts();
        let mut turn = Turn::News;
        if let Some(why) = batch.why_lost() {
            tracing::warn!("{why}: nothing that is cached counts any longer");
            self.sweep();
        } else {
            let moved = self.engine.end_stamps(batch.slots());
            Counters::add(&self.shared.counters.moved, moved);
            // Most of this daemon's own changes name no slot at all.
            let tells_all = !batch.slots().is_empty() || own == events;
            if moved == 0 && tells_all {
                turn = Turn::Known;
            }
        }
        Counters::add(&self.shared.counters.own_events, own);
        // Last: who has seen the count sees what came of the events.
        Counters::add(&self.shared.counters.events, events);
        Ok(turn)
    }

    fn sweep(&self) {
        self.engine.sweep();
        Counters::add(&self.shared.counters.sweeps, 1);
    }

    fn wait(&self, source: &dyn ChangeSource) -> io::Result<Woken> {
        let mut fds = [
            PollFd::from_borrowed_fd(self.stop.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.mounts.fd(), PollFlags::PRI),
            PollFd::from_borrowed_fd(source.fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let happened = |i: usize| !fds[i].revents().is_empty();
        if fds[2].revents().intersects(PollFlags::NVAL) {
            return Err(io::Error::other("its descriptor was closed"));
        }
        Ok(Woken { stop: happened(0), mounts: happened(1) })
    }

    /// In this order: no more stamps, then those that were given end.
    fn fail(&self, why: &str) {
        self.shared.end_life();
        self.sweep();
        Counters::add(&self.shared.counters.failures, 1);
        tracing::error!("changes on the host cannot be watched ({why}): nothing is cached for now");
    }

    /// Makes a new source. In this order: watches, then stamps. False when it is time to stop.
    fn recover(&mut self) -> bool {
        loop {
            let renewed = catch_unwind(AssertUnwindSafe(|| self.renew()));
            match renewed.unwrap_or_else(|_| Err(io::Error::other("that died, too"))) {
                Ok(()) => {
                    self.lives += 1;
                    self.shared.begin_life(self.lives);
                    tracing::info!("changes on the host are watched again");
                    return true;
                }
                Err(error) => tracing::debug!("still nothing to watch with: {error}"),
            }
            if self.stopped_within(RETRY) {
                return false;
            }
        }
    }

    fn renew(&self) -> io::Result<()> {
        let source = (self.factory)()?;
        // Under this lock: file systems that are met meanwhile are told to one source or the other.
        let systems = self.shared.systems.lock();
        for system in systems.values() {
            let watched = source.watch_file_system(system.file.as_fd());
            if let Err(refusal) = &watched {
                self.shared.counters.refuse_system(refusal);
            }
            system.renew(&watched);
        }
        *self.shared.source.write() = Some(source);
        Ok(())
    }

    fn stopped_within(&self, time: Duration) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.stop.as_fd(), PollFlags::IN)];
        let time = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
        matches!(poll(&mut fds, Some(&time)), Ok(1..))
    }
}
