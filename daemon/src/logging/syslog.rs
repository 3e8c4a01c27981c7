//! The system's logger: one datagram a line on `/dev/log`, as syslog(3) sends them.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::process;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

const SOCKET: &str = "/dev/log";

/// `LOG_DAEMON`, shifted into place.
const FACILITY: u8 = 3 << 3;

/// A connection to the logger.
#[derive(Debug)]
pub(super) struct Syslog(UnixDatagram);

impl Syslog {
    /// Connects to the logger.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn connect() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(SOCKET)?;
        // A logger that does not keep up costs lines, not guests' time.
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    fn send(&self, priority: u8, line: &[u8]) {
        let mut message = format!("<{priority}>samepaged[{}]: ", process::id()).into_bytes();
        message.extend_from_slice(line.trim_ascii_end());
        if self.0.send(&message).is_err() {
            // The logger may have been restarted. If it has not, the line is lost: there is nowhere to say so.
            let _ = self.0.connect(SOCKET).and_then(|()| self.0.send(&message));
        }
    }
}

/// Collects one line and sends it when it is dropped.
#[derive(Debug)]
pub(super) struct Line<'a> {
    syslog: &'a Syslog,
    priority: u8,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.syslog.send(self.priority, &self.text);
    }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { syslog: self, priority: priority(Level::INFO), text: Vec::new() }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { syslog: self, priority: priority(*meta.level()), text: Vec::new() }
    }
}

/// RFC 5424, 6.2.1: facility and severity in one number.
fn priority(level: Level) -> u8 {
    FACILITY
        | match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        }
}

#[cfg(test)]
#[path = "syslog_tests.rs"]
mod tests;
