//! What goes wrong on a host: whoever asked gets the right error, nothing that was acknowledged is lost, and the others
//! go on.
//!
//! ```text
//! ends       daemons that are killed or stopped at work
//! space      no room: on the disk, for the table
//! io_errors  a disk that fails, by way of a FUSE file system of our own
//! limits     descriptors, memory
//! vmm        a VMM that stops answering
//! clocks     clocks that differ or jump
//! ```

mod clocks;
mod ends;
mod io_errors;
mod limits;
mod space;
mod vmm;

use std::path::Path;
use std::thread;

use fuse::abi::{CreateIn, EntryOut, FsyncIn, Opcode, OutHeader, WriteIn, WriteOut};
use fuse::testing::RequestBuilder;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use zerocopy::FromBytes;

use crate::support::front_end::Outcome;
use crate::support::guest::{Guest, QUEUE};

/// Runs a test in a thread whose mounts nobody else sees, and which are gone when it ends. Its processes are in there, too.
pub(crate) fn with_own_mounts(test: impl FnOnce() + Send) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    thread::scope(|scope| {
        let run = || {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
            test();
        };
        if let Err(panic) = scope.spawn(run).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// A file system in memory, as large as `options` say.
pub(crate) fn mount_tmpfs(at: &Path, options: &str) {
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
}

/// CREATE in the root; node and handle.
fn create(guest: &mut Guest, name: &str) -> Result<(u64, u64), i32> {
    let create = CreateIn {
        flags: (libc::O_RDWR | libc::O_CREAT) as u32,
        mode: libc::S_IFREG | 0o644,
        umask: 0o22,
        open_flags: 0,
    };
    let request = RequestBuilder::new(Opcode::Create).node(1).user(0, 0).with(&create);
    let reply = guest.request(&request.name(name.as_bytes()).build(), 512)?;
    let (entry, rest) = EntryOut::read_from_prefix(&reply).unwrap();
    Ok((entry.nodeid, u64::read_from_prefix(rest).unwrap().0))
}

/// FSYNC.
fn fsync(guest: &mut Guest, file: (u64, u64)) -> Result<(), i32> {
    let fsync = FsyncIn { fh: file.1, fsync_flags: 0, padding: 0 };
    let request = RequestBuilder::new(Opcode::Fsync).node(file.0).with(&fsync);
    guest.request(&request.build(), 0).map(drop)
}

/// WRITE; none where the daemon does not answer any more.
fn write(
    guest: &mut Guest,
    file: (u64, u64),
    offset: u64,
    data: &[u8],
) -> Option<Result<u32, i32>> {
    let write = WriteIn { fh: file.1, offset, size: data.len() as u32, ..WriteIn::default() };
    let request = RequestBuilder::new(Opcode::Write).node(file.0).with(&write).bytes(data);
    guest.front_end.send(QUEUE, &request.build(), 64);
    let second = std::time::Duration::from_secs(1);
    let Outcome::Used(len) = guest.front_end.outcome(QUEUE, second) else { return None };
    let reply = guest.front_end.reply(QUEUE, len);
    let (header, body) = OutHeader::read_from_prefix(&reply).unwrap();
    Some(match header.error {
        0 => Ok(WriteOut::read_from_prefix(body).unwrap().0.size),
        error => Err(-error),
    })
}
