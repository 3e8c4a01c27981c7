//! Just enough HTTP/1.1 to answer `curl --unix-socket` and a Prometheus agent: one GET a connection.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use tracing::debug;

use super::Pages;

/// A request line and a few headers; who sends more is no monitoring agent.
const MAX_REQUEST: usize = 8 * 1024;

/// How long a client may take. It holds up other clients, never a guest.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers requests for `pages`, for ever.
pub(super) fn serve(listener: &UnixListener, pages: &impl Pages) {
    for client in listener.incoming() {
        if let Err(error) = client.and_then(|client| answer(client, pages)) {
            debug!("stats socket: {error}");
        }
    }
}

fn answer(mut client: UnixStream, pages: &impl Pages) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let request = read_request(&mut client)?;
    let (status, body) = respond(&request, pages);
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len(),
    )
}

/// Everything up to the empty line: a client that was not read to the end would see its connection reset.
fn read_request(client: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = client.read(&mut part)?;
        if count == 0 || request.len() + count > MAX_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        request.extend_from_slice(&part[..count]);
    }
    Ok(request)
}

fn respond(request: &[u8], pages: &impl Pages) -> (&'static str, String) {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next()) {
        (Some(b"GET"), Some(b"/metrics")) => ("200 OK", pages.metrics()),
        (Some(b"GET"), Some(b"/health")) => match pages.health() {
            Ok(()) => ("200 OK", "ok\n".to_owned()),
            Err(reason) => ("503 Service Unavailable", format!("{reason}\n")),
        },
        (Some(b"GET"), Some(_)) => ("404 Not Found", "ask for /metrics or /health\n".to_owned()),
        _ => ("405 Method Not Allowed", "ask with GET\n".to_owned()),
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
