//! docs/compatibility.md, row by row.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::daemon::samepaged;
use crate::support::front_end::FrontEnd;
use crate::support::guest::Guest;
use crate::support::wait_until;

const TABLE: &str = include_str!("../../../docs/compatibility.md");

/// Examples and what is said of them, from the first table.
fn rows() -> Vec<(&'static str, &'static str)> {
    let cells = TABLE.lines().filter_map(|line| {
        let (example, verdict) =
            line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | ")?;
        example.contains("SOCKET").then_some((example, verdict))
    });
    cells.collect()
}

fn words(example: &str, place: &Path) -> Vec<OsString> {
    let path = |name: &str| place.join(name).into_os_string().into_string().unwrap();
    let filled = example.replace("DIR", &path("share")).replace("SOCKET", &path("socket"));
    filled.split(' ').map(OsString::from).collect()
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Whether the program makes its socket and then ends when it is told to. Else what it says.
fn serves(command: Command, example: &str) -> Result<(), String> {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("share")).unwrap();
    let mut command = command;
    command.args(words(example, place.path()));
    let mut child = start(command);
    let mut ended = false;
    wait_until("it listens or ends", || {
        ended = child.try_wait().unwrap().is_some();
        ended || place.path().join("socket").exists()
    });
    if !ended {
        let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }
    child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    if ended { Err(said) } else { Ok(()) }
}

#[test]
fn every_row_is_true_of_samepaged() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let rows = rows();
    assert!(rows.len() > 50, "{}", rows.len());
    for (example, verdict) in rows {
        let result = serves(samepaged(), example);
        if verdict.starts_with("refused") {
            let said = result.expect_err(example);
            assert_eq!(said.lines().count(), 1, "{example}: {said}");
            assert!(said.contains("; "), "{example}: a remedy: {said}");
        } else {
            assert!(verdict.starts_with("same") || verdict.starts_with("better"), "{verdict}");
            result.unwrap_or_else(|said| panic!("{example}: {said}"));
        }
    }
}

#[test]
fn every_row_is_taken_by_virtiofsd() {
    let Some(virtiofsd) = std::env::var_os("SAMEPAGE_VIRTIOFSD") else {
        eprintln!("skipped: SAMEPAGE_VIRTIOFSD names no virtiofsd");
        return;
    };
    for (example, _) in rows() {
        serves(Command::new(&virtiofsd), example)
            .unwrap_or_else(|said| panic!("{example}: {said}"));
    }
}

/// The command lines of the last table.
#[test]
fn as_others_start_it() {
    let lines: Vec<&str> = TABLE
        .lines()
        .filter_map(|line| line.strip_suffix("` |")?.rsplit_once("| `").map(|(_, words)| words))
        .filter(|words| words.contains("--fd=N"))
        .collect();
    assert_eq!(lines.len(), 5);
    for line in lines {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("share")).unwrap();
        fs::write(place.path().join("share/file"), "contents").unwrap();
        let socket = place.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        // Unlike the listener itself, this one survives exec.
        let inherited = rustix::io::dup(&listener).unwrap();
        let fd = inherited.as_raw_fd();
        let mut line = line.replace("--fd=N", &format!("--fd={fd}"));
        if !Path::new("/dev/log").exists() {
            line = line.replace("--syslog ", "");
        }
        let mut command = samepaged();
        command.args(words(&line, place.path()));
        let mut child = start(command);
        let mut guest = Guest::mount(FrontEnd::connect(&socket, 2));
        let node = guest.lookup("file").unwrap();
        let handle = guest.open(node, 0).unwrap();
        assert_eq!(guest.read(node, handle, 0, 100).unwrap(), b"contents", "{line}");
        drop(guest);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
