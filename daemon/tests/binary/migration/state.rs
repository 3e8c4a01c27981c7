//! One guest, two daemons, and a VMM that carries the state of the first to the second.

use std::io::{Read, Write};

use fuse::abi::{Opcode, ReleaseIn};
use fuse::testing::RequestBuilder;
use vhost::vhost_user::message::VhostTransferStateDirection as Direction;

use crate::support::daemon::Daemon;
use crate::support::front_end::FrontEnd;
use crate::support::guest::{Guest, QUEUE};

/// A daemon on the directory of another one.
fn beside(other: &Daemon, options: &[&str]) -> Daemon {
    let share = other.share().display().to_string();
    Daemon::start(&[&["--shared-dir", &share], options].concat())
}

/// A guest with an open file, and what it knows it by.
fn guest(daemon: &Daemon) -> (Guest, u64, u64) {
    std::fs::write(daemon.share().join("file"), "contents").unwrap();
    let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 2));
    let node = guest.lookup("file").unwrap();
    let handle = guest.open(node, libc::O_RDWR as u32).unwrap();
    (guest, node, handle)
}

/// Takes a stopped guest's state out of its daemon; none where that refuses.
fn take_state(front_end: &FrontEnd) -> Option<Vec<u8>> {
    let (mut reader, writer) = std::io::pipe().unwrap();
    front_end.transfer(Direction::SAVE, writer.into()).unwrap();
    let mut state = Vec::new();
    reader.read_to_end(&mut state).unwrap();
    front_end.has_transferred().then_some(state)
}

/// Gives a state to a daemon; whether it takes it.
fn give_state(front_end: &FrontEnd, state: &[u8]) -> bool {
    let (reader, mut writer) = std::io::pipe().unwrap();
    front_end.transfer(Direction::LOAD, reader.into()).unwrap();
    // One that refuses may not read to the end.
    let _ = writer.write_all(state);
    drop(writer);
    front_end.has_transferred()
}

#[test]
fn a_guest_goes_on_with_another_daemon() {
    let first = Daemon::start(&[]);
    let second = beside(&first, &[]);
    let (mut guest, node, handle) = guest(&first);
    guest.front_end.stop_rings();
    let state = take_state(&guest.front_end).unwrap();
    let mut moved = guest.moves_to(FrontEnd::prepare(&second.socket(), 2));
    assert!(give_state(&moved.front_end, &state));
    moved.front_end.start_rings();
    assert_eq!(moved.read(node, handle, 0, 100).unwrap(), b"contents");
    assert_eq!(moved.write(node, handle, 8, b" and more"), Ok(9));
    assert_eq!(moved.lookup("file"), Ok(node), "by the same number");
    assert_ne!(moved.open(node, 0).unwrap(), handle, "another number");
    let release = ReleaseIn { fh: handle, ..ReleaseIn::default() };
    let release = RequestBuilder::new(Opcode::Release).node(node).with(&release).build();
    assert_eq!(moved.request(&release, 0), Ok(Vec::new()));
    let bytes = std::fs::read(first.share().join("file")).unwrap();
    assert_eq!(bytes, b"contents and more");
}

#[test]
fn a_guest_that_stays_after_all_goes_on_as_before() {
    let daemon = Daemon::start(&[]);
    let (mut guest, node, handle) = guest(&daemon);
    guest.front_end.stop_rings();
    take_state(&guest.front_end).unwrap();
    guest.front_end.start_rings();
    assert_eq!(guest.read(node, handle, 0, 100).unwrap(), b"contents");
}

#[test]
fn a_daemon_takes_nothing_for_a_state_that_is_none() {
    let first = Daemon::start(&[]);
    let mut second = beside(&first, &[]);
    let (mut guest, node, _) = guest(&first);
    guest.front_end.stop_rings();
    let state = take_state(&guest.front_end).unwrap();
    let mut moved = guest.moves_to(FrontEnd::prepare(&second.socket(), 2));
    assert!(!give_state(&moved.front_end, b"virtiofsd's, for instance"));
    second.wait_for_log("migration: this is not the state of a samepaged");
    assert!(!give_state(&moved.front_end, &state[..state.len() - 1]));
    let mut changed = state.clone();
    changed[20..24].copy_from_slice(b"LOCK");
    assert!(!give_state(&moved.front_end, &changed));
    second.wait_for_log("records \"LOCK\"");
    assert!(give_state(&moved.front_end, &state), "no harm was done");
    moved.front_end.start_rings();
    assert_eq!(moved.open(node, 0).map(drop), Ok(()));
    assert!(second.is_alive());
}

#[test]
fn what_is_not_found_is_an_error_for_the_vmm_or_for_the_guest() {
    let first = Daemon::start(&[]);
    let mut strict = beside(&first, &[]);
    let lenient = beside(&first, &["--migration-on-error", "guest-error"]);
    let (mut guest, node, handle) = guest(&first);
    let path = first.share().join("file");
    guest.front_end.stop_rings();
    let state = take_state(&guest.front_end).unwrap();
    std::fs::rename(&path, first.share().join("elsewhere")).unwrap();
    let moved = guest.moves_to(FrontEnd::prepare(&strict.socket(), 2));
    assert!(!give_state(&moved.front_end, &state));
    strict.wait_for_log("(file) is not found here: No such file or directory");
    let mut moved = moved.moves_to(FrontEnd::prepare(&lenient.socket(), 2));
    assert!(give_state(&moved.front_end, &state));
    moved.front_end.start_rings();
    assert_eq!(moved.read(node, handle, 0, 100), Err(libc::ESTALE));
    assert_eq!(moved.open(node, 0), Err(libc::ESTALE));
    assert!(moved.lookup("elsewhere").is_ok(), "all else is there");
}

#[test]
fn the_state_is_asked_for_at_the_right_time_only() {
    let mut daemon = Daemon::start(&[]);
    let (mut guest, ..) = guest(&daemon);
    assert!(!guest.front_end.has_transferred(), "nothing was transferred");
    let (_reader, writer) = std::io::pipe().unwrap();
    assert!(guest.front_end.transfer(Direction::SAVE, writer.into()).is_err());
    daemon.wait_for_log("while queues run");
    guest.front_end.stop_rings();
    let (reader, _writer) = std::io::pipe().unwrap();
    guest.front_end.transfer(Direction::LOAD, reader.into()).unwrap();
    assert!(!guest.front_end.has_transferred(), "more may come, and is not waited for");
    let (reader, _writer) = std::io::pipe().unwrap();
    guest.front_end.transfer(Direction::LOAD, reader.into()).unwrap();
    drop(guest);
    daemon.wait_for_log("front end disconnected");
    assert!(daemon.is_alive());
    drop(Guest::mount(FrontEnd::connect(&daemon.socket(), QUEUE + 1)));
}
