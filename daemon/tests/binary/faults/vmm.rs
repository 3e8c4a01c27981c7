//! VMMs that stop answering, or stop in the middle.

use std::io::Write;
use std::os::unix::net::UnixStream;

use fuse::abi::Opcode;
use fuse::testing::RequestBuilder;
use rustix::process::Signal;

use crate::support::daemon::Daemon;
use crate::support::front_end::FrontEnd;
use crate::support::guest::{Guest, QUEUE};
use crate::support::wait_until;

/// GET_FEATURES: a header with no body.
const GET_FEATURES: [u8; 12] = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];

/// Whatever the VMM does, its daemon ends when it is told to, and serves the next VMM when this one is gone.
fn leaves_no_trace(what: &str, act: impl Fn(&mut UnixStream)) {
    let mut daemon = Daemon::start(&[]);
    std::fs::write(daemon.share().join("file"), "contents").unwrap();
    let mut vmm = UnixStream::connect(daemon.socket()).unwrap();
    act(&mut vmm);
    wait_until("the daemon has read it", || daemon.log_count("front end connected") == 1);
    drop(vmm);
    let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 2));
    assert!(guest.lookup("file").is_ok(), "{what}");
    drop(guest);
    let mut vmm = UnixStream::connect(daemon.socket()).unwrap();
    act(&mut vmm);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0), "{what}");
}

#[test]
fn half_a_message() {
    leaves_no_trace("half a header", |vmm| vmm.write_all(&GET_FEATURES[..7]).unwrap());
    leaves_no_trace("a header without its body", |vmm| {
        vmm.write_all(&[5, 0, 0, 0, 1, 0, 0, 0, 40, 0, 0, 0]).unwrap();
    });
}

#[test]
fn replies_that_nobody_reads() {
    leaves_no_trace("replies", |vmm| {
        vmm.set_nonblocking(true).unwrap();
        // Until the daemon, which waits for room for its replies, reads no more.
        while vmm.write_all(&GET_FEATURES).is_ok() {}
    });
}

/// A guest that takes nothing out of its used ring, as one that is frozen.
#[test]
fn a_guest_that_is_frozen_with_requests_under_way() {
    let mut daemon = Daemon::start(&[]);
    std::fs::write(daemon.share().join("file"), "contents").unwrap();
    let mut frozen = FrontEnd::connect(&daemon.socket(), 2);
    let statfs = RequestBuilder::new(Opcode::Statfs).node(1).build();
    for _ in 0..100 {
        frozen.send(QUEUE, &statfs, 200);
    }
    wait_until("all are served", || frozen.used(QUEUE) == 100);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
}
