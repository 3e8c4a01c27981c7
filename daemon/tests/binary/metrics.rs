//! Figures of a running daemon, as `curl --unix-socket` gets them.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::support::daemon::Daemon;
use crate::support::front_end::FrontEnd;
use crate::support::guest::Guest;
use crate::support::wait_until;

fn fetch(daemon: &Daemon) -> String {
    fetch_path(daemon, "/metrics")
}

fn fetch_path(daemon: &Daemon, path: &str) -> String {
    let mut client = UnixStream::connect(daemon.path("stats")).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut page = String::new();
    client.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    page
}

fn figure(page: &str, name: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.trim().parse().unwrap()
}

fn start() -> Daemon {
    let directory = tempfile::tempdir().unwrap();
    let stats = directory.path().join("stats");
    Daemon::start_in(directory, &["--stats-socket", stats.to_str().unwrap()])
}

#[test]
fn requests_are_counted_by_opcode_while_the_guest_runs() {
    let daemon = start();
    std::fs::write(daemon.share().join("file"), "contents").unwrap();
    let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 2));
    let node = guest.lookup("file").unwrap();
    let handle = guest.open(node, 0).unwrap();
    guest.read(node, handle, 0, 4).unwrap();
    guest.read(node, handle, 4, 100).unwrap();
    assert_eq!(guest.read(node, 4711, 0, 4), Err(libc::EBADF));
    let page = fetch(&daemon);
    assert_eq!(figure(&page, "samepaged_connections_total "), 1);
    assert_eq!(figure(&page, "samepaged_requests_total{opcode=\"INIT\"} "), 1);
    assert_eq!(figure(&page, "samepaged_requests_total{opcode=\"LOOKUP\"} "), 1);
    assert_eq!(figure(&page, "samepaged_requests_total{opcode=\"READ\"} "), 3);
    assert_eq!(figure(&page, "samepaged_request_errors_total{opcode=\"READ\"} "), 1);
    assert_eq!(figure(&page, "samepaged_read_bytes_total "), 8);
    assert_eq!(figure(&page, "samepaged_requests_in_progress "), 0);
    assert_eq!(figure(&page, "samepaged_stopped_queues_total "), 0);
}

#[test]
fn the_figures_of_the_process_are_the_kernels() {
    let daemon = start();
    let page = fetch(&daemon);
    assert_eq!(figure(&page, "process_threads "), daemon.threads() as u64);
}

#[test]
fn the_stats_socket_goes_with_the_daemon() {
    let mut daemon = start();
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!daemon.path("stats").exists());
}

#[test]
fn a_daemon_says_that_it_is_well() {
    let daemon = start();
    let health = fetch_path(&daemon, "/health");
    assert!(health.ends_with("\r\n\r\nok\n"), "{health}");
    let page = fetch(&daemon);
    assert_eq!(figure(&page, "samepaged_connected "), 0);
    let share = format!("{{guest=\"socket\",directory=\"{}\"}} ", daemon.share().display());
    assert_eq!(figure(&page, &format!("samepaged_share_info{share}")), 1);
    assert!(daemon.log().lines().all(|line| line.starts_with("guest=socket ")), "{}", daemon.log());
}

#[test]
fn each_line_of_a_json_log_names_the_guest() {
    let daemon = Daemon::start(&["--log-format", "json", "--name", "vm \"1\""]);
    drop(Guest::mount(FrontEnd::connect(&daemon.socket(), 2)));
    wait_until("the front end has gone", || daemon.log_count("disconnected") == 1);
    let log = daemon.log();
    assert!(log.lines().count() >= 3, "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert_eq!(line["guest"], "vm \"1\"");
        assert!(
            line["time"].is_string() && line["level"].is_string() && line["message"].is_string()
        );
    }
}
