//! What an operation is: the requests that Linux makes of a system call, one after the other.

mod data;
mod fixture;
mod listing;
mod mixes;
mod single;
mod steps;

use anyhow::Result;

use crate::session::Session;
use crate::wire::{Answer, Request};

pub(crate) use fixture::{
    BIG, BIG_SIZE, COLD_FILES, Fixture, SMALL_FILES, TREE_WIDTH, XATTR, small,
};
pub(crate) use listing::Listing;

/// One place in the queue: it repeats an operation.
pub(crate) trait Lane: Send {
    /// Writes the next request and returns the room for its reply, 0 where it has none. Without an answer an operation
    /// begins; with the answer to the last request it goes on, or is over: `None`.
    ///
    /// # Errors
    /// An answer that cannot be right.
    fn next(&mut self, answer: Option<Answer<'_>>, request: &mut Request) -> Result<Option<usize>>;

    /// Bytes of each reply that [`Self::next`] must see.
    fn looks_at(&self) -> usize {
        512
    }
}

/// A kind of operation.
pub(crate) struct Job {
    pub(crate) name: &'static str,
    /// Looks up what lanes need; gives back what makes them by number.
    prepare: fn(&mut Session) -> Result<Lanes>,
}

/// Makes the lane with a number.
pub(crate) type Lanes = Box<dyn Fn(usize) -> Box<dyn Lane>>;

impl Job {
    /// # Errors
    /// What the job needs is not there.
    pub(crate) fn prepare(&self, session: &mut Session) -> Result<Lanes> {
        (self.prepare)(session)
    }
}

/// Every job, in the order of the report.
pub(crate) fn all() -> Vec<Job> {
    let job = |name, prepare| Job { name, prepare };
    vec![
        job("empty", single::empty),
        job("lookup-hit", single::lookup_hit),
        job("lookup-forget", steps::lookup_forget),
        job("lookup-negative", single::lookup_negative),
        job("getattr", single::getattr),
        job("getxattr", single::getxattr),
        job("open-release", steps::open_release),
        job("open-read-release", steps::open_read_release),
        job("open-read-close", steps::open_read_close),
        job("open-release-writer", steps::open_release_writer),
        job("create-unlink", steps::create_unlink),
        job("create-unlink-user", steps::create_unlink_user),
        job("mkdir-rmdir", steps::mkdir_rmdir),
        job("rename", steps::rename),
        job("readdir-10", |session| listing::job(session, "dir10", false)),
        job("readdir-1000", |session| listing::job(session, "dir1000", false)),
        job("readdir-100000", |session| listing::job(session, "dir100000", false)),
        job("readdirplus-10", |session| listing::job(session, "dir10", true)),
        job("readdirplus-1000", |session| listing::job(session, "dir1000", true)),
        job("readdirplus-100000", |session| listing::job(session, "dir100000", true)),
        job("read-4k-random", |session| data::read(session, 4 << 10, true)),
        job("read-128k", |session| data::read(session, 128 << 10, false)),
        job("read-1m", |session| data::read(session, 1 << 20, false)),
        job("write-4k-random", |session| data::write(session, 4 << 10, true)),
        job("write-128k", |session| data::write(session, 128 << 10, false)),
        job("write-1m", |session| data::write(session, 1 << 20, false)),
        job("mix-git", mixes::git),
        job("mix-tar", mixes::tar),
        job("mix-npm", mixes::npm),
        job("mix-build", mixes::build),
    ]
}
