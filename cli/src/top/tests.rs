use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use super::*;

const PAGE: &str = "# HELP samepaged_requests_total FUSE requests.\n\
    # TYPE samepaged_requests_total counter\n\
    samepaged_share_info{guest=\"my \\\"vm\\\"\",directory=\"/srv/a\\\\b\"} 1\n\
    samepaged_requests_total{opcode=\"LOOKUP\"} 100\n\
    samepaged_requests_total{opcode=\"READ\"} 900\n\
    samepaged_requests_total{opcode=\"INIT\"} 1\n\
    samepaged_request_errors_total{opcode=\"LOOKUP\"} 50\n\
    samepaged_read_bytes_total 4096\n\
    samepaged_written_bytes_total 0\n\
    samepaged_requests_in_progress 2\n\
    samepaged_locked_ranges 3\n\
    samepaged_lock_waiters 1\n\
    samepaged_connected 1\n\
    nonsense\n";

fn later() -> Figures {
    let page = PAGE
        .replace("\"LOOKUP\"} 100", "\"LOOKUP\"} 120")
        .replace("\"READ\"} 900", "\"READ\"} 1900")
        .replace("\"LOOKUP\"} 50", "\"LOOKUP\"} 52")
        .replace("read_bytes_total 4096", "read_bytes_total 4198400");
    Figures::parse(&page)
}

fn rates(seconds: u64) -> Rates {
    let then = Instant::now();
    let before = (then, Figures::parse(PAGE));
    let now = then + Duration::from_secs(seconds);
    Rates::new(Path::new("/run/vm.stats"), &later(), Some(&before), now)
}

#[test]
fn rates_are_what_happened_in_between() {
    let rates = rates(2);
    assert_eq!(rates.guest, "my \"vm\"");
    assert_eq!(rates.directory, "/srv/a\\b");
    assert!((rates.requests_per_second - 510.0).abs() < 1e-9);
    assert!((rates.errors_per_second - 1.0).abs() < 1e-9);
    assert!((rates.read_bytes_per_second - 2_097_152.0).abs() < 1e-9);
    assert_eq!((rates.in_progress, rates.locked_ranges, rates.lock_waiters), (2, 3, 1));
    let opcodes: Vec<_> = rates.opcodes.iter().map(|kind| kind.opcode.as_str()).collect();
    assert_eq!(opcodes, ["READ", "LOOKUP"], "the busiest first, the idle not at all");
}

#[test]
fn a_daemon_that_was_restarted_has_no_negative_rates() {
    let then = Instant::now();
    let before = (then, later());
    let fresh = Figures::parse(PAGE);
    let rates = Rates::new(Path::new("x"), &fresh, Some(&before), then + Duration::from_secs(1));
    assert!(rates.requests_per_second == 0.0 && rates.opcodes.is_empty());
}

#[test]
fn the_first_look_has_no_rates() {
    let rates = Rates::new(Path::new("x"), &later(), None, Instant::now());
    assert!(rates.requests_per_second == 0.0, "{}", rates.requests_per_second);
}

#[test]
fn a_line_a_guest_and_one_for_its_requests() {
    let silent = Rates::silent(Path::new("/run/gone.stats"), &io::Error::other("refused"));
    let text = text::of(&[rates(2), silent], 1);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[1].starts_with("my \"vm\"        510"), "{text}");
    assert!(lines[1].contains("2.0 MiB") && lines[1].ends_with("/srv/a\\b"), "{text}");
    assert_eq!(lines[2].trim(), "READ 500");
    assert!(lines[3].starts_with("gone") && lines[3].ends_with("/run/gone.stats: refused"));
}

#[test]
fn figures_come_over_the_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("vm.stats");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = thread::spawn(move || {
        for reply in ["HTTP/1.1 200 OK\r\n\r\nsamepaged_connected 1\n", "HTTP/1.1 404 No\r\n\r\n"] {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let len = client.read(&mut request).unwrap();
            assert!(request[..len].starts_with(b"GET /metrics "));
            client.write_all(reply.as_bytes()).unwrap();
        }
    });
    assert_eq!(scrape::metrics(&socket).unwrap(), "samepaged_connected 1\n");
    assert!(scrape::metrics(&socket).unwrap_err().to_string().contains("404"));
    server.join().unwrap();
    assert_eq!(listed(directory.path()).unwrap(), [socket]);
    assert!(listed(&directory.path().join("missing")).unwrap().is_empty());
}
