//! Asks a daemon for its figures: one HTTP request on its Unix socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a daemon may take: it answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(2);
/// Its page has a few hundred lines.
const LONGEST: u64 = 1 << 20;

/// The page at `/metrics`.
pub(super) fn metrics(socket: &Path) -> io::Result<String> {
    let mut daemon = UnixStream::connect(socket)?;
    daemon.set_read_timeout(Some(PATIENCE))?;
    daemon.set_write_timeout(Some(PATIENCE))?;
    daemon.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut reply = String::new();
    daemon.take(LONGEST).read_to_string(&mut reply)?;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    if !head.starts_with("HTTP/1.1 200 ") {
        let line = head.lines().next().unwrap_or_default();
        return Err(io::Error::other(format!("not a daemon's --stats-socket: {line:?}")));
    }
    Ok(body.to_owned())
}
