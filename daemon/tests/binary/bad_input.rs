//! Command lines and places that are wrong: one line that names the culprit and the remedy, and nothing made.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::daemon::{Daemon, run, samepaged};
use crate::support::front_end::FrontEnd;
use crate::support::guest::Guest;

/// A directory with a share in it.
fn place() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("share")).unwrap();
    directory
}

/// Checks that the daemon ended with `code` and one line that says all of `wanted`.
fn check(output: &Output, code: i32, wanted: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("samepaged: "), "{stderr}");
    assert!(stderr.contains("; "), "a remedy: {stderr}");
    for text in wanted {
        assert!(stderr.contains(text), "{text:?} in {stderr}");
    }
    assert!(output.stdout.is_empty());
}

/// Starts the daemon in `place` with `socket` and more options, and expects that it ends with `code` and leaves
/// everything as it was.
fn fails(place: &TempDir, share: &str, socket: &str, more: &[&str], code: i32, wanted: &[&str]) {
    let share = place.path().join(share);
    let socket = place.path().join(socket);
    let before = names(place.path());
    let mut arguments =
        vec!["--shared-dir", share.to_str().unwrap(), "--socket-path", socket.to_str().unwrap()];
    arguments.extend(more);
    check(&run(&arguments), code, wanted);
    assert_eq!(names(place.path()), before, "nothing was made or removed");
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_shared_directory_that_is_not_there() {
    let wanted = ["--shared-dir", "missing: no such directory; create it"];
    fails(&place(), "missing", "socket", &[], 1, &wanted);
}

#[test]
fn a_shared_directory_that_is_a_file() {
    let place = place();
    fs::write(place.path().join("file"), "").unwrap();
    fails(&place, "file", "socket", &[], 1, &["--shared-dir", "file: not a directory"]);
    fails(&place, "file/below", "socket", &[], 1, &["file/below: not a directory"]);
}

#[test]
fn a_socket_in_a_directory_that_is_not_there() {
    fails(
        &place(),
        "share",
        "a/b",
        &[],
        1,
        &["--socket-path", "a/b: its directory does not exist"],
    );
}

#[test]
fn a_socket_path_that_is_something_else() {
    let place = place();
    fs::write(place.path().join("precious"), "keep").unwrap();
    fails(&place, "share", "precious", &[], 1, &["--socket-path", "is no socket; remove it"]);
    assert_eq!(fs::read(place.path().join("precious")).unwrap(), b"keep");
}

#[test]
fn a_socket_path_that_is_too_long() {
    fails(&place(), "share", &"x".repeat(200), &[], 1, &["--socket-path", "choose a shorter one"]);
}

#[test]
fn a_socket_of_a_live_daemon_of_ours() {
    let mut live = Daemon::start(&[]);
    let mut guest = Guest::mount(FrontEnd::connect(&live.socket(), 2));
    let (share, socket) = (live.share(), live.socket());
    let output =
        run(&["--shared-dir", share.to_str().unwrap(), "--socket-path", socket.to_str().unwrap()]);
    let pid = fs::read_to_string(live.path("socket.pid")).unwrap();
    check(&output, 1, &["--socket-path", "in use by the daemon with process id", pid.trim()]);
    assert_eq!(guest.lookup("nothing"), Err(libc::ENOENT), "its guest is served");
    drop(guest);
    live.wait_for_log("front end disconnected");
    Guest::mount(FrontEnd::connect(&socket, 2));
}

#[test]
fn a_socket_of_another_live_program() {
    let place = place();
    let live = UnixListener::bind(place.path().join("socket")).unwrap();
    live.set_nonblocking(true).unwrap();
    fails(
        &place,
        "share",
        "socket",
        &[],
        1,
        &["--socket-path", "in use by another process; stop it"],
    );
    let error = live.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "nobody connected to it");
}

#[test]
fn a_socket_that_a_killed_daemon_left_is_replaced() {
    let daemon = Daemon::start(&[]);
    let directory = daemon.crash();
    assert!(directory.path().join("socket").exists());
    assert!(directory.path().join("socket.pid").exists());
    let daemon = Daemon::start_in(directory, &[]);
    Guest::mount(FrontEnd::connect(&daemon.socket(), 2));
}

#[test]
fn a_stats_socket_in_the_way() {
    let place = place();
    let stats = place.path().join("stats");
    fs::write(&stats, "keep").unwrap();
    let wanted = ["--stats-socket", "stats: exists and is no socket"];
    fails(&place, "share", "socket", &["--stats-socket", stats.to_str().unwrap()], 1, &wanted);
}

#[test]
fn a_group_that_is_not_there() {
    let wanted = ["--socket-path", "group no-such-group does not exist"];
    fails(&place(), "share", "socket", &["--socket-group", "no-such-group"], 1, &wanted);
}

#[test]
fn descriptor_limits_that_cannot_be() {
    let place = place();
    let limit = |limit, wanted| {
        fails(
            &place,
            "share",
            "socket",
            &["--rlimit-nofile", limit],
            1,
            &["--rlimit-nofile", wanted],
        );
    };
    limit("10", "too few");
    limit("99999999999", "/proc/sys/fs/nr_open");
}

#[test]
fn usage_errors_end_with_2() {
    for (options, culprit) in [
        (&["--frobnicate"][..], "--frobnicate"),
        (&["--cache", "sometimes"], "sometimes"),
        (&["--fd", "3"], "--fd and --socket-path"),
        (&["--uid-map", "0:0:1"], ":INSIDE:HOST:COUNT:"),
        (&["-o", "frobnicate"], "-o frobnicate"),
        (&["--num-request-queues", "64"], "64"),
    ] {
        fails(&place(), "share", "socket", options, 2, &[culprit]);
    }
    check(&run(&[]), 2, &["--shared-dir is missing"]);
}

#[test]
fn id_maps_that_cannot_be() {
    let place = place();
    let mapped = |options: &[&str], wanted| fails(&place, "share", "socket", options, 1, &[wanted]);
    mapped(&["--sandbox", "none", "--gid-map", ":0:1:1:"], "go with --sandbox namespace");
    if rustix::process::geteuid().is_root() {
        mapped(&["--uid-map", ":0:1:1:"], "--uid-map and --gid-map make a user namespace");
    }
}

#[test]
fn a_rust_log_that_makes_no_sense() {
    let place = place();
    let mut command = samepaged();
    command.env("RUST_LOG", "===");
    command.arg("--shared-dir").arg(place.path().join("share"));
    command.arg("--socket-path").arg(place.path().join("socket"));
    check(&command.output().unwrap(), 1, &["RUST_LOG"]);
    assert_eq!(names(place.path()), ["share"]);
}

#[test]
fn capabilities_and_help_are_printed() {
    let output = run(&["--print-capabilities"]);
    assert!(output.status.success());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["type"], "fs");
    let output = run(&["--help"]);
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("EXAMPLES"));
}

/// The program with `socket` as its descriptor 0, and `--fd 0`.
fn with_descriptor(share: &Path, socket: OwnedFd) -> Command {
    let mut command = samepaged();
    command.stdin(Stdio::from(socket)).arg("--shared-dir").arg(share).args(["--fd", "0"]);
    command
}

#[test]
fn descriptors_that_are_no_listening_sockets() {
    let place = place();
    let share = place.path().join("share");
    let check_with = |socket: OwnedFd, wanted| {
        let output = with_descriptor(&share, socket).output().unwrap();
        check(&output, 1, &["--fd 0: ", wanted, "listen(2)"]);
    };
    check_with(fs::File::open("/dev/null").unwrap().into(), "no socket");
    check_with(UnixStream::pair().unwrap().0.into(), "not a listening socket");
    check_with(UnixDatagram::unbound().unwrap().into(), "not a Unix stream socket");
    check_with(TcpListener::bind("127.0.0.1:0").unwrap().into(), "not a Unix stream socket");
    let output = samepaged().arg("--shared-dir").arg(&share).args(["--fd", "99"]).output().unwrap();
    check(&output, 1, &["--fd 99: not open"]);
}

#[test]
fn an_inherited_socket_is_served_and_left_in_place() {
    let place = place();
    let socket = place.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let command = with_descriptor(&place.path().join("share"), listener.into());
    let mut daemon = Daemon::spawn(command, place);
    for _ in 0..2 {
        Guest::mount(FrontEnd::connect(&socket, 2));
    }
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(socket.exists(), "it is the parent's");
    assert!(!daemon.path("socket.pid").exists());
}

/// Runs as a user without rights where the tests have them all.
fn unprivileged(command: &mut Command) {
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
}

#[test]
fn places_without_permission() {
    let place = place();
    let locked = place.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&locked, Permissions::from_mode(0o000)).unwrap();
    let share = place.path().join("share");
    for (share, socket, wanted) in [
        (&locked, place.path().join("socket"), "locked: permission denied"),
        (&share, locked.join("socket"), "locked/socket: permission denied"),
        (&share, place.path().join("socket"), "socket: permission denied"),
    ] {
        fs::set_permissions(place.path(), Permissions::from_mode(0o555)).unwrap();
        let mut command = samepaged();
        unprivileged(&mut command);
        command.arg("--shared-dir").arg(share).arg("--socket-path").arg(&socket);
        let output = command.output().unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        check(&output, 1, &[wanted, "run as a user who may"]);
    }
    assert_eq!(names(place.path()), ["locked", "share"]);
    fs::set_permissions(&locked, Permissions::from_mode(0o755)).unwrap();
}
