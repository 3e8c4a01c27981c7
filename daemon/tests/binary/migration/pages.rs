//! What the daemon writes while the VMM copies the guest's memory is marked.

use fuse::abi::{GetattrIn, Opcode};
use fuse::testing::RequestBuilder;
use zerocopy::FromZeros;

use crate::support::daemon::Daemon;
use crate::support::front_end::{FrontEnd, Log};
use crate::support::guest::{Guest, QUEUE};

/// Bytes of a queue's reply area that are looked at.
const LOOKED_AT: u64 = 256 << 10;

fn guest(options: &[&str]) -> (Daemon, Guest) {
    let daemon = Daemon::start(options);
    let bytes: Vec<u8> = (0..200_000u32).map(|index| (index * 7 % 251) as u8).collect();
    std::fs::write(daemon.share().join("file"), bytes).unwrap();
    let guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 2));
    (daemon, guest)
}

/// Does `work` and compares what it changed with what is marked. Returns how many pages were changed.
fn changes_are_marked(guest: &mut Guest, log: &Log, work: impl FnOnce(&mut Guest)) -> usize {
    log.clear();
    let before = guest.front_end.daemons_pages(QUEUE, LOOKED_AT);
    work(guest);
    let after = guest.front_end.daemons_pages(QUEUE, LOOKED_AT);
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after);
    let changed: Vec<u64> = changed.map(|((address, _), _)| *address).collect();
    for address in &changed {
        assert!(log.is_marked(*address), "the page at {address:#x} was changed in secret");
    }
    for address in guest.front_end.guests_own(QUEUE) {
        assert!(!log.is_marked(address), "the page at {address:#x} is the guest's");
    }
    changed.len()
}

/// Small replies, data in one piece and in pieces, and a request that fails.
fn work(guest: &mut Guest, seed: u64) {
    let node = guest.lookup("file").unwrap();
    let handle = guest.open(node, 0).unwrap();
    assert_eq!(guest.read(node, handle, seed, 4000).unwrap().len(), 4000);
    assert_eq!(guest.read(node, handle, 10 + seed, 150_000).unwrap().len(), 150_000);
    assert_eq!(guest.read(node, handle + 1, 0, 100), Err(libc::EBADF));
    let attributes = RequestBuilder::new(Opcode::Getattr).node(node).with(&GetattrIn::new_zeroed());
    guest.request(&attributes.build(), 104).unwrap();
    assert_eq!(guest.lookup("nothing"), Err(libc::ENOENT));
}

#[test]
fn all_that_is_written_is_marked_from_the_log_on() {
    for options in [&[][..], &["--thread-pool-size", "2"]] {
        let (_daemon, mut guest) = guest(options);
        work(&mut guest, 1);
        let log = Log::new();
        guest.front_end.log_pages(&log);
        let changed = changes_are_marked(&mut guest, &log, |guest| work(guest, 2));
        assert!(changed > 150_000 / 4096, "{changed} pages");
    }
}

#[test]
fn a_migration_that_is_called_off_leaves_no_marks() {
    let (_daemon, mut guest) = guest(&[]);
    let log = Log::new();
    guest.front_end.log_pages(&log);
    guest.front_end.set_logging(false);
    log.clear();
    work(&mut guest, 1);
    for (address, _) in guest.front_end.daemons_pages(QUEUE, LOOKED_AT) {
        assert!(!log.is_marked(address), "the page at {address:#x}");
    }
    guest.front_end.log_pages(&log);
    changes_are_marked(&mut guest, &log, |guest| work(guest, 2));
}

#[test]
fn memory_that_comes_later_is_logged_too_and_counts_as_written() {
    let (_daemon, mut guest) = guest(&[]);
    let log = Log::new();
    guest.front_end.log_pages(&log);
    log.clear();
    guest.front_end.swap_memory_table();
    for (address, _) in guest.front_end.daemons_pages(QUEUE, LOOKED_AT) {
        assert!(log.is_marked(address), "the page at {address:#x}");
    }
    changes_are_marked(&mut guest, &log, |guest| work(guest, 1));
    let larger = Log::new();
    guest.front_end.give_log(&larger);
    guest.front_end.swap_memory_table();
    changes_are_marked(&mut guest, &larger, |guest| work(guest, 2));
}

#[test]
fn a_log_that_is_cut_short_ends_nothing_but_the_queue() {
    let (mut daemon, mut guest) = guest(&[]);
    let log = Log::new();
    guest.front_end.log_pages(&log);
    log.file.set_len(0).unwrap();
    let request = RequestBuilder::new(Opcode::Statfs).node(1).build();
    guest.front_end.send(QUEUE, &request, 200);
    guest.front_end.wait_broken(QUEUE);
    assert!(daemon.is_alive());
}

#[test]
fn a_log_that_is_too_short_is_refused() {
    let (mut daemon, mut guest) = guest(&[]);
    let short = Log::of(8);
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        guest.front_end.give_log(&short);
    }));
    assert!(refused.is_err());
    assert!(daemon.is_alive());
}
