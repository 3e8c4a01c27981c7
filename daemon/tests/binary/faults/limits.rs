//! Limits of the daemon's process.

use std::time::Duration;

use fuse::abi::{MkdirIn, Opcode, ReleaseIn};
use fuse::testing::RequestBuilder;

use super::create;
use crate::hostile::House;
use crate::support::daemon::Daemon;
use crate::support::front_end::{FrontEnd, Outcome};
use crate::support::guest::{Guest, QUEUE};
use crate::support::wait_until;

/// How long an answer may take.
const A_WHILE: Duration = Duration::from_millis(900);

#[test]
fn without_descriptors_files_cannot_be_opened_and_all_else_goes_on() {
    let mut daemon = Daemon::start(&["--rlimit-nofile", "1000"]);
    std::fs::write(daemon.share().join("file"), "contents").unwrap();
    let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 2));
    let mut files = Vec::new();
    let error = loop {
        match create(&mut guest, &format!("new-{}", files.len())) {
            Ok(file) => files.push(file),
            Err(error) => break error,
        }
    };
    assert!([libc::EMFILE, libc::ENFILE].contains(&error), "{error}");
    assert!(files.len() > 50, "{}", files.len());
    // What is open works, and what needs no descriptor for long.
    assert_eq!(guest.write(files[0].0, files[0].1, 0, b"data"), Ok(4));
    let node = guest.lookup("file").unwrap();
    assert!(guest.lookup("nothing").is_err());
    let (node_of, fh) = files.pop().unwrap();
    let release = ReleaseIn { fh, ..ReleaseIn::default() };
    let request = RequestBuilder::new(Opcode::Release).node(node_of).with(&release);
    guest.request(&request.build(), 0).unwrap();
    let handle = guest.open(node, libc::O_RDONLY as u32).unwrap();
    assert_eq!(guest.read(node, handle, 0, 100).unwrap(), b"contents");
    assert!(daemon.is_alive());
}

/// A guest can make its daemon remember more than there is room for. That ends this daemon and no other, and what was
/// acknowledged is there.
#[test]
fn a_daemon_without_memory_ends_alone() {
    let house = House::new();
    let (mut victim, mut other) = (house.daemon(), house.daemon());
    let mut witness = Guest::mount(FrontEnd::connect(&other.socket(), 2));
    let mut greedy = Guest::mount(FrontEnd::connect(&victim.socket(), 2));
    victim.limit_memory(1 << 20);
    let mut acknowledged = 0;
    for number in 0..1_000_000 {
        let name = format!("f{number}");
        let mkdir = MkdirIn { mode: 0o755, umask: 0 };
        let request = RequestBuilder::new(Opcode::Mkdir).node(1).user(0, 0).with(&mkdir);
        greedy.front_end.send(QUEUE, &request.name(name.as_bytes()).build(), 512);
        match greedy.front_end.outcome(QUEUE, A_WHILE) {
            Outcome::Used(_) => acknowledged = number + 1,
            _ => break,
        }
        if number % 100 == 0 {
            assert!(witness.lookup(&name).is_ok(), "the other guest sees it");
        }
    }
    wait_until("the daemon without memory ends", || !victim.is_alive());
    assert!(acknowledged > 0, "{acknowledged}");
    for number in 0..acknowledged {
        assert!(house.path(&format!("share/f{number}")).is_dir(), "{number}");
    }
    create(&mut witness, "after").unwrap();
    assert!(witness.lookup("f0").is_ok() && other.is_alive());
}
