//! Sockets that systemd opens and passes on.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use crate::support::daemon::Daemon;
use crate::support::front_end::FrontEnd;
use crate::support::guest::Guest;

/// The shell puts the socket where systemd does, and keeps its process id when it becomes the daemon.
const PASS_ON: &str = "exec 3<&0 < /dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";

#[test]
fn a_passed_socket_is_served_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let share = directory.path().join("share");
    std::fs::create_dir(&share).unwrap();
    std::fs::write(share.join("file"), "").unwrap();
    let listener = UnixListener::bind(&socket).unwrap();

    let mut command = Command::new("sh");
    command.args(["-c", PASS_ON, "sh", env!("CARGO_BIN_EXE_samepaged")]);
    command.args(["--version-table", "off", "--shared-dir"]).arg(&share);
    command.env_remove("RUST_LOG").stdin(Stdio::from(OwnedFd::from(listener)));
    let mut daemon = Daemon::spawn(command, directory);
    let mut guest = Guest::mount(FrontEnd::connect(&socket, 2));
    assert!(guest.lookup("file").is_ok());
    drop(guest);
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(socket.exists(), "its file is systemd's business");
}

#[test]
fn without_a_socket_there_is_nothing_to_serve() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samepaged"));
    command.args(["--version-table", "off", "--shared-dir", "/tmp"]);
    // Meant for another process.
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--socket-path is missing"));
}
