use std::net::Shutdown;
use std::thread;

use super::*;

/// A daemon that is well, or not.
struct Daemon(Result<(), String>);

impl Pages for Daemon {
    fn metrics(&self) -> String {
        "figures\n".to_owned()
    }

    fn health(&self) -> Result<(), String> {
        self.0.clone()
    }
}

/// What a client gets for `request`.
fn exchange(request: &[u8]) -> String {
    exchange_with(Daemon(Ok(())), request)
}

fn exchange_with(daemon: Daemon, request: &[u8]) -> String {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || answer(theirs, &daemon));
    ours.write_all(request).unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
    let mut reply = String::new();
    ours.read_to_string(&mut reply).unwrap();
    let _ = server.join().unwrap();
    reply
}

#[test]
fn metrics_are_served() {
    let reply = exchange(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n");
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(reply.contains("Content-Length: 8\r\n"), "{reply}");
    assert!(reply.ends_with("\r\n\r\nfigures\n"), "{reply}");
}

#[test]
fn health_is_told_by_the_status() {
    let request = b"GET /health HTTP/1.1\r\n\r\n";
    let well = exchange(request);
    assert!(well.starts_with("HTTP/1.1 200 OK\r\n") && well.ends_with("\r\n\r\nok\n"), "{well}");
    let ill = exchange_with(Daemon(Err("it is lost".to_owned())), request);
    assert!(ill.starts_with("HTTP/1.1 503 ") && ill.ends_with("\r\n\r\nit is lost\n"), "{ill}");
}

#[test]
fn other_paths_and_methods_are_not() {
    assert!(exchange(b"GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(exchange(b"POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
    assert!(exchange(b"\r\n\r\n").starts_with("HTTP/1.1 405"));
}

#[test]
fn requests_without_an_end_get_no_answer() {
    assert_eq!(exchange(b"GET /metrics"), "");
    assert_eq!(exchange(&[b'x'; MAX_REQUEST]), "");
}
