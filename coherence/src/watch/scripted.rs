//! A source whose changes a test writes.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::event::EventfdFlags;

use super::{Batch, ChangeSource, Grain, Part, Refusal};
use crate::hash::InodeKey;

/// What happens next.
#[derive(Clone, Debug)]
pub enum Script {
    /// A name means something else.
    Name(InodeKey, Vec<u8>),
    /// Something of an inode has changed.
    Inode(InodeKey, Part),
    /// Events were lost.
    Lost,
    /// The source fails.
    Fail,
    /// The thread that reads dies.
    Die,
}

/// The source.
#[derive(Clone, Debug)]
pub struct Scripted {
    next: Arc<Mutex<VecDeque<Script>>>,
    bell: Arc<OwnedFd>,
    grain: Grain,
}

impl Scripted {
    /// Nothing happens yet.
    ///
    /// # Errors
    /// No descriptor to be had.
    pub fn new(grain: Grain) -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let bell = Arc::new(rustix::event::eventfd(0, flags)?);
        Ok(Self { next: Arc::default(), bell, grain })
    }

    /// Something happens.
    pub fn tell(&self, what: Script) {
        self.next.lock().push_back(what);
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
    }
}

impl ChangeSource for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn grain(&self) -> Grain {
        self.grain
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn read(&self, batch: &mut Batch<'_>) -> io::Result<bool> {
        let _ = rustix::io::read(&*self.bell, &mut [0_u8; 8]);
        let mut any = false;
        while let Some(what) = { self.next.lock().pop_front() } {
            batch.count(false);
            any = true;
            match what {
                Script::Name(dir, name) => batch.name(dir, &name),
                Script::Inode(inode, part) => batch.inode(inode, part),
                Script::Lost => batch.lost("a script says so"),
                Script::Fail => return Err(io::Error::other("a script says so")),
                Script::Die => panic!("a script says so"),
            }
        }
        Ok(any)
    }

    fn watch_file_system(&self, _: BorrowedFd<'_>) -> Result<(), Refusal> {
        Ok(())
    }
}
