//! Cutting files that other daemons' guests have mapped, and being asked to let go of them (`crate::cuts`).

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use shm_layout::SharedU64;
use shm_layout::word::Ordering::{Acquire, Relaxed};

use super::peers::Peer;
use super::{Engine, KEEPER};
use crate::cuts::{Answer, FileNumber, PATIENCE, Question, Stripe, stripes_of};
use crate::limits::CUT_STRIPES;
use crate::names::{NameLocks, Outcome, Owner};

/// Why a file cannot be cut, or mapped, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unyielding {
    /// Somebody has its lock for too long.
    #[error("another daemon maps or cuts it")]
    Locked,
    /// A guest has it mapped, and its VMM does not take it away.
    #[error("the VMM of the daemon with pid {pid} does not let go of it")]
    Mapped {
        /// As the daemon is known outside its sandbox.
        pid: u64,
    },
}

/// Has pages of files mapped for a guest.
pub trait Tenant: Debug + Send + Sync {
    /// No page stays mapped that `file` will not have when it has `size` bytes; other memory may take their places. What
    /// the file has and its mapping lacks is mapped. Returns whether other memory is in any page's place.
    ///
    /// # Errors
    /// The pages cannot be taken away.
    fn fit(&self, file: FileNumber, size: u64) -> io::Result<bool>;

    /// A file that was to be cut has been cut, or will not be: what it has is mapped.
    fn settle(&self, file: FileNumber);
}

/// The right to map a file, and to cut it. Nobody else has it while this lives.
#[derive(Debug)]
pub struct FileLock {
    engine: Arc<Engine>,
    file: FileNumber,
    /// Those who were asked.
    asked: Vec<Peer>,
}

impl Engine {
    /// Takes the lock that is held while a file is mapped or cut.
    ///
    /// # Errors
    /// [`Unyielding::Locked`] after some seconds.
    pub fn lock_file(self: &Arc<Self>, file: FileNumber) -> Result<FileLock, Unyielding> {
        let (locks, stripe, me) = (self.host.cut_locks(), file.stripe(), self.cutter());
        let deadline = self.clock.now() + 2 * PATIENCE;
        while let Outcome::Overdue(_) = locks.lock(stripe, me, &*self.clock, &self.registry()) {
            if self.clock.now() >= deadline {
                return Err(Unyielding::Locked);
            }
        }
        Ok(FileLock { engine: Arc::clone(self), file, asked: Vec::new() })
    }

    /// These are all files that are mapped for this daemon's guest. A new one is told before it is mapped, under its lock.
    pub fn set_mapped(&self, files: impl IntoIterator<Item = FileNumber>) {
        self.own_row().holder().set_maps(&stripes_of(files));
    }

    /// Whether a guest may have other memory where a file had pages, so that files that grow must be told of.
    #[must_use]
    pub fn has_blanks(&self) -> bool {
        self.host.has_blanks()
    }

    /// A file has grown: guests that have other memory in place of its pages get them back.
    ///
    /// # Errors
    /// [`Unyielding`].
    pub fn grown(self: &Arc<Self>, file: FileNumber, size: u64) -> Result<(), Unyielding> {
        if !self.host.stripe(file.stripe()).blanks(false) {
            return Ok(());
        }
        let mut lock = self.lock_file(file)?;
        self.host.stripe(file.stripe()).blanks(true);
        lock.others_fit(size).inspect_err(|_| self.host.stripe(file.stripe()).note_blanks())
    }

    /// Threads of one daemon wait for each other like those of two.
    fn cutter(&self) -> Owner {
        Owner { incarnation: self.who, row: self.row as u16, worker: KEEPER as u8 }
    }

    fn stripe(&self, number: usize) -> (Stripe<'_>, NameLocks<'_>) {
        (self.host.stripe(number), self.host.cut_locks())
    }
}

impl FileLock {
    /// Has all other daemons let go of what the file will not have when it has `size` bytes.
    ///
    /// # Errors
    /// [`Unyielding::Mapped`]: then leave the file as it is.
    pub fn others_fit(&mut self, size: u64) -> Result<(), Unyielding> {
        let engine = Arc::clone(&self.engine);
        let number = self.file.stripe();
        let holder = |peer: &Peer| engine.host.row(peer.row).holder();
        self.asked = engine.peers().filter(|peer| holder(peer).maps(number)).collect();
        if self.asked.is_empty() {
            return Ok(());
        }
        let turn = engine.host.stripe(number).ask(Question { file: self.file, size });
        self.asked.iter().for_each(|peer| holder(peer).ring(&*engine.clock));
        for &peer in &self.asked {
            let is_gone = || engine.host.is_gone(peer.row, peer.who);
            let answer = holder(&peer).answer(number, turn, &*engine.clock, is_gone);
            let fits = match answer {
                Answer::Done => true,
                // Its VMM may live on, and nobody can take anything away from it.
                Answer::Gone => engine.undertaker().front_end_is_gone(peer),
                Answer::Refused | Answer::Late => false,
            };
            if !fits {
                let pid = engine.host.row(peer.row).get(crate::host::RowField::Pid);
                tracing::warn!(pid, ?answer, "a guest's VMM does not let go of a file");
                return Err(Unyielding::Mapped { pid });
            }
        }
        Ok(())
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let engine = &self.engine;
        let (stripe, locks) = engine.stripe(self.file.stripe());
        stripe.close();
        locks.unlock(self.file.stripe(), engine.cutter(), &*engine.clock);
        for peer in &self.asked {
            engine.host.row(peer.row).holder().ring(&*engine.clock);
        }
    }
}

/// How long nobody looks whether a question is over whose asker may have died.
const UNSETTLED: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_secs(1);

/// The thread that lets go of files when other daemons ask. It ends when this value is dropped.
#[derive(Debug)]
pub struct Attendant {
    engine: Arc<Engine>,
    /// Not 0: the thread shall end.
    stop: Arc<SharedU64>,
    thread: Option<JoinHandle<()>>,
}

impl Attendant {
    /// Starts the thread. Before anything is mapped.
    ///
    /// # Errors
    /// No thread to be had.
    pub fn start(engine: &Arc<Engine>, tenant: Arc<dyn Tenant>) -> io::Result<Self> {
        let stop = Arc::new(SharedU64::new(0));
        let mut duty = Duty { engine: Arc::clone(engine), tenant, unsettled: Vec::new() };
        let stops = Arc::clone(&stop);
        let work = move || {
            // Relaxed: the bell that follows is looked at before each wait.
            while stops.load(Relaxed) == 0 {
                duty.turn();
            }
        };
        let thread = std::thread::Builder::new().name("attendant".to_owned()).spawn(work)?;
        Ok(Self { engine: Arc::clone(engine), stop, thread: Some(thread) })
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        // Relaxed: see above.
        self.stop.store(1, Relaxed);
        self.engine.own_row().holder().ring(&*self.engine.clock);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Duty {
    engine: Arc<Engine>,
    tenant: Arc<dyn Tenant>,
    /// Files that are perhaps being cut.
    unsettled: Vec<FileNumber>,
}

impl Duty {
    fn turn(&mut self) {
        let engine = Arc::clone(&self.engine);
        let bell = engine.own_row().holder().bell;
        // Acquire: the question that it rings for.
        let seen = bell.load(Acquire);
        let holder = engine.own_row().holder();
        (0..CUT_STRIPES)
            .filter(|&stripe| holder.maps(stripe))
            .for_each(|stripe| self.attend(stripe));
        self.settle();
        let pause = if self.unsettled.is_empty() { IDLE } else { UNSETTLED };
        engine.clock.wait(bell, seen, pause);
    }

    /// Answers what is asked on a stripe.
    fn attend(&mut self, number: usize) {
        let (engine, tenant) = (&self.engine, &self.tenant);
        let stripe = engine.host.stripe(number);
        let fit = |question: Question| {
            let fits = tenant.fit(question.file, question.size);
            if let Ok(true) = fits {
                stripe.note_blanks();
                engine.host.note_blanks();
            }
            fits.is_ok()
        };
        let asked = engine.own_row().holder().attend(stripe, number, &*engine.clock, fit);
        if let Some(question) = asked
            && !self.unsettled.contains(&question.file)
        {
            self.unsettled.push(question.file);
        }
    }

    /// Who has the lock need not wait: nobody cuts the file.
    fn settle(&mut self) {
        let (engine, tenant) = (&self.engine, &self.tenant);
        let (locks, me) = (engine.host.cut_locks(), engine.cutter());
        self.unsettled.retain(|file| {
            if !locks.try_lock(file.stripe(), me) {
                return true;
            }
            tenant.settle(*file);
            locks.unlock(file.stripe(), me, &*engine.clock);
            false
        });
    }
}

#[cfg(test)]
#[path = "cuts_tests.rs"]
mod tests;
