//! Limits of the daemon's process.

use fuse::abi::{Opcode, ReleaseIn};
use fuse::testing::RequestBuilder;

use super::create;
use crate::support::daemon::Daemon;
use crate::support::front_end::FrontEnd;
use crate::support::guest::Guest;

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
